"""The sentences of reasons: the same facts in English and in Italian, and facts that go the way of the score."""

import inspect
import re
from datetime import date
from typing import Any

import pandas as pd
import pytest

from fedelta.features.registry import EVERY
from fedelta.models.panel import PRIOR_FEATURES
from fedelta.models.peers import Peers
from fedelta.models.reasons.customer import Customer, Rows
from fedelta.models.reasons.english import English
from fedelta.models.reasons.italian import Italian
from fedelta.models.reasons.subjects import Fact, neutral, subject_of, tell
from fedelta.models.reasons.wording import Day, Usual, Wording, Words, spaced

AS_OF = pd.Timestamp("2025-01-01")
RULES = {"late": Words("late delivery", "consegna in ritardo"), "low": Words("low rating", "valutazione bassa")}


def customer(usual: dict[str, float | None] | None = None, wording: Wording | None = None, **row: object) -> Customer:
    """A customer at the start of 2025, beside what is usual among similar customers."""
    table = pd.DataFrame([{"cutoff": AS_OF, "horizon_days": 90, **row}])
    peers = Peers(2, "customers with 2 or 3 purchases", usual) if usual is not None else None
    return Customer(Rows.of(table, wording or Wording(rules=RULES, currency="EUR")), 0, peers)


def stated(who: Customer, subject: str, *columns: str, raising: bool = True) -> tuple[str, str] | None:
    """The sentence of a subject in both languages."""
    fact = tell(who, subject, columns, raising=raising)
    return fact and in_words(fact)


def in_words(fact: Fact) -> tuple[str, str]:
    facts: dict[str, Any] = dict(fact.facts)
    return getattr(English(), fact.code)(**facts), getattr(Italian(), fact.code)(**facts)


RHYTHM = {"purchase_day_count": 9, "purchase_span_days": 8 * 31.0}
STRUCK = {
    "bad_since_purchase_count": 2, "days_since_last_purchase": 40.0, "last_bad_experience": "late",
    "days_since_last_bad_experience": 17.0, "bad_experience_2": "low", "bad_experience_2_days": 27.0,
}  # fmt: skip


def codes(language: type) -> dict[str, list[str]]:
    return {
        name: list(inspect.signature(method).parameters)
        for name, method in vars(language).items()
        if callable(method) and not name.startswith("_")
    }


def test_both_languages_have_the_same_sentences_of_the_same_facts():
    assert codes(English) == codes(Italian)


def test_bad_experiences_since_the_last_order_are_named_and_dated_beside_similar_customers():
    english, italian = stated(customer({"bad_since_purchase_count": 0.0}, **STRUCK), "bad") or ("", "")
    assert english == (
        "2 bad experiences since the last order: late delivery on 15 Dec, low rating on 5 Dec; "
        "similar customers have none"
    )
    assert italian == (
        "2 esperienze negative dall'ultimo ordine: consegna in ritardo il 15 dic, valutazione bassa il 5 dic; "
        "clienti simili: 0"
    )


def test_the_same_thing_twice_is_named_once_and_more_than_are_known_are_the_latest():
    twice = STRUCK | {"bad_experience_2": "late", "bad_since_purchase_count": 5}
    english, _ = stated(customer({}, **twice), "bad") or ("", "")
    assert english == "5 bad experiences since the last order, the latest: late delivery on 15 Dec and 5 Dec"


def test_one_before_the_last_order_is_not_named_as_one_since():
    once = STRUCK | {"bad_since_purchase_count": 1}
    english, _ = stated(customer({}, **once), "bad") or ("", "")
    assert english == "1 bad experience since the last order: late delivery on 15 Dec"


