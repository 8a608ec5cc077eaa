"""The saved form of a model: booster text and JSON, never a pickle. The only module of the core that touches files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.errors import ExplainedError
from features.registry import registry_hash
from models.boosting import Ensemble
from models.calibration import Calibrator
from models.candidates import Trees, component_from_dict, component_to_dict
from models.churn import ChurnModel
from models.clv import ClvModel, OrdersModel, ValueModel
from models.conformal import Intervals
from models.encoding import Encoding
from models.level import Level
from models.loyalty import LoyaltyModel
from models.peers import Peers
from models.persona_traits import BY_COLUMN
from models.personas import PersonaModel
from models.season import Season
from models.selection import Standing
from models.shrinkage import Prior
from models.value_selection import Standing as ValueStanding
from models.value_trees import ValueTrees

CONTRACT = "model.json"


class BadBundle(ExplainedError):
    """A saved model cannot be read."""


def save_churn(model: ChurnModel, folder: Path, facts: Mapping[str, object]) -> None:
    """Write a churn model; `facts` (cutoffs, base rates, metrics) are kept beside its contract."""
    parts = [{"weight": weight, **component_to_dict(part)} for weight, part in model.components]
    contract = {
        "model": "churn",
        "candidate": model.name,
        "horizon_days": model.horizon_days,
        "lead_days": model.lead_days,
        "prior": model.prior,
        "calibrator": model.calibrator.to_dict(),
        "season": model.season.to_dict(),
        "components": parts,
        "selection": [standing.to_dict() for standing in model.selection],
        "note": model.note,
        "peers": [group.to_dict() for group in model.peers],
    }
    trees = {f"churn-{i}": part.ensemble for i, (_, part) in enumerate(model.components) if isinstance(part, Trees)}
    _save(folder, contract, trees, facts)


def load_churn(folder: Path) -> ChurnModel:
    """Read a churn model.

    Raises
    ------
    BadBundle
        If the folder holds none, or it was trained on other features than this program computes.
    """
    contract = read_contract(folder)
    parts = tuple(
        (
            float(held["weight"]),
            component_from_dict(held, _ensemble(folder, f"churn-{i}") if held["kind"] == "trees" else None),
        )
        for i, held in enumerate(contract["components"])
    )
    return ChurnModel(
        contract["candidate"],
        parts,
        Calibrator.from_dict(contract["calibrator"]),
        contract["horizon_days"],
        contract["lead_days"],
        tuple(Standing.from_dict(held) for held in contract["selection"]),
        contract["note"],
        _season(contract),
        tuple(Peers.from_dict(held) for held in contract.get("peers", ())),
    )


def save_clv(
    model: ClvModel | None, folder: Path, facts: Mapping[str, object], orders: OrdersModel | None = None
) -> None:
    """Write a lifetime-value model, that of orders, and `facts`; None (no money in the source) is written as such."""
    ensembles: dict[str, Ensemble] = {}
    contract: dict[str, object] = {"model": "clv", "learned": model is not None}
    for what, held in (("spend", model), ("orders", orders)):
        contract[what] = held and _value_contract(held)
        ensembles |= {f"{what}.{part}": grown for part, grown in held.trees.ensembles.items()} if held else {}
    if model:
        contract |= {"scale": model.level.scale, "intervals": model.intervals and model.intervals.to_dict()}
    _save(folder, contract, ensembles, facts)


def load_clv(folder: Path) -> ClvModel | None:
    """Read a lifetime-value model; None where none could be learned.

    Raises
    ------
    BadBundle
        As `load_churn`.
    """
    contract = read_contract(folder)
    if not contract["learned"]:
        return None
    held = contract["intervals"]
    return ClvModel(*_value_parts(contract["spend"], "spend", folder), held and Intervals.from_dict(held))


def load_orders(folder: Path) -> OrdersModel | None:
    """Read the model of orders that was saved with that of lifetime value; None where there is none.

    Raises
    ------
    BadBundle
        As `load_churn`.
    """
    held = read_contract(folder)["orders"]
    return held and OrdersModel(*_value_parts(held, "orders", folder))


def save_loyalty(model: LoyaltyModel, folder: Path, facts: Mapping[str, object]) -> None:
    """Write what tells loyal customers from others."""
    _save(folder, {"model": "loyalty", "loyalty": model.to_dict()}, {}, facts)


def load_loyalty(folder: Path) -> LoyaltyModel:
    """Read what tells loyal customers from others.

    Raises
    ------
    BadBundle
        As `load_churn`.
    """
    return LoyaltyModel.from_dict(read_contract(folder)["loyalty"])


def save_personas(model: PersonaModel, folder: Path, source: str) -> None:
    """Write the personas found in a source: what the next run remembers."""
    _save(folder, {"model": "personas", "personas": model.to_dict(), "source": source}, {}, {})


def load_personas(folder: Path) -> PersonaModel:
    """Read the personas.

    Raises
    ------
    BadBundle
        As `load_churn`.
    """
    return PersonaModel.from_dict(read_contract(folder)["personas"])


def remembered_personas(folder: Path, source: str) -> PersonaModel | None:
    """The personas of the run before; None if there was none, or of another source or by traits we no longer know.

    Raises
    ------
    BadBundle
        If they are unreadable: without them, ids would silently go to other people.
    """
    if not (folder / CONTRACT).exists():
        return None
    contract = _read_json(folder)
    known = all(scale["column"] in BY_COLUMN for scale in contract["personas"]["scales"])
    return PersonaModel.from_dict(contract["personas"]) if known and contract["source"] == source else None


def save_experience(base: Mapping[str, Prior], rules: Sequence[str], folder: Path) -> None:
    """Write what is expected of a customer nobody knows, by pillar and level, and the rules that the data break.

    The indexes of another population are shrunk to it (`load_experience`), so that they mean the same.
    """
    held = {name: {"mean": prior.mean, "strength": prior.strength} for name, prior in base.items()}
    _save(folder, {"model": "experience", "priors": held, "rules": list(rules)}, {}, {})


def load_experience(folder: Path) -> tuple[dict[str, Prior], tuple[str, ...]]:
    """Read them.

    Raises
    ------
    BadBundle
        As `load_churn`.
    """
    contract = read_contract(folder)
    return {name: Prior(**held) for name, held in contract["priors"].items()}, tuple(contract["rules"])


def read_contract(folder: Path) -> dict[str, Any]:
    """The JSON of a saved model.

    Raises
    ------
    BadBundle
        If it is absent, unreadable, or of another feature registry.
    """
    contract = _read_json(folder)
    if contract.get("registry") != registry_hash():
        raise BadBundle(
            f"The model in {folder} was trained on other features than this version computes. Run `dvc repro`."
        )
    return contract


def bundle_hash(folder: Path) -> str:
    """Fingerprint of every file of a bundle: the version of the model."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _value_contract(model: ValueModel) -> dict[str, object]:
    return {
        "candidate": model.chosen,
        "parts": list(model.trees.ensembles),
        "prior": model.trees.prior,
        "encoding": model.trees.encoding.to_dict(),
        "level": asdict(model.level),
        "season": model.season.to_dict(),
        "horizon_days": model.horizon_days,
        "lead_days": model.lead_days,
        "selection": [standing.to_dict() for standing in model.standings],
        "note": model.note,
    }


