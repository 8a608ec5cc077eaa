"""Churn, lifetime value and loyalty from interaction histories.

`fedelta.fit` learns from a data frame; the rest of the public names are settings. They load when first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedelta.frames import (
        BadInteractions,
        ChurnSettings,
        ClvSettings,
        CutoffSettings,
        ExperienceSettings,
        FedeltaError,
        Model,
        Rule,
        fit,
    )

__all__ = [
    "BadInteractions", "ChurnSettings", "ClvSettings", "CutoffSettings", "ExperienceSettings", "FedeltaError", "Model",
    "Rule", "fit",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        try:
            return getattr(importlib.import_module("fedelta.frames"), name)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"fedelta.{name} needs {error.name}: install the extra `score` (pip install 'fedelta[score]').",
                name=error.name,
            ) from None
    raise AttributeError(f"module 'fedelta' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
