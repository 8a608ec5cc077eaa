"""Which share of a customer's spend is left after costs: their own record, as far as it can be relied on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.models.rounding import FITTED, significant

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MarginShares:
    """Shares of spend that are left after costs, by Bühlmann and Straub's credibility with spend as the weight.

    A customer's recorded share counts with amount / (amount + `outweighs`), the level of all for the rest. Source:
    Bühlmann and Gisler, *A Course in Credibility Theory* (2005), sections 4.2 and 4.8.

    Attributes
    ----------
    level : float
        Margin over amount of all purchases together.
    outweighs : float, optional
        Amount at which a customer's own record counts one half: variance within over variance between customers; None
        if customers do not differ by more than chance, so that all have the level.
    """

    level: float
    outweighs: float | None

    @classmethod
    def fit(cls, recorded: pl.DataFrame) -> "MarginShares | None":
        """Learn from what `features.margins.margins_before` returns; None if no margin is recorded."""
        amount, margin = (recorded[name].to_numpy() for name in ("amount", "margin"))
        if not amount.sum() > 0:
            return None
        level = margin.sum() / amount.sum()
        repeats = float((recorded["orders"] - 1).sum())
        between_weight = amount.sum() - (amount**2).sum() / amount.sum()
        if not (repeats > 0 and between_weight > 0):
            return cls(significant(float(level), FITTED), None)
        share = margin / amount
        within = max(0.0, float((recorded["squares"].to_numpy() - margin * share).sum())) / repeats
        spread = float((amount * (share - level) ** 2).sum()) - (len(share) - 1) * within
        between = spread / between_weight
        outweighs = significant(within / between, FITTED) if between > _LEAST * level**2 else None
        return cls(significant(float(level), FITTED), outweighs)

    def share(self, amount: Floats, margin: Floats) -> Floats:
        """Expected shares of customers, shape (n_customers,), from 0 (none is kept at a loss) to 1.

        Parameters
        ----------
        amount, margin : ndarray of shape (n_customers,)
            Sums over the purchases whose margin is recorded; 0 or NaN where there are none.

        Examples
        --------
        >>> import numpy as np
        >>> MarginShares(level=0.4, outweighs=100.0).share(np.array([0.0, 100.0, 900.0]), np.array([0.0, 60.0, 540.0]))
        array([0.4 , 0.5 , 0.58])
        """
        amount, margin = np.nan_to_num(amount), np.nan_to_num(margin)
        if self.outweighs is None:
            return np.full(len(amount), min(max(self.level, 0.0), 1.0))
        total = amount + self.outweighs
        pooled = np.divide(margin + self.outweighs * self.level, total, out=np.zeros_like(total), where=total > 0)
        shares: Floats = np.clip(np.where(total > 0, pooled, self.level), 0.0, 1.0)
        return shares


_LEAST = 1e-9  # of the level's square: less variance between customers than rounding leaves is none
