"""Personas: kinds of customers that both halves of a base agree on, whose ids stay with their people."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedelta.models.bundle import BadBundle
from fedelta.models.encoding import MissingFeatures
from fedelta.models.loyalty.persona_cards import cards
from fedelta.models.loyalty.persona_search import find_personas
from fedelta.models.loyalty.persona_traits import TRAITS, points, scales_of
from fedelta.models.loyalty.personas import Persona, PersonaModel
from fedelta.models.loyalty.settings import BadPersonaSettings, PersonaSettings
from fedelta.models.loyalty.storage import load_personas, remembered_personas, save_personas

SETTINGS = PersonaSettings()
EVIDENCE = ("interaction_count_365d", "message_count_90d", "delivery_count_365d", "rated_count_365d")
# What each kind does a year: purchases, visits, spend, share of app, share of store, rate of bad experiences.
KINDS = {
    "app": (24, 60, 900.0, 0.8, 0.0, 0.02),
    "store": (12, 1, 1500.0, 0.0, 0.8, 0.02),
    "hurt": (3, 8, 90.0, 0.3, 0.3, 0.3),
}


def base_of(sizes: dict[str, int], seed: int = 1, **everyone: Any) -> pd.DataFrame:
    """Customers of some kinds, which differ in six traits; in all others people differ by chance."""
    chance = np.random.default_rng(seed)
    n = sum(sizes.values())
    kinds = np.repeat(list(sizes), list(sizes.values()))
    typical = np.array([KINDS[kind] for kind in kinds])
    noisy = typical * chance.lognormal(0, 0.15, typical.shape)
    columns: dict[str, Any] = {trait.column: chance.uniform(0, 1, n) for trait in TRAITS}
    columns |= {name: np.full(n, 40) for name in EVIDENCE}
    columns |= {
        "customer_id": [f"{kind}{number}" for number, kind in enumerate(kinds)],
        "purchase_count_365d": noisy[:, 0], "visit_count_365d": noisy[:, 1], "spend_365d": noisy[:, 2],
        "app_share_365d": noisy[:, 3], "store_share_365d": noisy[:, 4], "bad_experience_rate_365d": noisy[:, 5],
        "return_count_365d": 0, "delivery_count_365d": 40, "mean_purchase_gap_days": 365 / noisy[:, 0],
        "pareto_expected_spend": noisy[:, 2] / 4,
    }  # fmt: skip
    return pd.DataFrame({**columns, **everyone})


def similar(customers: int, seed: int = 1) -> pd.DataFrame:
    """Customers of one kind who differ by chance alone."""
    chance = np.random.default_rng(seed)
    noise = {trait.column: chance.normal(5, 1, customers).clip(0) for trait in TRAITS}
    return base_of({"app": customers}).assign(**noise)


def kinds_of(model: PersonaModel, table: pd.DataFrame) -> dict[str, str]:
    """The kind of most people of each persona, by the persona's id."""
    label, kinds = model.nearest(table), table["customer_id"].str.rstrip("0123456789").to_numpy()
    return {one.id: str(pd.Series(kinds[label == at]).mode()[0]) for at, one in enumerate(model.personas)}


THREE = {"app": 300, "store": 200, "hurt": 100}


def test_three_kinds_of_customers_are_three_personas_with_plain_names_of_their_own():
    table = base_of(THREE)
    model = find_personas(table, SETTINGS).model
    assert kinds_of(model, table) == {"p1": "app", "p2": "store", "p3": "hurt"}
    assert (
        pd.crosstab(model.assign(table), table["customer_id"].str.rstrip("0123456789")).to_numpy().max(1).sum() >= 590
    )
    names = [one.name for one in model.personas]
    assert len(set(names)) == 3
    assert names == ["browsing app customers", "seldom browsing store customers", "infrequent low-spending customers"]


def test_customers_who_differ_by_chance_alone_are_one_persona():
    found = find_personas(similar(1500), SETTINGS)
    assert found.model.personas == ()
    assert str(found.model.reason).startswith("The base is one persona")
    assert found.model.assign(similar(3)).tolist() == [None] * 3


@pytest.mark.parametrize("customers", [0, 1, 199])
def test_too_few_customers_have_no_personas_and_it_is_reported(customers: int):
    found = find_personas(base_of(THREE).head(customers), SETTINGS)
    assert found.model.reason == (
        f"No personas: {customers} customers are too few to tell kinds of them apart (200 are needed)."
    )


def test_purchases_alone_tell_value_but_no_persona():
    unknown = {trait.column: np.nan for trait in TRAITS if trait.theme in ("channels", "experience")}
    found = find_personas(base_of(THREE, **unknown), SETTINGS)
    assert found.model.personas == ()
    assert "no channel and no experience" in str(found.model.reason)


def test_customers_who_do_not_differ_at_all_break_nothing():
    same = base_of(THREE)
    same.loc[:, [trait.column for trait in TRAITS]] = 1.0
    assert find_personas(same, SETTINGS).model.personas == ()
    same["app_share_365d"] = np.arange(600) % 2 / 1.0  # one trait alone is a filter, not a persona
    assert "no traits go together" in str(find_personas(same, SETTINGS).model.reason)


def test_a_second_run_on_the_same_customers_changes_not_a_byte(tmp_path: Path):
    table = base_of(THREE)
    save_personas(find_personas(table, SETTINGS).model, tmp_path / "first", "demo")
    memory = remembered_personas(tmp_path / "first", "demo")
    save_personas(find_personas(table, SETTINGS, memory).model, tmp_path / "second", "demo")
    assert (tmp_path / "first" / "model.json").read_bytes() == (tmp_path / "second" / "model.json").read_bytes()


