"""What a score takes from the run besides the models: settings, and all that depends on other customers, frozen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import TypeAdapter

from fedelta.features.attributes import Attribute
from fedelta.features.contract import CHANNELS, DIGITAL_CHANNELS, KINDS, SuppressionReason
from fedelta.features.errors import FedeltaError
from fedelta.features.experience_rules import ExperienceSettings
from fedelta.features.kernel import KernelSettings
from fedelta.features.relationship import USUAL, Relationship
from fedelta.models.base import Base
from fedelta.models.bundle import bundle_hash
from fedelta.models.policy.settings import PolicySettings
from fedelta.models.reasons.wording import Wording
from fedelta.models.value.margins import MarginShares

SETTINGS, CONTACTED = "settings.json", "contacted.parquet"
_CONTACTED = pl.Schema({"customer_id": pl.String(), "contacts": pl.Int64(), "suppression_reason": pl.String()})


class BadContext(FedeltaError):
    """What a run froze for its scores cannot be read, or is of another bundle."""


@dataclass(frozen=True)
class Settings:
    """The settings of a run, as far as a score depends on them."""

    as_of: datetime
    horizon_days: int
    lead_days: int
    model_version: str
    experience: ExperienceSettings
    policy: PolicySettings  # with what was measured of actions, where it asks for it
    relationship: Relationship = USUAL
    source: Literal["interactions", "table"] = "interactions"
    kinds: tuple[str, ...] = KINDS
    channels: tuple[str, ...] = CHANNELS
    digital_channels: tuple[str, ...] = DIGITAL_CHANNELS
    attributes: tuple[Attribute, ...] = ()
    currency: str = ""
    annual_discount: float = 0.1
    margins: MarginShares | None = None  # None: none are recorded
    wording: Wording = field(default_factory=Wording)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # of the training rows, by column

    @property
    def kernel(self) -> KernelSettings:
        """Those of the features."""
        return KernelSettings(self.experience, self.digital_channels, relationship=self.relationship)


@dataclass(frozen=True)
class ScoringContext:
    """Settings, the base (`models.base`), and who was contacted how often and must not be contacted now."""

    settings: Settings
    base: Base
    contacts: Mapping[str, int] = field(default_factory=dict)
    suppressed: Mapping[str, SuppressionReason] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write it into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        document = _adapter().dump_python(self.settings, mode="json")
        document["wording"]["fixed"] = sorted(document["wording"]["fixed"])
        text = json.dumps(document, indent=1, allow_nan=False)
        (folder / SETTINGS).write_text(text, encoding="utf-8")
        names = sorted({*self.contacts, *self.suppressed})
        pl.DataFrame(
            {
                "customer_id": names,
                "contacts": [self.contacts.get(name, 0) for name in names],
                "suppression_reason": [self.suppressed.get(name) for name in names],
            },
            schema=_CONTACTED,
        ).write_parquet(folder / CONTACTED)
        self.base.save(folder)

    @classmethod
    def load(cls, folder: Path) -> "ScoringContext":
        """Read what `save` wrote.

        Raises
        ------
        BadContext
            If it is not there, or damaged.
        """
        try:
            settings = load_settings(folder)
            rows = pl.read_parquet(folder / CONTACTED).rows()
            base = Base.load(folder)
        except FileNotFoundError as error:
            raise BadContext(
                f"{folder} lacks {Path(error.filename or SETTINGS).name}, which a run freezes for its scores. Run "
                "`dvc repro score` to write it."
            ) from None
        except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            why = " ".join(str(error).split())[:200]
            raise BadContext(f"{folder} is damaged ({why}). Run `dvc repro --force score` to write it anew.") from None
        contacts = {name: n for name, n, _ in rows if n}
        return cls(settings, base, contacts, {name: why for name, _, why in rows if why})

    def of_bundle(self, bundle: Path) -> "ScoringContext":
        """Itself, if the bundle is the one that it was frozen with.

        Raises
        ------
        BadContext
            If it is another.
        """
        if (found := bundle_hash(bundle)) != self.settings.model_version:
            raise BadContext(
                f"The scoring context is of the bundle {self.settings.model_version}; {bundle} is {found}. Run `dvc "
                "repro score`."
            )
        return self


def load_settings(folder: Path) -> Settings:
    """The settings alone of what `ScoringContext.save` wrote.

    Raises
    ------
    FileNotFoundError, ValueError
        If they are not there, or damaged.
    """
    return _adapter().validate_json((folder / SETTINGS).read_bytes())


@cache
def _adapter() -> TypeAdapter[Settings]:
    return TypeAdapter(Settings)
