"""The running service against its own description: schemathesis, every check and phase, data that fits and does not."""

import subprocess
import sys
from pathlib import Path

import pytest
from scoring_runs import customer, full_url, running, unscored, write

from fedelta.serve.caller.keys import create_key
from fedelta.serve.caller.scopes import SCOPES
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

# No schema can say which cursors are ours: one that is not is 400, one of a run that is gone 410; nor that times lie in
# this or the last century, and that ids are there once: 422.
CONFIG = """
[checks.negative_data_rejection] # a long one may break a limit of the connection before its schema
expected-statuses = [
    "400", "401", "403", "404", "405", "406", "409", "413", "414", "415", "422", "428", "429", "431", "5xx",
]

[[operations]]
include-operation-id = "list_at_risk"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "410"]

[[operations]]
include-operation-id = "compute_scores"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "409", "422"]

# Each interaction has a status of its own: one that is invalid stops no other.
[[operations]]
include-operation-id = "receive_interactions"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "422"]
checks.negative_data_rejection.expected-statuses = ["2xx", "400", "401", "403", "404", "406", "422", "428", "5xx"]

[[operations]]
include-operation-id = ["list_cases", "list_treatments"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403"]

# Whoever is erased is gone: not those that other operations are about.
[[operations]]
include-operation-id = "erase_customer"
parameters = { "path.customer_id" = "C9" }

# Nor which values go together, which playbooks there are, who is in the control group, which keys came before.
[[operations]]
include-operation-id = ["open_case", "record_treatment", "write_outcomes", "change_cases"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "410", "412", "422"]

[[operations]]
include-operation-id = ["create_webhook", "replay_webhook", "list_deliveries"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "422"]

[[operations]]
include-operation-id = "change_case"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "412", "422", "428"]
"""


@pytest.mark.long
def test_the_running_service_does_what_it_says(database: Database, tmp_path: Path) -> None:
    publish(
        write(
            tmp_path / "run.parquet",
            customer("C1", risk_tier="critical"),
            customer("C2", risk_tier="high"),
            unscored("C3"),
        ),
        database,
    )
    key = create_key(database, "schemathesis", [*SCOPES])[0]
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    seed = 16 if database.path else 17  # other examples in SQLite than in PostgreSQL
    options = ["--rate-per-second=0", "--failures-per-minute=1000000"]
    with running(full_url(database), options=options) as address:
        command = [
            Path(sys.executable).with_name("schemathesis"), "--config-file", tmp_path / "schemathesis.toml",
            "run", f"{address}/openapi.json", "--header", f"X-API-Key: {key}", "--checks=all", "--mode=all",
            "--phases=examples,coverage,fuzzing,stateful", "--max-examples=13", f"--seed={seed}", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6_000:]
    assert "Stateful (not applicable)" not in done.stdout
