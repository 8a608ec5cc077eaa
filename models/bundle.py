"""The saved form of a model: booster text and JSON, never a pickle. The only module of the core that touches files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import ExplainedError
from features.registry import registry_hash
from models.boosting import Ensemble
from models.calibration import Calibrator
from models.churn import ChurnModel
from models.clv import ClvModel
from models.encoding import Encoding

CONTRACT = "model.json"


class BadBundle(ExplainedError):
    """A saved model cannot be read."""


def save_churn(model: ChurnModel, folder: Path, facts: Mapping[str, object]) -> None:
    """Write a churn model; `facts` (cutoffs, base rates, metrics) are kept beside its contract."""
    contract = {
        "model": "churn",
        "horizon_days": model.horizon_days,
        "lead_days": model.lead_days,
        "prior": model.prior,
        "calibrator": model.calibrator.to_dict(),
        "encoding": model.encoding.to_dict(),
    }
    _save(folder, contract, {"churn": model.ensemble}, facts)


def load_churn(folder: Path) -> ChurnModel:
    """Read a churn model.

    Raises
    ------
    BadBundle
        If the folder holds none, or it was trained on other features than this program computes.
    """
    contract = read_contract(folder)
    return ChurnModel(
        _ensemble(folder, "churn"),
        Encoding.from_dict(contract["encoding"]),
        contract["prior"],
        Calibrator.from_dict(contract["calibrator"]),
        contract["horizon_days"],
        contract["lead_days"],
    )


def save_clv(model: ClvModel | None, folder: Path, facts: Mapping[str, object]) -> None:
    """Write a lifetime-value model and `facts`; None (no money in the source) is written as such."""
    if model is None:
        _save(folder, {"model": "clv", "learned": False}, {}, facts)
        return
    contract = {
        "model": "clv",
        "learned": True,
        "horizon_days": model.horizon_days,
        "lead_days": model.lead_days,
        "prior": model.prior,
        "scale": model.scale,
        "encoding": model.encoding.to_dict(),
    }
    _save(folder, contract, {"tweedie": model.tweedie, "buys": model.buys, "spends": model.spends}, facts)


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
    return ClvModel(
        _ensemble(folder, "tweedie"),
        _ensemble(folder, "buys"),
        _ensemble(folder, "spends"),
        Encoding.from_dict(contract["encoding"]),
        contract["prior"],
        contract["scale"],
        contract["horizon_days"],
        contract["lead_days"],
    )


def read_contract(folder: Path) -> dict[str, Any]:
    """The JSON of a saved model.

    Raises
    ------
    BadBundle
        If it is absent, unreadable, or of another feature registry.
    """
    try:
        contract: dict[str, Any] = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadBundle(f"{folder} holds no model. Train one with `dvc repro`.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadBundle(f"{folder / CONTRACT} is damaged ({error}). Train again with `dvc repro --force`.") from None
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
