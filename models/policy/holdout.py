"""The control group (holdout): customers drawn at random and never contacted, to measure what contacting achieves."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedelta.models.policy.settings import HoldoutSettings


def held_out(customer_ids: Sequence[str], settings: HoldoutSettings) -> npt.NDArray[np.bool_]:
    """Whether each customer is held out, shape (n_customers,).

    A customer's draw is a hash of salt and id alone, so it is the same in every run, process and machine, whoever else
    is a customer. A larger share keeps all who were held out before and adds others.
    """
    edge = int(settings.share * 2**64)
    seeded = hashlib.blake2b(f"{settings.salt}\0".encode(), digest_size=8)
    return np.fromiter((_draw(seeded, name) < edge for name in customer_ids), dtype=np.bool_, count=len(customer_ids))


def _draw(seeded: "hashlib.blake2b", customer_id: str) -> int:
    """A whole number from 0 to 2^64 − 1."""
    drawn = seeded.copy()
    drawn.update(customer_id.encode())
    return int.from_bytes(drawn.digest(), "big")
