"""A model that is too good: the question to ask before it is believed."""

from collections.abc import Mapping
from typing import Any

from fedelta.models.explain import says
from fedelta.models.leakage.column_evidence import TELLING_AUC


def questioned(measured: Mapping[str, Any], importance: Mapping[str, float], most: int = 3) -> str | None:
    """The question to ask of a model that is better than customers usually are predictable; None if it is not.

    Parameters
    ----------
    measured : mapping of model to its figures
        The churn models of an evaluation, the chosen one among them, on rows they did not learn from.
    importance : mapping of column to float
        Its share of what moves the scores.
    """
    auc = measured.get("chosen", {}).get("auc", {}).get("value")
    if auc is None or auc <= TELLING_AUC:
        return None
    first = sorted(importance.items(), key=lambda item: (-item[1], item[0]))[:most]
    named = "; ".join(f"{name} ({says(name)}): {share:.0%} of what moves the scores" for name, share in first)
    return (
        f"An AUC of {auc:.3f} is higher than a history of customers usually allows ({TELLING_AUC}). Was one of the "
        f"columns written at or after the outcome? The most important are {named}. Leave out what was not known at the "
        "cutoff, or declare since when it is known; where all of it was (contracts and usage can tell so much), the "
        "figure stands."
    )
