#!/bin/sh
# PostgreSQL's image runs this once, when its volume is empty: a role with a database each for the service and for MLflow.
set -eu
psql -v ON_ERROR_STOP=1 <<'SQL'
\getenv fedelta FEDELTA_PASSWORD
\getenv mlflow MLFLOW_PASSWORD
CREATE ROLE fedelta LOGIN PASSWORD :'fedelta';
CREATE DATABASE fedelta OWNER fedelta;
REVOKE ALL ON DATABASE fedelta FROM PUBLIC;
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE DATABASE mlflow OWNER mlflow;
REVOKE ALL ON DATABASE mlflow FROM PUBLIC;
SQL
