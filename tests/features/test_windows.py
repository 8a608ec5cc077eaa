"""A window is a number in a declaration: the kernel, the dictionary, the words and the oracle follow."""

import itertools

import oracle
import polars as pl
import pytest
from histories import EARLIER, EVENTS, NOW, RULES, Event, event, interactions, law
from hypothesis import HealthCheck, given, settings

from fedelta.features import registry
from fedelta.features.activity import VISIT
from fedelta.features.experience import BAD
from fedelta.features.experience_rules import ExperienceSettings
from fedelta.features.feature import Family, Feature
from fedelta.features.history import History, View
from fedelta.features.kernel import KernelSettings, features_at, windows_of
from fedelta.features.labels import microseconds
from fedelta.features.purchases import SPEND
from fedelta.models import explain
from fedelta.pipeline.commands.dictionary import printed

DAYS = next(days for days in itertools.count(45) if days not in windows_of(registry.FEATURES))  # declared by nobody
CUTOFFS = (EARLIER, NOW)
DECLARED: tuple[Feature, ...] = (
    *Family("activity").in_windows(VISIT, (DAYS,)),
    *Family("purchases").in_windows(SPEND, (DAYS,)),
    *Family("experience").in_windows(BAD, (DAYS,)),
    Family("experience").ratio(f"bad_per_visit_{DAYS}d", BAD, VISIT, DAYS, f"bad experiences per visit in {DAYS} days"),
)
NAMES = tuple(f"{stem}_{DAYS}d" for stem in ("visit_count", "spend", "bad_experience_count", "bad_per_visit"))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> KernelSettings:
    """Settings that ask for features of so many days, which the registry then knows."""
    every = registry.collect(registry.EVERY, DECLARED)
    monkeypatch.setattr(registry, "EVERY", every)
    monkeypatch.setattr(explain, "_FEATURES", {feature.name: feature for feature in every})
    return KernelSettings(ExperienceSettings(RULES), features=NAMES)


def test_the_declaration_names_them():
    assert tuple(feature.name for feature in DECLARED) == NAMES
    assert windows_of(DECLARED) == (DAYS,)


@given(EVENTS)
@settings(law, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_kernel_reads_them_as_a_naive_reader_does(kernel: KernelSettings, events: list[Event]):
    table = interactions(*events)
    found, _ = features_at(table, CUTOFFS, kernel)
    assert found.columns[-len(NAMES) :] == list(NAMES)
    rows = table.to_dicts()
    for row in found.iter_rows(named=True):
        past = oracle.Past.of(rows, row["customer_id"], row["cutoff"])
        visits, bad = len(past.of_kind("visit", days=DAYS)), sum(e.rule is not None for e in past.within(DAYS))
        assert (row[f"visit_count_{DAYS}d"], row[f"bad_experience_count_{DAYS}d"]) == (visits, bad)
        assert row[f"spend_{DAYS}d"] == pytest.approx(float(oracle.money(past.of_kind(*oracle.PAID, days=DAYS))))
        assert row[f"bad_per_visit_{DAYS}d"] == (pytest.approx(bad / visits) if visits else None)


@pytest.mark.usefixtures("kernel")
def test_the_dictionary_and_the_reasons_have_words_for_them():
    text = printed("markdown", registry.dictionary(registry.EVERY))
    for feature in DECLARED:
        assert f"| {feature.name} |" in text.replace("`", "")
        assert feature.says in text
        assert (explain.says(feature.name), explain.theme_of(feature.name)) == (feature.says, feature.theme)
    assert explain.says(f"bad_experience_count_{DAYS}d") == f"bad experiences, in the last {DAYS} days"


def test_a_read_of_its_own_may_look_through_a_window_that_no_feature_declares():
    events = interactions(*(event(days, "visit") for days in (1, DAYS - 1, DAYS, DAYS + 1)))
    history = History.of(events.with_columns(pl.col("kind").cast(pl.Categorical)), (VISIT,))
    declared = View(history, microseconds(CUTOFFS), (DAYS,)).count(VISIT, DAYS).tolist()
    assert View(history, microseconds(CUTOFFS), ()).count(VISIT, DAYS).tolist() == declared
    assert declared[-1] == 3
