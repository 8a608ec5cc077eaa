"""The saved form: what was trained is what is served, and a model of other features is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from fedelta.models.bundle import BadBundle, bundle_hash, read_contract
from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.churn.storage import load_churn, save_churn
from fedelta.models.panel import Panel
from fedelta.models.peers import fit_peers
from fedelta.models.value.model import ClvModel
from fedelta.models.value.storage import load_clv, save_clv

FACTS = {"training": [{"cutoff": "2025-07-01", "churn_rate": 0.25}]}


def changed(folder: Path, **entries: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_a_churn_model_comes_back_with_identical_predictions(
    churn: ChurnModel, building_churn: ChurnModel, to_score: pd.DataFrame, tmp_path: Path
):
    for name, model in (("features", churn), ("init_score", building_churn)):
        save_churn(model, tmp_path / name, FACTS)
        loaded = load_churn(tmp_path / name)
        assert loaded.churn_probability(to_score).tolist() == model.churn_probability(to_score).tolist()
        assert (loaded.name, loaded.encoding, loaded.prior) == (model.name, model.encoding, model.prior)
        assert (loaded.calibrator, loaded.selection) == (model.calibrator, model.selection)
        assert (loaded.horizon_days, loaded.lead_days) == (60, 0)


@pytest.mark.parametrize(
    "name", ["constant", "hiatus", "pareto_nbd", "bg_nbd", "logistic", "lightgbm_defaults", "auto"]
)
def test_whichever_candidate_was_chosen_comes_back_with_identical_predictions(
    train: Panel, to_score: pd.DataFrame, tmp_path: Path, name: str
):
    settings = ChurnSettings(num_iterations=3, seeds=1, candidate=name)
    model = fit_churn(train, settings, horizon_days=60, lead_days=0, threads=1)
    save_churn(model, tmp_path, FACTS)
    loaded = load_churn(tmp_path)
    assert loaded.churn_probability(to_score).tolist() == model.churn_probability(to_score).tolist()
    assert loaded.selection == model.selection
    assert read_contract(tmp_path)["candidate"] == model.name


def test_the_peers_come_back_and_a_bundle_of_before_them_has_none(churn: ChurnModel, train: Panel, tmp_path: Path):
    model = replace(churn, peers=fit_peers(train.table, churn.encoding))
    save_churn(model, tmp_path, FACTS)
    assert load_churn(tmp_path).peers == model.peers != ()
    contract = json.loads((tmp_path / "model.json").read_text())
    del contract["peers"]
    (tmp_path / "model.json").write_text(json.dumps(contract))
    assert load_churn(tmp_path).peers == ()


def test_a_lifetime_value_model_comes_back_with_identical_predictions(
    clv: ClvModel, to_score: pd.DataFrame, tmp_path: Path
):
    save_clv(clv, tmp_path / "clv", FACTS)
    loaded = load_clv(tmp_path / "clv")
    assert loaded is not None
    assert loaded.expected_spend(to_score).tolist() == clv.expected_spend(to_score).tolist()


def test_that_no_value_could_be_learned_is_saved_too(tmp_path: Path):
    save_clv(None, tmp_path / "clv", FACTS)
    assert load_clv(tmp_path / "clv") is None


def test_a_model_saved_twice_is_the_same_bytes_and_one_version(churn: ChurnModel, tmp_path: Path):
    for name in ("a", "b"):
        save_churn(churn, tmp_path / name, FACTS)
    assert bundle_hash(tmp_path / "a") == bundle_hash(tmp_path / "b")
    changed(tmp_path / "b", training=[])
    assert bundle_hash(tmp_path / "a") != bundle_hash(tmp_path / "b")


def test_a_bundle_is_text_and_holds_the_facts_of_its_training(churn: ChurnModel, tmp_path: Path):
    save_churn(churn, tmp_path / "churn", FACTS)
    assert {path.suffix for path in (tmp_path / "churn").iterdir()} == {".json", ".txt"}
    assert read_contract(tmp_path / "churn")["training"] == FACTS["training"]


def test_a_model_of_other_features_is_refused(churn: ChurnModel, tmp_path: Path):
    save_churn(churn, tmp_path, FACTS)
    changed(tmp_path, registry="0123456789abcdef")
    with pytest.raises(BadBundle, match=r"trained on other features than this version computes\. Run `dvc repro`"):
        load_churn(tmp_path)


def test_a_folder_without_a_model_says_how_to_get_one(tmp_path: Path):
    with pytest.raises(BadBundle, match="holds no model. Train one with `dvc repro`".replace(".", r"\.")):
        load_churn(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_a_damaged_contract_is_refused_in_one_line(tmp_path: Path, content: bytes):
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(BadBundle, match="is damaged") as refused:
        load_clv(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_bundle_that_lost_its_boosters_is_refused(churn: ChurnModel, tmp_path: Path):
    save_churn(churn, tmp_path, FACTS)
    for path in tmp_path.glob("churn-*.txt"):
        path.unlink()
    with pytest.raises(BadBundle, match=r"lacks the boosters churn-0-\*\.txt"):
        load_churn(tmp_path)
