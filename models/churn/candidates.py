"""The churn models that compete, simplest first: found in ``candidate_models``, fitted, added up, saved and loaded."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fedelta.features.errors import meant
from fedelta.models.churn import candidate_models
from fedelta.models.churn.baselines import BASE
from fedelta.models.churn.candidate import Candidate, Component
from fedelta.models.churn.settings import BadCandidate, ChurnSettings
from fedelta.models.learning.settings import Prior
from fedelta.models.panel import Panel
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]
Weighted = tuple[tuple[float, Component], ...]


@cache
def candidates() -> Mapping[str, Candidate]:
    """Every candidate by name, simplest first: those that the modules of ``candidate_models`` declare.

    Raises
    ------
    BadCandidate
        If a module declares none, or two declare the same name.
    """
    found: list[Candidate] = []
    for module in sorted(held.name for held in pkgutil.iter_modules(candidate_models.__path__)):
        name = f"{candidate_models.__name__}.{module}"
        declared = getattr(importlib.import_module(name), "CANDIDATES", ())
        if not declared or not all(isinstance(one, Candidate) for one in declared):
            raise BadCandidate(f"{name} must declare CANDIDATES, a tuple of Candidate; move what is none elsewhere.")
        found += declared
    ordered = sorted(found, key=lambda one: one.place)
    names = [one.name for one in ordered]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadCandidate(f"Two candidates are named {twice[0]}; give one of them another name.")
    return dict(zip(names, ordered, strict=True))


def check_candidate(settings: ChurnSettings) -> None:
    """Refuse a candidate that does not exist, or that predicts purchases where cancellations are to be predicted.

    Raises
    ------
    BadCandidate
        If the settings name such a one, or have settings of a candidate that has no section of its own.
    """
    known = candidates()
    if settings.candidate not in ("auto", *known):
        allowed = ("auto", *known)
        raise BadCandidate(
            f"churn.candidate is {settings.candidate!r}; it must be one of {', '.join(allowed)}."
            f"{meant(settings.candidate, allowed)}"
        )
    own = [name for name, held in known.items() if held.settings]
    for name in settings.candidate_settings:
        if name not in own:
            raise BadCandidate(
                f"churn.candidate_settings: unknown {name}. Candidates with settings there: {', '.join(own) or 'none'}."
            )
    if (
        settings.definition != "inactivity"
        and settings.candidate != "auto"
        and known[settings.candidate].purchases_only
    ):
        others = [name for name, held in known.items() if not held.purchases_only]
        what = "a cancellation" if settings.definition == "event" else "what the company's labels say"
        raise BadCandidate(
            f"churn.candidate is {settings.candidate}, which predicts purchases, and churn.definition is "
            f"{settings.definition}, {what}; the candidate must be auto, {', '.join(others[:-1])} or {others[-1]}."
        )


def in_order(names: Iterable[str]) -> list[str]:
    """Names of candidates, simplest first: a tie goes to the one that comes first."""
    asked = set(names)
    return [name for name in candidates() if name in asked]


def competing(panel: Panel, settings: ChurnSettings, horizon_days: int) -> tuple[str, ...]:
    """The candidates that these rows allow, simplest first."""
    return tuple(name for name, held in candidates().items() if held.competes(panel, settings, horizon_days))


def fit_parts(
    names: Sequence[str], panel: Panel, settings: ChurnSettings, prior: Prior, threads: int
) -> dict[str, Component]:
    """Fit on the same rows what candidates are made of; what two of them share is fitted once."""
    rows = replace(panel)  # what candidates derive from them ends with this
    return {part: _fit(part, rows, settings, prior, threads) for part in _parts(dict.fromkeys(names, 1.0))}


def averaged(weights: Mapping[str, float], parts: Mapping[str, Floats]) -> Floats:
    """The weighted sum of candidates' log-odds (n_rows,), from those of their parts: as `fit_blend`, bit for bit."""
    return np.asarray(sum(weight * parts[part] for part, weight in _parts(weights).items()), np.float64)


def fit_blend(
    weights: Mapping[str, float], panel: Panel, settings: ChurnSettings, prior: Prior, threads: int
) -> Weighted:
    """Fit the candidates that have a weight, for their log-odds to be averaged with it."""
    fitted = fit_parts(list(weights), panel, settings, prior, threads)
    return tuple((weight, fitted[part]) for part, weight in _parts(weights).items())


def log_odds(components: Weighted, table: AnyTable) -> Floats:
    """The weighted sum of the components' log-odds (n_rows,)."""
    return np.asarray(sum(weight * component.log_odds(table) for weight, component in components), np.float64)


def contributions(components: Weighted, table: AnyTable) -> dict[str, Floats]:
    """The weighted sum of the components' contributions (n_rows,), by column, and `base`."""
    parts = [(weight, component.contributions(table)) for weight, component in components]
    names = dict.fromkeys([BASE, *(name for _, part in parts for name in part)])
    place = {name: number for number, name in enumerate(names)}
    total = np.zeros((len(names), len(table)))
    for weight, part in parts:
        total[[place[name] for name in part]] += weight * np.array(list(part.values()))
    return dict(zip(names, total, strict=True))


def component_from_dict(document: Mapping[str, Any], texts: Callable[[], Sequence[str]]) -> Component:
    """Back from JSON with its `kind`; ``texts()`` reads the text files of the component.

    Raises
    ------
    BadCandidate
        If no candidate has such components.
    """
    kinds = {held.component.kind: held.component for held in candidates().values() if held.component}
    if (kind := document["kind"]) not in kinds:
        raise BadCandidate(
            f"The saved churn model holds a component of kind {kind}, which no candidate has; known: "
            f"{', '.join(sorted(kinds))}. Bring back the candidate's module, or train again with `dvc repro --force`."
        )
    held = {name: value for name, value in document.items() if name not in ("kind", "weight")}
    return kinds[kind].from_dict(held, texts)


def _parts(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of what is fitted: a mean is its parts."""
    total: dict[str, float] = {}
    for name, weight in weights.items():
        parts = candidates()[name].averages or (name,)
        for part in parts:
            total[part] = total.get(part, 0.0) + weight / len(parts)
    return total


def _fit(name: str, panel: Panel, settings: ChurnSettings, prior: Prior, threads: int) -> Component:
    fit = candidates()[name].fit
    assert fit is not None  # a mean is its parts
    return fit(panel, settings, prior, threads)
