"""The purchase models on disk."""

import json
from datetime import datetime
from pathlib import Path

from fedelta.models.btyd.purchase_prior import PurchasePrior
from fedelta.models.bundle import CONTRACT, BadBundle, named_if_bad


@named_if_bad
def load_prior(folder: Path, as_of: datetime | None) -> PurchasePrior | None:
    """The purchase models that were fitted at a cutoff (None: the latest); None where there are none.

    Raises
    ------
    BadBundle
        If their file is missing or damaged.
    """
    path = folder / CONTRACT
    try:
        fitted = json.loads(path.read_text(encoding="utf-8"))
        held = fitted.get(f"{as_of:%Y-%m-%d}" if as_of else max(fitted, default=None))
        return PurchasePrior.from_dict(held) if held else None
    except FileNotFoundError:
        raise BadBundle(f"{path} is missing. Fit again with `dvc repro --force fit_btyd`.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadBundle(f"{path} is damaged ({error}). Fit again with `dvc repro --force fit_btyd`.") from None
