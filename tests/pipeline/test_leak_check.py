"""The leak check as a stage: a clean project passes, a leak stops the run and is named with its remedy."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_project import inside, scored_project

from fedelta.models.learning import competition
from fedelta.models.panel import ORDER
from fedelta.pipeline import leak_check, paths
from fedelta.pipeline.leak_check import LeakFound
from fedelta.pipeline.panel import read_panel, sampled_customers
from fedelta.pipeline.paths import PARAMS

ATTRIBUTES = ("country", "plan")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 300 customers of whom the source's attributes are unknown."""
    folder = scored_project(tmp_path_factory.mktemp("leak") / "project")
    with inside(folder):
        unknown = [pl.lit(None, pl.String).alias(name) for name in ATTRIBUTES]
        since = pl.lit(None, pl.Datetime("us", "UTC")).alias("plan_since")
        pl.read_parquet(paths.CUSTOMERS).with_columns(*unknown, since).write_parquet(paths.CUSTOMERS)
        rewrite(paths.FEATURES, lambda t: t.with_columns(column.name.prefix("attribute_") for column in unknown))
    return folder


def rewrite(folder: Path, edit: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the one file of a folder of parts."""
    part = folder / "part-00000.parquet"
    edit(pl.read_parquet(part)).write_parquet(part)


def told_after(project: Path, folder: Path, edit: Callable[[pl.DataFrame], pl.DataFrame]) -> str:
    """What the stage says of the project with a file changed; the file is put back."""
    with inside(project):
        part = folder / "part-00000.parquet"
        before = part.read_bytes()
        rewrite(folder, edit)
        try:
            with pytest.raises(LeakFound) as caught:
                leak_check.main()
        finally:
            part.write_bytes(before)
    return str(caught.value)


def leaks_of(project: Path) -> list[dict[str, object]]:
    """The leaks that the report names."""
    found: list[dict[str, object]] = json.loads((project / paths.LEAKAGE_REPORT).read_text())["leaks"]
    return found


def test_of_a_larger_base_a_sample_is_looked_at_and_the_report_says_so(project, capsys):
    with inside(project):
        settings = PARAMS.read_text()
        PARAMS.write_text(settings.replace("buckets: 1}", "buckets: 1, sample_customers: 120}"))
        try:
            leak_check.main()
        finally:
            PARAMS.write_text(settings)
        report = json.loads(paths.LEAKAGE_REPORT.read_text())
        drawn = sampled_customers(120)
        panel = read_panel(["evaluate", "score"], among=drawn, whole=["score"]).table
        assert sampled_customers(10_000) is None
    assert report["sampled_customers"] == 120
    assert "of a sample of 120 customers" in capsys.readouterr().out
    assert drawn is not None
    assert set(panel.loc[panel["role"] == "evaluate", "customer_id"]) <= {*drawn}
    assert panel.loc[panel["role"] == "score", "customer_id"].nunique() > 120


def test_a_clean_project_passes_and_says_what_was_looked_at(project, capsys):
    with inside(project):
        leak_check.main()
        report = json.loads(paths.LEAKAGE_REPORT.read_text())
    assert report["leaks"] == []
    assert report["replayed_rows"] == report["rows"] > 500
    assert f"no leak in {report['rows']:,} rows" in capsys.readouterr().out


def test_a_column_that_is_the_answer_stops_the_run_and_is_named_in_one_line(project):
    labels = pl.read_parquet(project / paths.LABELS / "*.parquet").select(*ORDER, "horizon_purchase_count")

    def plant(table: pl.DataFrame) -> pl.DataFrame:
        joined = table.join(labels, on=ORDER, how="left", maintain_order="left")
        return joined.with_columns(visit_count_90d=pl.col("horizon_purchase_count").cast(pl.Int32)).drop(
            "horizon_purchase_count"
        )

    text = told_after(project, paths.FEATURES, plant)
    assert "visit_count_90d" in text
    assert "Remedy:" in text
    assert "\n" not in text
    found = leaks_of(project)
    assert {leak["check"] for leak in found} == {"copied_outcome", "replay", "telling_column"}
    assert {leak["column"] for leak in found} == {"visit_count_90d"}


def test_a_feature_that_read_an_event_after_the_cutoff_is_caught_by_replay(project):
    plus_one = pl.when(pl.int_range(pl.len()) == 7).then(1).otherwise(0)
    text = told_after(
        project,
        paths.FEATURES,
        lambda t: t.with_columns(purchase_count=(pl.col("purchase_count") + plus_one).cast(pl.Int32)),
    )
    assert "Leak (replay): purchase_count: 1 of" in text


def test_an_attribute_that_the_source_does_not_declare_is_refused(project):
    text = told_after(project, paths.FEATURES, lambda t: t.with_columns(attribute_final_state=pl.lit("open")))
    assert "Leak (untimed_attribute): attribute_final_state" in text


def test_folds_that_share_customers_stop_the_run(project, monkeypatch):
    by_row = np.random.default_rng(3)
    monkeypatch.setattr(competition, "customer_groups", lambda customer: by_row.integers(0, 2, len(customer)))
    with inside(project), pytest.raises(LeakFound, match=r"Leak \(shared_customers\): customer_id: .* both sides"):
        leak_check.main()


def leavers(project: Path) -> pl.DataFrame:
    """Cutoff and customer of those who bought nothing in the horizon."""
    return (
        pl.read_parquet(project / paths.LABELS / "*.parquet")
        .filter(pl.col("horizon_purchase_count") == 0)
        .select(*ORDER)
    )


def test_a_kind_recorded_on_leaving_and_dated_before_stops_the_run(project):
    left = leavers(project).filter(pl.col("customer_id").hash(3) % 10 < 6)

    def plant(table: pl.DataFrame) -> pl.DataFrame:
        row = table.join(left, on="customer_id").unique(["customer_id", "cutoff"], keep="last", maintain_order=True)
        closing = row.with_columns(
            interaction_id=pl.format("closing-{}", pl.int_range(pl.len())),
            occurred_at=pl.col("cutoff").cast(pl.Datetime("us", "UTC")) - pl.duration(days=5),
            kind=pl.lit("outage", table.schema["kind"]),
        )
        return pl.concat([table, closing.select(table.columns)])

    told_after(project, paths.INTERACTIONS, plant)
    found = {(leak["check"], leak["column"]): leak for leak in leaks_of(project)}
    assert "customers left" in found["telling_kind", "outage"]["evidence"]
    # Dated when it became known, as the remedy says, it is no leak.
    later = pl.col("occurred_at") + pl.duration(days=pl.when(pl.col("kind") == "outage").then(5).otherwise(0))
    told_after(project, paths.INTERACTIONS, lambda table: plant(table).with_columns(known_at=later))
    assert "telling_kind" not in {leak["check"] for leak in leaks_of(project)}


def test_a_static_attribute_is_judged_until_somebody_accepts_it(project, capsys):
    """Country as of the extract: everybody who left at the last cutoff of a known outcome is set to `closed`."""
    with inside(project):
        kept = {path: path.read_bytes() for path in (paths.CUSTOMERS, paths.FEATURES / "part-00000.parquet", PARAMS)}
        evaluated = pl.read_parquet(paths.FEATURES / "*.parquet").filter(pl.col("role") == "evaluate")["cutoff"].max()
        gone = leavers(project).filter(pl.col("cutoff") == evaluated)["customer_id"].to_list()
        country = pl.when(pl.col("customer_id").is_in(gone)).then(pl.lit("closed")).otherwise(pl.lit("IT"))
        try:
            pl.read_parquet(paths.CUSTOMERS).with_columns(country=country).write_parquet(paths.CUSTOMERS)
            rewrite(paths.FEATURES, lambda t: t.with_columns(attribute_country=country))
            with pytest.raises(LeakFound, match=r"attribute_country: .* AUC of 1\.000 at .*leak_check\.accept"):
                leak_check.main()
            PARAMS.write_text(PARAMS.read_text() + "leak_check: {accept: [country]}\n")
            leak_check.main()
            (accepted,) = json.loads(paths.LEAKAGE_REPORT.read_text())["accepted"]
        finally:
            for path, content in kept.items():
                path.write_bytes(content)
    assert accepted["column"] == "attribute_country"
    assert "accepted by params.yaml: attribute_country" in capsys.readouterr().out


def test_interactions_dated_in_the_future_are_refused(project):
    tomorrow = datetime.now(UTC) + timedelta(days=400)
    last = pl.int_range(pl.len()) == pl.len() - 1
    dated = pl.when(last).then(pl.lit(tomorrow).cast(pl.Datetime("us", "UTC"))).otherwise("occurred_at")
    told_after(project, paths.INTERACTIONS, lambda t: t.with_columns(occurred_at=dated))
    found = leaks_of(project)
    assert any(leak["check"] == "future_dated" and leak["evidence"].startswith("1 interactions") for leak in found)