def test_an_issue_that_is_still_open_is_added():
    waiting = STRUCK | {"unresolved_since_resolved_count": 1, "days_since_last_unresolved_contact": 17.0}
    english, italian = stated(customer({}, **waiting), "bad") or ("", "")
    assert english.endswith("; the issue of 15 Dec is still open")
    assert italian.endswith("; il problema del 15 dic è ancora aperto")
    alone, _ = stated(customer({}, **waiting, open_issue_topic="wrong_size"), "issues") or ("", "")
    assert alone == "An issue is still open: unresolved contact about “wrong size” of 15 Dec"


def test_no_bad_experience_is_no_reason_for_a_risk_and_many_are_none_for_safety():
    safe = customer({}, bad_experience_count=0, bad_experience_count_365d=0, bad_experience_count_30d=0)
    assert stated(safe, "bad") is None
    assert stated(safe, "bad", raising=False) == ("No bad experience so far", "Nessuna esperienza negativa finora")
    struck = customer({}, bad_experience_count=3, bad_experience_count_365d=3)
    assert stated(struck, "bad", raising=False) is None


@pytest.mark.parametrize(
    ("row", "raising", "text"),
    [
        ({**RHYTHM, "days_since_last_purchase": 142.0}, True,
         "No order for 142 days (last on 12 Aug); they used to order every 31 days"),
        ({**RHYTHM, "days_since_last_purchase": 5.0}, False,
         "Last order on 27 Dec, 5 days ago; they usually order every 31 days"),
        ({**RHYTHM, "days_since_last_purchase": 5.0}, True, None),
        ({**RHYTHM, "days_since_last_purchase": 142.0}, False, None),
        ({"purchase_day_count": 2, "purchase_span_days": 31.0, "days_since_last_purchase": 142.0}, True,
         "No order for 142 days (last on 12 Aug); their two orders were 31 days apart"),
        ({"purchase_day_count": 1, "purchase_span_days": 0.0, "days_since_last_purchase": 142.0}, True,
         "Only one order so far, 142 days ago (12 Aug)"),
        ({"purchase_day_count": 4, "purchase_span_days": 360.0, "days_since_last_purchase": 5.0}, True,
         "Orders are far apart: one every 120 days on average, the last on 27 Dec"),
        ({**RHYTHM, "days_since_last_purchase": 500.0}, True,
         "No order for 500 days (last on 20 Aug 2023); they used to order every 31 days"),
    ],
)  # fmt: skip
def test_a_rhythm_is_stated_only_where_it_goes_the_way_of_the_score(row, raising, text):
    found = stated(customer({}, **row), "silence", "pareto_p_any", raising=raising)
    assert (found and found[0]) == text


def test_activity_goes_by_its_name():
    row = {"activity_day_count": 9, "activity_span_days": 8 * 31.0, "days_since_last_activity": 142.0}
    texts = [
        (stated(customer({}, Wording(activity=kinds), **row), "silence") or ("", ""))[0]
        for kinds in (("contact",), ("visit",), ("click", "quiz"), ("quiz_taken",))
    ]
    assert texts == [
        "No contact for 142 days (last on 12 Aug); they used to get in touch every 31 days",
        "No visit for 142 days (last on 12 Aug); they used to visit every 31 days",
        "No activity for 142 days (last on 12 Aug); they used to be active every 31 days",
        "No quiz taken for 142 days (last on 12 Aug); there used to be one every 31 days",
    ]


