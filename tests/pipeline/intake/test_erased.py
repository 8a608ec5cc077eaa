"""Who was erased by the service is left out of every table of a source, and counted."""

from pathlib import Path

import polars as pl
import pytest
from tiny_source import SQL, YAML, Tiny, csv

from fedelta.pipeline.intake.erased import CannotLeaveOut, read_erased
from fedelta.serve.operational.erased import ErasureKey

SECRET = b"s" * 32
ROWS = (
    "1,ann,2024-01-05 10:00:00,purchase,web,12.50,0.8",
    "2,ann,2024-01-06 10:00:00,purchase,web,5.00,",
    "2,ann,2024-01-06 10:00:00,purchase,web,5.00,",  # a duplicate
    "3,ann,2024-01-07 10:00:00,nonsense,web,5.00,",  # quarantined
    "4,bob,2024-01-05 10:00:00,purchase,web,7.00,",
    "5, ann,2024-01-05 10:00:00,purchase,web,7.00,",  # somebody else: blanks are part of an id
)
CUSTOMERS = "SELECT who AS customer_id, income FROM members"
MEMBERS = {
    "yaml": YAML
    + '  members: {path: "members.csv", format: csv}\nattributes:\n  income: {type: numeric, static: true}\n',
    "customers_sql": CUSTOMERS,
    "others": {"members.csv": csv("ann,10", "bob,20", header="who,income")},
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDELTA_ERASURE_KEY", raising=False)


def erase(*customer_ids: str, secret: bytes = SECRET) -> None:
    """As the service does it."""
    key = Path("data/serve/erasure.key")
    key.parent.mkdir(parents=True, exist_ok=True)
    key.write_bytes(SECRET)
    Path("erased").mkdir(exist_ok=True)
    hashes = sorted(ErasureKey(secret).hashed(one) for one in customer_ids)
    Path("erased/default.txt").write_text("".join(f"{one}\n" for one in hashes))


def everything(tiny: Tiny) -> str:
    """All that was written, as text."""
    tables = sorted(tiny.outputs.interactions.parent.rglob("*.parquet"))
    return "\n".join(str(pl.read_parquet(path).rows()) for path in tables) + tiny.outputs.report.read_text()


def test_of_who_was_erased_nothing_but_a_count_remains(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv(*ROWS), **MEMBERS)
    before = tiny.ingest()
    assert "'ann'" in everything(tiny)
    erase("ann", "nobody")
    report = tiny.ingest()
    assert tiny.interactions()["customer_id"].to_list() == [" ann", "bob"]
    assert pl.read_parquet(tiny.outputs.customers)["customer_id"].to_list() == [" ann", "bob"]
    assert "'ann'" not in everything(tiny)
    assert "nonsense" not in everything(tiny)
    assert report.files == before.files
    assert report.interactions.out_of_scope_for == {"erased": 4}
    assert report.customers is not None
    assert report.customers.out_of_scope_for == {"erased": 1}


def test_a_reason_of_the_source_stays(tmp_path: Path) -> None:
    sql = SQL.replace("FROM events", ", CASE WHEN who = 'bob' THEN 'staff' END AS out_of_scope FROM events")
    erase("ann")
    report = Tiny(tmp_path, csv(*ROWS), sql=sql).ingest()
    assert report.interactions.out_of_scope_for == {"erased": 4, "staff": 1}


def test_an_empty_list_changes_nothing(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv(*ROWS))
    tiny.ingest()
    before = everything(tiny)
    erase()
    tiny.ingest()
    assert everything(tiny) == before


def test_a_list_without_its_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_erased() is None
    erase("ann", secret=b"t" * 32)
    with pytest.raises(CannotLeaveOut, match="another key"):
        read_erased()
    erase("ann")
    key = Path("data/serve/erasure.key").rename("elsewhere.key")
    with pytest.raises(CannotLeaveOut, match="FEDELTA_ERASURE_KEY"):
        read_erased()
    monkeypatch.setenv("FEDELTA_ERASURE_KEY", str(key))
    assert "ann" in (read_erased() or ())
