"""A model that is too good: the question to ask before it is believed."""

from collections.abc import Mapping

from models.explain import says
from models.telling import TELLING_AUC


def questioned(auc: float | None, importance: Mapping[str, float], most: int = 3) -> str | None:
    """The question to ask of a model that is better than customers usually are predictable; None if it is not.

    Parameters
    ----------
    auc
        Of the model, on rows it did not learn from; None where it is unknown.
    importance : mapping of column to float
        Its share of what moves the scores.
    """
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
