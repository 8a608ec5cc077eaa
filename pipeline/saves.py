"""What was measured of treatments, as the stage ``measure`` wrote it: for settings that ask for it, and the report."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from fedelta.features.errors import FedeltaError
from fedelta.models.incrementality.measured import with_measured
from fedelta.models.policy.settings import PolicySettings
from fedelta.pipeline import paths


class BadSaves(FedeltaError):
    """The report of what was measured is damaged, or of another version."""


def read_saves() -> Mapping[str, Any] | None:
    """The report; None where nothing was measured yet.

    Raises
    ------
    BadSaves
        If it cannot be read.
    """
    try:
        held = json.loads(paths.SAVES_REPORT.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:  # no JSON, or no UTF-8
        held = {}
    if "comparisons" not in held:
        raise BadSaves(f"{paths.SAVES_REPORT} is damaged. Run `dvc repro --force measure` to write it anew.")
    return dict(held)


def policy_in_use(policy: PolicySettings, *, tell: bool = False) -> PolicySettings:
    """The policy with the measured success of actions wherever the settings ask for it; `tell` prints what it is."""
    found, words = with_measured(policy, read_saves())
    for line in words if tell else ():
        print(f"policy: {line}", file=sys.stderr)
    return found
