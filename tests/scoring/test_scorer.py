"""A customer scored alone, in a batch or by the run gets the same score, to the last bit."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from live_project import AS_OF, now

from fedelta.features.contract import SCORES
from fedelta.features.interaction_frames import BadInteractions
from fedelta.pipeline import paths
from fedelta.scoring.context import BadContext, ScoringContext
from fedelta.scoring.inputs import InputWarnings
from fedelta.scoring.scorer import MOST_CUSTOMERS, Scorer


def bits(scores: pl.DataFrame) -> dict[str, str]:
    """Each customer's row as text that tells any two floats apart."""
    return {json.loads(line)["customer_id"]: line for line in scores.write_ndjson().splitlines()}


@pytest.fixture(scope="module")
def run(project: Path) -> pl.DataFrame:
    return pl.read_parquet(project / paths.SCORES)


@pytest.fixture(scope="module")
def parts(events: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(name): part for (name,), part in events.partition_by("customer_id", as_dict=True).items()}


def test_the_run_has_everything_that_could_differ(run: pl.DataFrame):
    scored = run.filter(status="scored")
    held = (
        "action",
        "team",
        "contact_on",
        "reasons",
        "next_categories",
        "experience_index",
        "lifetime_value",
        "clv_margin",
    )
    for name in held:
        assert 0 < scored[name].null_count() < len(scored) or scored[name].null_count() == 0, name
    assert scored["clv_margin"].null_count() == 0
    assert {"keep", "win back"} <= {*scored["best_action"]}
    assert scored["action"].null_count() > 0
    assert {*run["suppression_reason"]} == {None, "opted out", "contacted lately"}
    assert run.filter(pl.col("customer_id").is_in(["late", "unheard"]))["status"].to_list() == ["no_history"] * 2


def test_every_customer_scored_alone_gets_the_score_of_the_run(scorer, parts, customers, run):
    expected = bits(run)
    for name, own in parts.items():
        alone = scorer.score(
            own.sample(fraction=1, shuffle=True, seed=3), customers.filter(customer_id=name)
        ).scores.table()
        assert alone.schema == SCORES
        assert bits(alone) == {name: expected[name]}


def test_batches_get_the_scores_of_the_run_whoever_is_in_them(scorer, events, customers, run):
    ids = run["customer_id"].sample(fraction=1, shuffle=True, seed=5)
    found: dict[str, str] = {}
    for start in range(0, len(ids), MOST_CUSTOMERS):
        some = pl.col("customer_id").is_in(ids.slice(start, MOST_CUSTOMERS).implode())
        found |= bits(scorer.score(events.filter(some), customers.filter(some)).scores.table())
    assert found == bits(run)


def test_what_happens_now_counts_from_the_next_microsecond_on(scorer, parts, customers):
    name = "c0010"
    complaint = parts[name].head(1).with_columns(
        interaction_id=pl.lit("new"), occurred_at=pl.lit(now()).cast(SCORES["as_of"]), kind=pl.lit("complaint"),
        topic=pl.lit("returns"), amount=pl.lit(None, pl.Decimal(18, 4)), resolved=pl.lit(value=False),
    )  # fmt: skip
    known = customers.filter(customer_id=name)
    before, at, after = (
        scorer.score(events, known, as_of=when).scores.table()
        for events, when in (
            (parts[name], now()),
            (pl.concat([parts[name], complaint]), now()),
            (pl.concat([parts[name], complaint]), now() + timedelta(microseconds=1)),
        )
    )
    assert bits(at) == bits(before)
    assert before["open_issue"].to_list() == [False]
    assert after["open_issue"].to_list() == [True]
    assert after["as_of"].item() == now() + timedelta(microseconds=1)


def test_reasons_are_for_everybody_for_nobody_or_for_whom_the_run_gives_them(scorer, events, customers, run):
    ids = run.filter(status="scored")["customer_id"].head(40)
    some = pl.col("customer_id").is_in(ids.implode())
    own, known = events.filter(some), customers.filter(some)
    asked = {how: scorer.score(own, known, explain=how).scores.table() for how in (True, False, None)}
    assert asked[True]["reasons"].null_count() == 0
    assert asked[False]["reasons"].null_count() == len(ids)
    assert asked[None]["reasons"].equals(run.filter(some)["reasons"])
    listed = asked[None]["reasons"].is_not_null()
    assert asked[True].filter(listed)["reasons"].equals(asked[None].filter(listed)["reasons"])


def test_inputs_that_are_missing_strange_or_out_of_range_are_listed_by_customer(scorer, parts, customers):
    usual = scorer.score(parts["c0010"], customers.filter(customer_id="c0010")).warnings
    assert usual == {}
    rich = parts["c0010"].with_columns(pl.col("amount") * 1_000).drop("rating").cast({"amount": pl.Decimal(18, 4)})
    odd = parts["c0011"].with_columns(channel=pl.lit("carrier pigeon")).drop("rating")
    found = scorer.score(pl.concat([rich, odd]), customers.filter(customer_id="c0010")).warnings
    assert found["c0010"].missing == ("rating",)
    assert "spend" in found["c0010"].out_of_range
    assert found["c0010"].unknown == ()
    assert found["c0011"].unknown == ("channel=carrier pigeon",)
    assert {"rating", "country", "plan"} <= {*found["c0011"].missing}
    assert isinstance(found["c0011"], InputWarnings)


def test_whoever_has_no_history_yet_is_told_so(scorer, parts, customers):
    both = scorer.score(
        parts["c0010"], customers.filter(pl.col("customer_id").is_in(["c0010", "c0011"]))
    ).scores.table()
    assert dict(both.select("customer_id", "status").rows()) == {"c0010": "scored", "c0011": "no_history"}
    nobody = scorer.score(parts["late"]).scores.table()
    assert nobody.schema == SCORES
    assert nobody.select("customer_id", "status", "as_of").rows() == [("late", "no_history", AS_OF)]


def test_what_cannot_be_scored_is_refused(scorer, events, parts, tmp_path, project):
    with pytest.raises(BadContext, match="at most 100"):
        scorer.score(events)
    with pytest.raises(BadInteractions, match="lack kind"):
        scorer.score(parts["c0010"].drop("kind"))
    with pytest.raises(BadInteractions, match="cannot be read"):
        scorer.score(parts["c0010"].with_columns(amount=pl.lit("much")))
    with pytest.raises(BadContext, match=r"lacks settings\.json"):
        Scorer.load(tmp_path / "scoring", project / paths.BUNDLE)
    (tmp_path / "bundle").mkdir()
    with pytest.raises(BadContext, match="is of the bundle"):
        Scorer.load(project / paths.SCORING, tmp_path / "bundle")


def test_what_was_frozen_comes_back_as_it_was(scorer, tmp_path):
    scorer.context.save(tmp_path / "copy")
    again = ScoringContext.load(tmp_path / "copy")
    assert again.settings == scorer.context.settings
    assert (again.contacts, again.suppressed) == (scorer.context.contacts, scorer.context.suppressed)
    again.save(tmp_path / "twice")
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "twice").iterdir()
    }


def test_a_damaged_context_is_refused(scorer, tmp_path):
    scorer.context.save(tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(BadContext, match="is damaged"):
        ScoringContext.load(tmp_path)


def test_scoring_takes_neither_the_pipeline_nor_its_packages(project):
    code = f"""
import sys
from pathlib import Path
from fedelta.scoring.scorer import Scorer
Scorer.load(Path({str(project / paths.SCORING)!r}))
print(sorted(name for name in ("mlflow", "dvc", "duckdb", "fedelta.pipeline", "fedelta.serve") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