def test_new_personas_of_the_same_people_take_over_their_ids_and_a_third_run_changes_nothing():
    table, first = base_of(THREE), find_personas(base_of(THREE), SETTINGS).model
    swapped = {"p1": "p3", "p2": "p1", "p3": "p2"}  # as an earlier base, in another order, would have given them
    # That base's app customers were more like store customers: some of today's are nearer to the wrong centre.
    app, store, hurt = (np.array(one.centre) for one in first.personas)
    off = (0.5 * app + 0.5 * store, store, hurt)
    personas = tuple(Persona(swapped[p.id], p.name, tuple(at)) for p, at in zip(first.personas, off, strict=True))
    before = replace(first, personas=personas, born=7)
    exact = replace(SETTINGS, kept_within=0.0)
    second = find_personas(table, exact, before)
    assert not second.kept
    assert {one.name: one.id for one in second.model.personas} == {one.name: one.id for one in personas}
    assert [one.centre for one in second.model.personas] == [one.centre for one in first.personas]
    assert find_personas(table, exact, second.model).model == second.model


def test_a_persona_that_is_new_gets_an_id_nobody_ever_had_and_the_others_keep_theirs():
    old = base_of({"app": 300, "store": 200})
    first = find_personas(old, SETTINGS).model
    assert kinds_of(first, old) == {"p1": "app", "p2": "store"}
    grown = base_of(THREE, seed=2)
    second = find_personas(grown, SETTINGS, first).model
    assert kinds_of(second, grown) == {"p1": "app", "p2": "store", "p3": "hurt"}
    assert {one.name for one in first.personas} <= {one.name for one in second.personas}
    shrunk = find_personas(old, SETTINGS, second).model
    assert kinds_of(shrunk, old) == {"p1": "app", "p2": "store"}
    assert kinds_of(find_personas(grown, SETTINGS, shrunk).model, grown) == {"p1": "app", "p2": "store", "p4": "hurt"}


def test_a_month_of_chance_moves_few_customers_and_no_persona():
    one, other = base_of(THREE, seed=1), base_of(THREE, seed=2)
    first = find_personas(one, SETTINGS)
    second = find_personas(other, SETTINGS, first.model)
    assert second.kept
    assert np.mean(first.model.assign(one) == second.model.assign(other)) > 0.95


def test_ids_and_names_are_remembered_only_of_the_same_source(tmp_path: Path):
    assert remembered_personas(tmp_path, "demo") is None
    model = find_personas(base_of(THREE), SETTINGS).model
    save_personas(model, tmp_path, "demo")
    assert remembered_personas(tmp_path, "demo") == load_personas(tmp_path) == model
    assert remembered_personas(tmp_path, "cdnow") is None
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(BadBundle, match="is damaged"):
        remembered_personas(tmp_path, "demo")


def test_who_a_customer_is_does_not_depend_on_who_else_is_asked():
    table = base_of(THREE)
    model = find_personas(table, SETTINGS).model
    shuffled = table.sample(frac=1, random_state=1)
    assert dict(zip(shuffled["customer_id"], model.assign(shuffled), strict=True)) == dict(
        zip(table["customer_id"], model.assign(table), strict=True)
    )
    assert model.assign(table.iloc[[5]]).tolist() == [model.assign(table)[5]]


def test_a_rate_that_rests_on_one_interaction_hardly_places_a_customer():
    table = base_of(THREE)
    scales = scales_of(table)
    at = [scale.column for scale in scales].index("app_share_365d")
    many, few, none = (points(table.assign(interaction_count_365d=count), scales)[0, at] for count in (1000, 1, 0))
    assert few == pytest.approx(many / 1000 * 1005 / 6)
    assert none == 0


def test_a_table_without_a_trait_is_refused_by_name():
    model = find_personas(base_of(THREE), SETTINGS).model
    with pytest.raises(MissingFeatures, match=r"need \['app_share_365d'\], which the table lacks"):
        model.assign(base_of(THREE).drop(columns="app_share_365d"))


def test_a_card_tells_what_a_persona_does_praises_and_complains_about():
    table = base_of(THREE)
    model = find_personas(table, SETTINGS).model
    hurt = table["customer_id"][table["customer_id"].str.startswith("hurt")]
    complaints = pd.DataFrame({"customer_id": [*hurt, *hurt, "app0"], "what": ["late delivery"] * 200 + ["outage"]})
    praise = pd.DataFrame({"customer_id": ["app0"] * 3, "what": ["survey"] * 3})
    app, store, let_down = cards(model, table, praise, complaints)
    assert let_down.complains == ("late delivery: 200.0 per 100 customers, of all 33.3",)
    assert (app.praises, app.complains, store.complains) == ((), (), ())  # three words are an anecdote
    assert app.share == app.customers / 600 == pytest.approx(0.5, abs=0.01)
    assert any(line.startswith("share of interactions through app 0.8") for line in app.apart)
    assert app.does[2].startswith("through app 8")
    assert sum(card.value["share_of_spend_365d"] for card in (app, store, let_down)) == pytest.approx(1)
    assert cards(model, table[table["customer_id"].isin(hurt)], praise, complaints)[0].id == "p3"


@pytest.mark.parametrize("wrong", [{"most": 6}, {"most": 1}, {"least_stability": 1.0}, {"sample": 10}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]):
    with pytest.raises(BadPersonaSettings, match=r"^personas: .*most must be 2 to 5"):
        PersonaSettings(**wrong)
