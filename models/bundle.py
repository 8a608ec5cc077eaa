"""The saved form of a model: booster text and JSON, never a pickle. Each room saves and loads its own with these."""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from fedelta.features.errors import FedeltaError
from fedelta.features.registry import registry_hash

CONTRACT = "model.json"

Given = ParamSpec("Given")
Model = TypeVar("Model")


class BadBundle(FedeltaError):
    """A saved model cannot be read."""


def named_if_bad(load: Callable[Concatenate[Path, Given], Model]) -> Callable[Concatenate[Path, Given], Model]:
    """A loader that names the folder whatever its files hold instead of a model: it raises `BadBundle` for it."""

    @functools.wraps(load)
    def loads(folder: Path, /, *others: Given.args, **named: Given.kwargs) -> Model:
        try:
            return load(folder, *others, **named)
        except (BadBundle, OSError):
            raise
        except Exception as error:  # whatever a file that is no model does to its reader
            says = str(error).strip().partition("\n")[0]
            raise BadBundle(
                f"{folder} holds no model that can be loaded ({type(error).__name__}: {says}). "
                "Remove it and run `dvc repro`, which makes it anew."
            ) from error

    return loads


def write_model(
    folder: Path,
    contract: Mapping[str, object],
    boosters: Mapping[str, Sequence[str]] | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write a model: its contract with `facts` (cutoffs, base rates, metrics) as JSON, and boosters' texts by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in (boosters or {}).items():
        for number, text in enumerate(texts):
            (folder / f"{name}-{number}.txt").write_text(text, encoding="utf-8")
    document = {**contract, "registry": registry_hash(), **(facts or {})}
    (folder / CONTRACT).write_text(json.dumps(document, indent=1, sort_keys=True, allow_nan=False), encoding="utf-8")


def read_boosters(folder: Path, name: str) -> list[str]:
    """The texts of the boosters that were written under a name, in their order.

    Raises
    ------
    BadBundle
        If there are none, or one is cut short: LightGBM would end the process.
    """
    paths = sorted(folder.glob(f"{name}-*.txt"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))
    if not paths:
        raise BadBundle(f"{folder} lacks the boosters {name}-*.txt. Train again with `dvc repro --force`.")
    return [_whole(path, path.read_bytes()).decode("utf-8") for path in paths]


def _whole(path: Path, content: bytes) -> bytes:
    if not is_whole_booster(content.decode("utf-8", "replace")):
        raise BadBundle(f"{path} is cut short. Train again with `dvc repro --force`.")
    return content


def is_whole_booster(text: str) -> bool:
    """Whether the text is not that of a LightGBM booster, or reaches its end."""
    if not text.startswith("tree"):
        return bool(text)
    return "\nend of trees" in text and text.rstrip().rpartition("\n")[2].startswith("pandas_categorical:")


def read_contract(folder: Path) -> dict[str, Any]:
    """The JSON of a saved model.

    Raises
    ------
    BadBundle
        If it is absent, unreadable, or of another feature registry.
    """
    contract = read_json(folder)
    if contract.get("registry") != registry_hash():
        raise BadBundle(
            f"The model in {folder} was trained on other features than this version computes. Run `dvc repro`."
        )
    return contract


def read_json(folder: Path) -> dict[str, Any]:
    """The JSON of a saved model, whatever features it was trained on.

    Raises
    ------
    BadBundle
        If it is absent or unreadable.
    """
    try:
        contract: dict[str, Any] = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadBundle(f"{folder} holds no model. Train one with `dvc repro`.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadBundle(f"{folder / CONTRACT} is damaged ({error}). Train again with `dvc repro --force`.") from None
    if not isinstance(contract, dict):
        raise BadBundle(f"{folder / CONTRACT} is no JSON object. Train again with `dvc repro --force`.")
    return contract


def bundle_hash(folder: Path) -> str:
    """Fingerprint of every file of a bundle: the version of the model.

    Raises
    ------
    BadBundle
        If a booster is cut short: what nobody can load has no version.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        content = path.read_bytes()
        digest.update(_whole(path, content) if path.suffix == ".txt" else content)
    return digest.hexdigest()[:12]