@pytest.mark.parametrize(
    ("subject", "column", "value", "usual", "raising", "text"),
    [
        ("count:visit", "visit_count_90d", 0.0, 4.0, True, "No visit in the last 90 days; similar customers have 4"),
        ("count:visit", "visit_count_90d", 9.0, 4.0, True, None),
        ("count:visit", "visit_count_90d", 4.0, 4.0, True, None),
        ("count:visit", "visit_count_90d", 9.0, 4.0, False, "9 visits in the last 90 days; similar customers have 4"),
        ("count:complaint", "complaint_count_365d", 2.0, 0.0, True,
         "2 complaints in the last year; similar customers have none"),
        ("spend", "spend_180d", 0.0, 80.0, True, "Spent nothing in the last 180 days; similar customers spent 80 EUR"),
        ("rating", "mean_rating", 0.2, 0.8, True, "Average rating 20 out of 100; similar customers have 80"),
        ("rating", "mean_rating", 0.9, 0.5, True, None),
        ("response", "response_rate_90d", 0.0, 0.5, True,
         "Opened 0% of our messages in the last 90 days; similar customers: 50%"),
    ],
)  # fmt: skip
def test_a_figure_is_stated_beside_what_is_usual_where_it_goes_the_way_of_the_score(
    subject, column, value, usual, raising, text
):
    found = stated(customer({column: usual}, **{column: value}), subject, column, raising=raising)
    assert (found and found[0]) == text


def test_a_table_has_no_similar_customers_and_says_what_is_usual():
    row = pd.DataFrame([{"cutoff": AS_OF, "attribute_monthly_charges": 90.0}])
    wording = Wording(attributes={"attribute_monthly_charges": "charges of the last month"})
    who = Customer(Rows.of(row, wording), 0, Peers(0, "all customers", {"attribute_monthly_charges": 70.0}))
    column = "attribute_monthly_charges"
    assert stated(who, f"attribute:{column}", column) == (
        "Charges of the last month: 90; usual is 70", "Charges of the last month: 90; di solito 70",
    )  # fmt: skip


def advice(feature: str) -> str:
    """What gives a feature a sentence: a count goes by its measure, the others by their subject."""
    if counted := re.fullmatch(r"(\w+)_count(_\d+d)?", feature):
        better = "say in _COUNTED of models/reasons/subjects.py whether more of it is better"
        return f"{counted[1]}_count: {better}, and add its nouns to _NOUNS of english.py and italian.py there."
    return f"{feature}: add it to the pattern of a subject in _SUBJECTS of models/reasons/subjects.py."


def test_every_feature_has_a_subject_with_a_sentence():
    names = [feature.name for feature in EVERY] + list(PRIOR_FEATURES)
    without = [name for name in names if subject_of(name).startswith("other:")]
    assert not without, " ".join(dict.fromkeys(map(advice, without)))
    strays = [f.name for f in EVERY if subject_of(f.name) == "channel" and f.theme != "channels"]
    assert not strays, f"Read as shares of a channel; add to the pattern of an earlier subject: {', '.join(strays)}."


@pytest.mark.parametrize("language", [English, Italian])
def test_whatever_is_counted_has_nouns_in_every_language(language: type[English | Italian]):
    def two(of: str) -> str:
        return language().count(of, 2, None, None)

    counted = {subject_of(feature.name).removeprefix("count:") for feature in EVERY if "_count" in feature.name}
    counted = {name for name in counted if subject_of(f"{name}_count") == f"count:{name}"}
    without = sorted(name for name in counted if two(name) == two("thing").replace("thing", spaced(name)))
    where = language.__module__.removeprefix("fedelta.").replace(".", "/")
    assert not without, f"Add to _NOUNS of {where}.py: {', '.join(without)}."


def test_where_nothing_fits_the_rhythm_is_stated_without_a_side():
    fact = neutral(customer({}, **RHYTHM, days_since_last_purchase=142.0))
    assert fact is not None
    assert in_words(fact)[0] == "Last order on 12 Aug, 142 days ago; they usually order every 31 days"


@pytest.mark.parametrize(("day", "text"), [(1, "il 1° gen"), (8, "l'8 gen"), (11, "l'11 gen"), (20, "il 20 gen")])
def test_italian_articles_go_with_the_day(day, text):
    assert text in Italian().recent("purchase", Day(date(2025, 1, day), 3), None)


def test_italian_points_and_commas():
    assert Italian().spent(1234.0, "EUR", None, Usual(5.5)) == "Spesa di 1.234 EUR finora; clienti simili: 5,50 EUR"
