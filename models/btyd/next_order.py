"""When the next order is due: the customer's own rhythm, given the silence so far and how regular orders are."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import betaincc, betainccinv

from fedelta.models.btyd.fits import ParetoNbd
from fedelta.models.panel import activity_in, floats
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]

LEAST_ALIVE = 0.5  # chance of still being a customer; below, a date would more likely be wrong than right
_FEWEST = 50  # customers with two gaps or more; with fewer, orders are taken to come by chance
_SHAPES = (0.2, 20.0)


def days_to_next_order(table: AnyTable, pareto: ParetoNbd, common: float | None = None) -> Floats:
    """Days from the cutoff in which the next order comes with chance one half, if the customer stays (n_rows,).

    Gaps between orders are Gamma(c, c·λ) with the rate λ ~ Gamma(r, alpha) of Pareto/NBD and one regularity c for all;
    c = 1 is Pareto/NBD itself. Given x gaps of t_x days in all, (c/B) times the next gap is beta prime with shapes c
    and A = r + c·x, where B = alpha + c·t_x; given silence, so is what remains of its tail. (Platzer & Reutterer 2016,
    Pareto/GGG, with a common regularity, and gamma rates integrated out.)

    Null where `pareto_p_alive` is below ``LEAST_ALIVE`` or unknown.

    Parameters
    ----------
    table : DataFrame
        Features and prior columns of one cutoff: `purchase_count`, `purchase_day_count`, `mean_purchase_gap_days`,
        `purchase_gap_deviation_days`, `days_since_first_purchase`, `days_since_last_purchase`, `pareto_p_alive`; the
        like-named ones of activity where it is declared.
    common : float, optional
        The regularity of all customers, where the table does not hold them all; else that of the table.
    """
    what = activity_in(table)
    first, silence = (floats(table, f"days_since_{end}_{what}") for end in ("first", "last"))
    gaps = floats(table, f"{what}_day_count") - 1
    c = regularity(table) if common is None else common
    wait = median_wait(pareto.r, pareto.alpha, c, gaps, first - silence, silence)
    return np.where(floats(table, "pareto_p_alive") >= LEAST_ALIVE, wait, np.nan)


def median_wait(r: float, alpha: float, c: float, gaps: Floats, span: Floats, silence: Floats) -> Floats:
    """Median of what remains of a gap that has lasted ``silence`` days, after ``gaps`` of ``span`` days in all (n,)."""
    shape, scale = r + c * gaps, (alpha + c * span) / c
    share = silence / (scale + silence)  # of the beta distribution behind the beta prime
    lasts = betaincc(c, shape, share)
    median = betainccinv(c, shape, lasts / 2)
    # Deep in the tail, where nothing is left of the chances, what remains is Pareto with the tail's power.
    with np.errstate(divide="ignore", invalid="ignore"):
        wait = np.where(lasts > 1e-200, scale * median / (1 - median) - silence, np.nan)
    return np.where(np.isfinite(wait), np.maximum(wait, 0), (scale + silence) * (2 ** (1 / shape) - 1))


def regularity_columns(table: AnyTable) -> list[str]:
    """What `regularity` reads."""
    what = activity_in(table)
    return [f"{what}_count", f"{what}_day_count", f"mean_{what}_gap_days", f"{what}_gap_deviation_days"]


def regularity(table: AnyTable) -> float:
    """Shape c of the gaps between a customer's orders: 1 as if by chance, more is regular, less comes in bursts.

    Of n gaps with a common shape, sum of squares over square of the sum has the mean (c + 1) / (n·c + 1), whatever the
    customer's rate (moments of the Dirichlet distribution); c makes the mean over customers come true. Asked of those
    with two gaps or more and no two orders on a day.
    """
    orders, days, mean, deviation = (floats(table, name) for name in regularity_columns(table))
    usable = (orders >= 3) & (orders == days) & np.isfinite(deviation) & (mean > 0)
    if usable.sum() < _FEWEST:
        return 1.0
    n, ratio = orders[usable] - 1, (deviation[usable] / mean[usable]) ** 2
    found = (((n - 1) * ratio + n) / n**2).mean()

    def beyond(c: float) -> float:
        return float(((c + 1) / (n * c + 1)).mean() - found)

    low, high = _SHAPES
    return low if beyond(low) < 0 else high if beyond(high) > 0 else float(brentq(beyond, low, high, xtol=1e-6))
