"""A daily run in Airflow (2.9 or newer): train and score, publish, export, send to the CRM, judge."""

from datetime import UTC, datetime, timedelta

from airflow.decorators import dag
from airflow.operators.bash import BashOperator

PROJECT = "/srv/fedelta/project"  # a project made by `fedelta init`
STEPS = {
    "run": "fedelta run",  # every stage that is out of date; `publish` is one of them
    "export": "fedelta export-scores --to crm",
    "send": "python crm_sync.py hubspot crm",
    "monitor": "fedelta monitor --fail-on-alarm",
}


@dag(
    schedule="0 4 * * *",
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # a second run would be refused: a project is locked while it is worked in
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10)},
)
def fedelta() -> None:
    """Each step may be repeated: what is done already is not done again."""
    before = None
    for name, command in STEPS.items():
        step = BashOperator(task_id=name, bash_command=command, cwd=PROJECT, append_env=True)
        if before is not None:
            before >> step
        before = step


fedelta()
