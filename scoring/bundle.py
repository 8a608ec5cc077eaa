"""Every model of a bundle that gives scores."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fedelta.features.contract import NextStatus
from fedelta.models.btyd.storage import load_prior
from fedelta.models.churn.storage import load_churn
from fedelta.models.experience.shrinkage import Prior
from fedelta.models.experience.storage import load_experience
from fedelta.models.leaving.storage import load_leaving
from fedelta.models.loyalty.storage import load_loyalty, load_personas
from fedelta.models.next_purchase.model import NextModel
from fedelta.models.next_purchase.storage import load_next
from fedelta.models.scoring import Models
from fedelta.models.uplift.storage import load_uplift
from fedelta.models.value.storage import load_clv, load_orders


@dataclass(frozen=True)
class Bundle:
    """The models of scores, those of the next purchase, and what the indexes of experience are shrunk to."""

    models: Models
    next_model: NextModel | None
    next_status: NextStatus | None  # why there is no model of the next purchase
    experience: dict[str, Prior]
    rules: tuple[str, ...]  # of bad experiences, those that the data of the run broke

    @classmethod
    def load(cls, folder: Path, as_of: datetime, definition: str) -> "Bundle":
        """Read the delivered models, and the purchase models of the scoring cutoff.

        Raises
        ------
        BadBundle
            If one is missing, damaged, or was trained on other features than this program computes.
        """
        return cls(
            load_models(folder, as_of, definition),
            *load_next(folder / "next" / "delivered"),
            *(load_experience(folder / "experience") if (folder / "experience").is_dir() else ({}, ())),
        )


def load_models(folder: Path, as_of: datetime, definition: str) -> Models:
    """The models that `models.scoring.score` reads, of a bundle's folder.

    Raises
    ------
    BadBundle
        As `Bundle.load`.
    """
    delivered = {name: folder / name / "delivered" for name in ("churn", "clv")}
    return Models(
        load_churn(delivered["churn"]),
        load_clv(delivered["clv"]),
        load_orders(delivered["clv"]),
        load_prior(folder / "btyd", as_of),
        load_loyalty(folder / "loyalty"),
        load_personas(folder / "personas"),
        definition,
        load_leaving(folder / "leaving"),
        load_uplift(folder / "uplift"),
    )
