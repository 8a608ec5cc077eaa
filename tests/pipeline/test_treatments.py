"""Customers treated lately are not contacted, and a file that is not clear about it is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tiny_project import PARAMS, START, TREES, inside, scored_project

from fedelta.features.contract import TREATMENTS
from fedelta.models.policy.settings import PolicySettings
from fedelta.pipeline import paths, score
from fedelta.pipeline.treatments import BadTreatments, read_treatments, suppressed_at

AT = datetime(2024, 4, 1, 12, tzinfo=UTC)
AS_OF = START + timedelta(days=480)
COSTS = "economics: {contact_cost: 0.1, keep_success_without_offer: 0.5}, capacity: 20, cooldown_days: 30"


def treated(customers: list[str], at: datetime = AT, **columns: object) -> pl.DataFrame:
    """Contacts at one time, in the columns of the contract."""
    rows = {"customer_id": customers, "treated_at": at, "action": "contact", "arm": "treated", **columns}
    return pl.DataFrame(rows).with_columns(pl.lit(None).alias(name) for name in TREATMENTS if name not in rows)


def test_files_of_any_name_are_one_table_in_the_columns_of_the_contract(tmp_path: Path):
    treated(["ann"], cost=2).with_columns(pl.col("treated_at").cast(pl.Datetime("ms", "UTC"))).write_parquet(
        tmp_path / "spring.parquet"
    )
    treated(["bob"], campaign="ours").write_parquet(tmp_path / "autumn.parquet")
    found = read_treatments(tmp_path)
    assert found.schema == TREATMENTS
    assert found.select("customer_id", "treated_at", "cost").rows() == [("bob", AT, None), ("ann", AT, 2.0)]


def test_where_there_is_no_file_nobody_was_treated(tmp_path: Path):
    (tmp_path / "README.md").write_text("words")
    for folder in (tmp_path, tmp_path / "absent"):
        assert read_treatments(folder).equals(TREATMENTS.to_frame())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (treated(["ann"]).drop("arm", "cost"), "has arm as nothing instead of String, cost as nothing instead of"),
        (treated(["ann"], at=AT.replace(tzinfo=None)), r"treated_at as Datetime.*None.* instead of Datetime.*UTC"),
        (treated(["ann"]).with_columns(customer_id=pl.lit(7)), "has customer_id as Int32 instead of String"),
        (treated(["ann", "bob"], arm="control"), r"2 of 2 rows without .* an arm that is treated or held_out"),
        (treated(["ann"]).with_columns(treated_at=pl.lit(None)), "has 1 of 1 rows without a customer_id"),
    ],
)
def test_what_does_not_keep_to_the_contract_is_refused_in_one_line(tmp_path: Path, wrong: pl.DataFrame, says: str):
    wrong.write_parquet(tmp_path / "ours.parquet")
    with pytest.raises(BadTreatments, match=says) as caught:
        read_treatments(tmp_path)
    assert "ours.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path):
    (tmp_path / "ours.parquet").write_text("customer_id,treated_at")
    with pytest.raises(BadTreatments, match=r"ours\.parquet is no readable parquet file"):
        read_treatments(tmp_path)


def test_the_next_run_contacts_others_than_those_just_contacted_until_the_cooldown_is_over(tmp_path: Path):
    with inside(scored_project(tmp_path / "project")):
        text = PARAMS.replace("TREES", str(TREES)).replace("policy: {", f"policy: {{{COSTS}, ")
        paths.PARAMS.write_text(text)
        first = _contacted()
        assert len(first) == 20
        paths.TREATMENTS.mkdir()
        treated(sorted(first), AS_OF - timedelta(days=29)).write_parquet(paths.TREATMENTS / "first.parquet")
        second = _contacted()
        assert len(second) == 20
        assert not second & first
        paths.PARAMS.write_text(text.replace("cooldown_days: 30", "cooldown_days: 29"))
        assert _contacted() == first


def test_ids_that_the_source_does_not_know_are_reported_and_refused_if_none_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with inside(scored_project(tmp_path / "project")):
        known = pl.read_parquet(paths.CUSTOMERS)["customer_id"][0]
        paths.TREATMENTS.mkdir()
        treated([known, f"{known} "]).write_parquet(paths.TREATMENTS / "ours.parquet")
        suppressed_at(AS_OF, PolicySettings())
        assert f"1 of 2 customers in treatments/ are not in the source, such as '{known} '" in capsys.readouterr().out
        treated([f"{known} "]).write_parquet(paths.TREATMENTS / "ours.parquet")
        with pytest.raises(BadTreatments, match="1 of 1 customers in treatments/ are not in the source"):
            suppressed_at(AS_OF, PolicySettings())


def _contacted() -> set[str]:
    score.main()
    scores = pl.read_parquet(paths.SCORES)
    return set(scores.filter(pl.col("action").is_not_null())["customer_id"])
