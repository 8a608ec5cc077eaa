"""PostgreSQL databases for the tests of the service."""

import psycopg
from postgres import PASSWORD, Server


def url_of(server: Server, name: str) -> str:
    return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{server.port}/{name}"


def copy(server: Server, template: str, name: str) -> None:
    with psycopg.connect(url_of(server, "template1"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'.encode())