def _value_parts(
    held: Mapping[str, Any], what: str, folder: Path
) -> tuple[Any, ValueTrees, Level, int, int, tuple[ValueStanding, ...], str, Season]:
    ensembles = {part: _ensemble(folder, f"{what}.{part}") for part in held["parts"]}
    return (
        held["candidate"],
        ValueTrees(ensembles, Encoding.from_dict(held["encoding"]), held["prior"]),
        Level(**held["level"]),
        held["horizon_days"],
        held["lead_days"],
        tuple(ValueStanding.from_dict(standing) for standing in held["selection"]),
        held["note"],
        _season(held),
    )


def _season(held: Mapping[str, Any]) -> Season:
    return Season.from_dict(held["season"]) if "season" in held else Season()


def _read_json(folder: Path) -> dict[str, Any]:
    try:
        contract: dict[str, Any] = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadBundle(f"{folder} holds no model. Train one with `dvc repro`.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadBundle(f"{folder / CONTRACT} is damaged ({error}). Train again with `dvc repro --force`.") from None
    return contract


def _save(
    folder: Path, contract: Mapping[str, object], ensembles: Mapping[str, Ensemble], facts: Mapping[str, object]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, ensemble in ensembles.items():
        for number, text in enumerate(ensemble.to_text()):
            (folder / f"{name}-{number}.txt").write_text(text, encoding="utf-8")
    document = {**contract, "registry": registry_hash(), **facts}
    (folder / CONTRACT).write_text(json.dumps(document, indent=1, sort_keys=True, allow_nan=False), encoding="utf-8")


def _ensemble(folder: Path, name: str) -> Ensemble:
    paths = sorted(folder.glob(f"{name}-*.txt"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))
    if not paths:
        raise BadBundle(f"{folder} lacks the boosters {name}-*.txt. Train again with `dvc repro --force`.")
    return Ensemble.from_text([path.read_text(encoding="utf-8") for path in paths])
