"""params.yaml in, typed settings out; whatever is wrong is reported in one line that names the key."""

import datetime as dt
import io
import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from ruamel.yaml import YAML

from fedelta.features.errors import FedeltaError
from fedelta.features.experience_rules import Rule
from fedelta.models.policy.settings import BadPolicy
from fedelta.pipeline.params import BadParams, Params, load_params

OWN = Path(__file__).parents[2] / "params.yaml"
Document = dict[str, Any]


def written(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@cache
def own() -> Document:
    """The project's own params; to be copied before it is changed."""
    document: Document = YAML(typ="safe").load(OWN.read_text(encoding="utf-8"))
    return document


def with_change(folder: Path, key: str, value: object) -> Path:
    """The project's own params with one dotted key set, or removed where the value is ``...``."""
    document = deepcopy(own())
    *sections, last = key.split(".")
    place = document
    for section in sections:
        place = place[section]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    stream = io.StringIO()
    yaml = YAML(typ="safe")
    yaml.sort_base_mapping_type_on_output = False  # tiers are in order
    yaml.dump(document, stream)
    return written(folder, stream.getvalue())


def refused(path: Path) -> str:
    with pytest.raises(FedeltaError) as error:
        load_params(path)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_the_projects_own_params_are_read_into_typed_settings():
    params = load_params(OWN)
    assert isinstance(params, Params)
    assert isinstance(params.horizon_days, int)
    assert all(isinstance(rule, Rule) for rule in params.experience.rules.values())
    assert isinstance(params.churn.learning_rate, float)


def test_the_projects_own_settings_of_deep_trees_are_those_of_a_project_without_any(tmp_path: Path):
    assert (
        load_params(OWN).churn.lightgbm_large
        == load_params(with_change(tmp_path, "churn.lightgbm_large", ...)).churn.lightgbm_large
    )


def test_a_change_reaches_its_setting(tmp_path: Path):
    assert load_params(with_change(tmp_path, "churn.num_iterations", 7)).churn.num_iterations == 7
    rules = load_params(with_change(tmp_path, "experience.rules.slow_answer.severity", 4)).experience.rules
    slow = "kind IN ('contact', 'complaint') AND wait_hours"
    assert rules["slow_answer"] == Rule(f"{slow} > 48", "time_and_effort", "ease", 4, among=f"{slow} IS NOT NULL")


def test_a_whole_number_will_do_for_a_fraction(tmp_path: Path):
    assert load_params(with_change(tmp_path, "churn.lambda_l2", 3)).churn.lambda_l2 == 3.0


def test_the_scoring_cutoff_is_a_date_or_a_word(tmp_path: Path):
    for value in ("2026-01-31", dt.date(2026, 1, 31)):
        assert load_params(with_change(tmp_path, "cutoffs.score_at", value)).cutoffs.score_at == "2026-01-31"
    assert load_params(with_change(tmp_path, "cutoffs.score_at", "latest")).cutoffs.score_at == "latest"
    assert "cutoffs.score_at is 20260131" in refused(with_change(tmp_path, "cutoffs.score_at", 20260131))


@pytest.mark.parametrize("text", ["now", "today", "", "2026-02-30", "31.01.2026", "Latest", "2026-01-31T10:00"])
def test_a_scoring_cutoff_that_is_no_date_is_refused_where_settings_are_read(tmp_path: Path, text: str):
    assert f"cutoffs.score_at is {text!r}; it must be a date (2026-01-31) or latest." in refused(
        with_change(tmp_path, "cutoffs.score_at", text)
    )


def test_a_setting_left_out_takes_its_default_where_it_has_one(tmp_path: Path):
    assert load_params(with_change(tmp_path, "cutoffs.train", ...)).cutoffs.train == 6


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("horizont_days", 90, "unknown horizont_days. Did you mean horizon_days? Known: source, data, horizon_days"),
        ("churn.num_iteratons", 9, "churn: unknown num_iteratons. Did you mean num_iterations? Known: num_iterations"),
        ("experience.rules.late_delivery.sevrity", 2, "experience.rules.late_delivery: unknown sevrity"),
        ("horizon_days", ..., "horizon_days missing"),
        ("experience.rules.late_delivery.when", ..., "experience.rules.late_delivery: when missing"),
        ("horizon_days", "90", "horizon_days is '90' (str); it must be of type int"),
        ("horizon_days", 90.5, "horizon_days is 90.5 (float); it must be of type int"),
        ("horizon_days", True, "horizon_days is True (bool); it must be of type int"),
        ("horizon_days", None, "horizon_days is None (NoneType); it must be of type int"),
        ("source", 7, "source is 7 (int); it must be of type str"),
        ("churn", 7, "churn must be a section of settings; it is 7"),
        ("churn", None, "churn must be a section of settings; it is None"),
        ("experience.rules", ["late"], "experience.rules is ['late']; it must be a section of names and values"),
        ("churn.definition", "gone", "churn.definition is 'gone'; it must be one of inactivity, event"),
        ("churn.learning_rate", "fast", "churn.learning_rate is 'fast' (str); it must be of type float"),
        ("engine.backend", "spork", "engine.backend is 'spork'; it must be one of duckdb, spark"),
        ("engine.spark.mastre", "local", "engine.spark: unknown mastre. Did you mean master? Known: master, conf"),
        ("engine.spark.conf", ["a"], "engine.spark.conf is ['a']; it must be a section of names and values"),
        (
            "experience.rules.late_delivery.pillar",
            "speed",
            "pillar is 'speed'; it must be one of integrity",
        ),
        ("policy.tiers.high", "often", "policy.tiers.high is 'often' (str); it must be of type float"),
        ("horizon_days", 0, "horizon_days is 0; it must be at least 1"),
        ("lead_days", -1, "lead_days is -1; it must be at least 0"),
        ("cutoffs.step_days", 0, "cutoffs.step_days is 0; it must be at least 1"),
        ("cutoffs.step_days", -30, "cutoffs.step_days is -30; it must be at least 1"),
        ("cutoffs.train", 0, "cutoffs.train is 0; it must be at least 1"),
        ("engine.buckets", 0, "engine.buckets is 0; it must be at least 1"),
        ("engine.workers", 0, "engine.workers is 0; it must be at least 1"),
        ("engine.memory_limit", "lots", "engine.memory_limit is 'lots'; it must be as 2GB is"),
        ("engine.memory_limit", "0GB", "engine.memory_limit is '0GB'"),
        ("engine.memory_limit", "-1GB", "engine.memory_limit is '-1GB'"),
        ("churn.num_iterations", 0, "churn.num_iterations is 0; it must be at least 1."),
        ("churn.num_leaves", 1, "churn.num_leaves is 1; it must be at least 2 and at most 131072."),
        ("churn.bagging_fraction", 7, "churn.bagging_fraction is 7; it must be above 0 and at most 1."),
        ("churn.feature_fraction", 0, "churn.feature_fraction is 0; it must be above 0 and at most 1."),
        ("churn.learning_rate", -1, "churn.learning_rate is -1; it must be above 0 and at most 1."),
        ("churn.seeds", 0, "churn.seeds is 0; it must be at least 1."),
        ("churn.minimum.positives", -1, "churn.minimum.positives is -1; it must be at least 0."),
        ("churn.lightgbm_large.num_leaves", 1, "churn.lightgbm_large.num_leaves is 1; it must be at least 2"),
        ("churn.lightgbm_large.num_iterations", 0, "churn.lightgbm_large.num_iterations is 0; it must be at least 1."),
        ("clv.num_iterations", 0, "clv.num_iterations is 0; it must be at least 1."),
        ("clv.seeds", 0, "clv.seeds is 0; it must be at least 1."),
        ("clv.tweedie_power", 2, "clv.tweedie_power is 2; it must be above 1 and below 2."),
        ("policy.margin", -3, "policy.margin is -3; it must be above 0 and at most 1."),
        ("policy.explained", 500, "policy.explained is 500; it must be one of low, medium, high, critical."),
        ("fairness.tolerance", 2.0, "fairness.tolerance is 2.0; it must be at least 0 and at most 1."),
        ("gate.max_ece", -1, "gate.max_ece is -1; it must be at least 0 and at most 1."),
        ("monitor.false_alarms", 12, "monitor.false_alarms is 12; it must be at least 0 and below 12."),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(tmp_path: Path, key: str, value: object, expected: str):
    message = refused(with_change(tmp_path, key, value))
    assert message.startswith("params.yaml: ")
    assert expected in message


def numbers(kind: type, at: str = "") -> Iterator[tuple[str, type]]:
    """Dotted name and type of every number among the settings; not those that they are asked for by name."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        held = hints[field.name]
        kinds = {held, *get_args(held)} if get_origin(held) is not Mapping else set()
        if is_dataclass(held):
            yield from numbers(held, f"{at}{field.name}.")
        elif number := kinds & {int, float}:
            yield f"{at}{field.name}", number.pop()


@pytest.mark.parametrize(("key", "kind"), [pytest.param(*found, id=found[0]) for found in numbers(Params)])
def test_no_number_may_be_just_anything(tmp_path: Path, key: str, kind: type):
    for value in (-(10**9), *((math.nan, math.inf) if kind is float else ())):
        section, name = key.rsplit(".", 1) if "." in key else ("", key)
        message = refused(with_change(tmp_path, key, value))
        assert section in message
        assert name in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("churn.bagging_fraction", 1),
        ("churn.num_leaves", 2),
        ("policy.explained", "low"),
        ("gate.max_ece", 1),
        ("engine.memory_limit", "0.5GB"),
        ("engine.memory_limit", "900 MiB"),
    ],
)
def test_limits_themselves_are_allowed(tmp_path: Path, key: str, value: object):
    load_params(with_change(tmp_path, key, value))


def test_a_purchase_model_is_not_asked_about_cancellations(tmp_path: Path):
    with_change(tmp_path, "churn.definition", "event")
    text = (tmp_path / "params.yaml").read_text().replace("candidate: auto", "candidate: pareto_nbd")
    assert "churn.candidate is pareto_nbd, which predicts purchases" in refused(written(tmp_path, text))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("trials", "tune.trials (--budget) is 0; it must be at least 1."),
        ("seconds", "tune.seconds (--seconds) is 0; it must be at least 1."),
        ("customers", "tune.customers is 0; it must be at least 1."),
    ],
)
def test_a_search_of_nothing_is_refused(tmp_path: Path, key: str, expected: str):
    assert refused(with_change(tmp_path, f"tune.{key}", 0)) == expected


@pytest.mark.parametrize(
    ("tiers", "expected"), [({"medium": 0.6, "high": 0.3}, "must ascend"), ({"high": 1.5}, "between 0 and 1")]
)
def test_tiers_that_coincide_or_descend_are_refused(tmp_path: Path, tiers: dict[str, float], expected: str):
    message = refused(with_change(tmp_path, "policy.tiers", tiers))
    assert message.startswith("policy.tiers is ")
    assert expected in message
    assert issubclass(BadPolicy, FedeltaError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("horizon_days: [", "is not YAML"),
        ("a: 1\na: 2\n", "is not YAML"),
        ("\tsource: demo", "is not YAML"),
        ("a: 1\na: 2\n", "is not YAML: line 2, column 1: found duplicate key"),
        ("a: 1\n\tb: 2\n", "is not YAML: line 2, column 1: found character"),
        ("cutoffs: {score_at: 2024-02-30}", "is not YAML: day is out of range"),
        ("cutoffs: {score_at: 2024-13-01}", "is not YAML: month must be in 1..12"),
        ("a: &a [*a]", "is not YAML"),
        ("? [a, b]\n: 3", "is not YAML"),
        ("a: " + "[" * 5_000 + "]" * 5_000, "is not YAML"),
        ("source: !!python/object/apply:os.getcwd []", "is not YAML"),
        ("", "the file must be a section of settings; it is None"),
        ("- source", "the file must be a section of settings"),
        ("just words", "the file must be a section of settings"),
    ],
)
def test_a_file_that_is_no_settings_is_refused_in_one_line(tmp_path: Path, text: str, expected: str):
    assert expected in refused(written(tmp_path, text))


def test_a_file_of_other_bytes_is_refused_in_one_line(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"source: caf\xe9\n")
    assert "is not YAML" in refused(path)


def test_without_a_file_it_says_where_to_run(tmp_path: Path):
    with pytest.raises(BadParams, match="Run fedelta in the project's folder"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("right", "typed"),
    [("horizon_days", "horizn_days"), ("cutoffs", "cutofs"), ("definition", "definiton"), ("step_days", "stepdays")],
)
def test_a_misspelt_setting_is_answered_with_the_one_that_was_meant(tmp_path: Path, right: str, typed: str):
    text = OWN.read_text(encoding="utf-8").replace(f"{right}:", f"{typed}:", 1)
    assert f"unknown {typed}. Did you mean {right}? Known: " in refused(written(tmp_path, text))
