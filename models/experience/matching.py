"""Like with like: bad experiences beside good ones of customers who looked the same before, and what each did next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from fedelta.features.history import Booleans, Floats, Integers
from fedelta.models.metrics.bootstrap import Interval

FEWEST = 20  # customers on either side: fewer tell nothing
CONTROLS = 10  # good experiences drawn per bad one: more hardly narrow an interval
LEVEL = 0.90
_WEIGHT_PARTS = 10**9  # a weight is a whole number of parts of the largest, whose sums are exact


@dataclass(frozen=True, eq=False)
class Effect:
    """A mean over the bad experiences of several strata, the same for their matches, and the difference.

    `parts` (n_customers,) is what each customer adds to the error of the difference, `own` to that of the bad mean; the
    index is the customer. A customer has many episodes, so errors are summed within customers before they are squared.
    """

    n: int
    bad: float
    difference: float
    own: pd.Series
    parts: pd.Series

    @property
    def customers(self) -> int:
        """Customers with a bad experience."""
        return len(self.own)

    @property
    def interval(self) -> Interval:
        """Bad minus good, with its 90% interval."""
        return _interval(self.difference, self.parts)

    @property
    def of_bad(self) -> Interval:
        """The mean of the bad ones, with its 90% interval."""
        return _interval(self.bad, self.own)


def pooled(effects: Sequence[Effect]) -> Effect:
    """The effect over several strata, each in proportion to its bad experiences."""
    n = sum(effect.n for effect in effects)
    shares = [effect.n / n for effect in effects]
    return Effect(
        n,
        sum(share * effect.bad for share, effect in zip(shares, effects, strict=True)),
        sum(share * effect.difference for share, effect in zip(shares, effects, strict=True)),
        pd.concat([share * effect.own for share, effect in zip(shares, effects, strict=True)]).groupby(level=0).sum(),
        pd.concat([share * effect.parts for share, effect in zip(shares, effects, strict=True)]).groupby(level=0).sum(),
    )


@dataclass(frozen=True, eq=False)
class Match:
    """Rows of episodes that went badly, and of some that went well with weights (sum 1) that balance them.

    `design` has the covariates, standardised, of the bad rows and then of the good ones; `customer` is a code per row.
    """

    bad: Integers
    good: Integers
    weight: Floats
    design: Floats
    customer: Integers

    def effect(self, of_bad: Floats, of_good: Floats, lost: float) -> Effect:
        """The mean outcome of the bad rows, and how much it exceeds that of the weighted good rows.

        What the weights leave unbalanced is removed by a ridge regression of the outcome on the covariates among the
        good rows (Athey, Imbens & Wager 2018, eq. 4), which also takes out of the error what the covariates explain.

        Parameters
        ----------
        lost : float
            The outcome of a customer who is lost. A bad experience can only take what a customer would have kept, so
            its effect goes with what they would have done: see ``_error_of_average``.
        """
        n = len(self.bad)
        of_bad_x, of_good_x = self.design[:n], self.design[n:]
        centre = self.weight @ of_good_x
        centred = of_good_x - centre
        moments = centred.T @ (self.weight * (of_good - self.weight @ of_good))
        slopes = np.linalg.solve(_covariance(of_good_x, self.weight) + np.eye(len(centre)) / n, moments)
        left_bad, left_good = of_bad - (of_bad_x - centre) @ slopes, of_good - centred @ slopes
        mean_bad, mean_good = left_bad.mean(), self.weight @ left_good
        # The good rows were fitted, and look less scattered than they are (HC1, MacKinnon & White 1985).
        freed = np.sqrt(len(of_good) / max(len(of_good) - len(centre), 1))
        scatter = _error_of_average(left_bad - mean_bad, left_good - mean_good, self.weight,
                                    (mean_bad - lost) / (mean_good - lost) if mean_good != lost else 1.0)  # fmt: skip
        parts = np.concatenate([scatter / n, -freed * self.weight * (left_good - mean_good)])
        return Effect(
            n,
            float(of_bad.mean()),
            float(mean_bad - mean_good),
            pd.Series((of_bad - of_bad.mean()) / n).groupby(self.customer[:n]).sum(),
            pd.Series(parts).groupby(self.customer).sum(),
        )


def _error_of_average(bad: Floats, good: Floats, weight: Floats, kept: float) -> Floats:
    """Deviations of the bad rows, widened to the error of the average effect on the experiences that occurred.

    Where a bad experience leaves a share `kept` of what a customer would have done, Y1 = kept Y0 + chance, and the
    scatter of Y1 has only kept^2 of what nobody knows of Y0; the average effect, (kept - 1) Y0, misses it by all of it
    (Imbens & Rubin 2015, ch. 6, on the finite sample). The rest, (1 - kept^2) var(Y0), is taken from the good rows: an
    upper bound, as some of their scatter is chance; nothing where there is no effect.
    """
    missing = (1 - min(max(kept, 0.0), 1.0) ** 2) * float(weight @ good**2)
    scatter = float((bad**2).mean())
    return bad * np.sqrt(1 + missing / scatter) if scatter > 0 else bad


def match(
    bad: Integers,
    good: Integers,
    customer: Integers,
    covariates: Callable[[Integers, Integers], Floats],
    seed: int = 7,
) -> Match | None:
    """Weights for the good rows under which every covariate has the mean it has among the bad rows; None if too few.

    Entropy balancing (Hainmueller 2012), in its dual form with a small ridge (Zhao & Percival 2017) so that it also
    answers where the two hardly overlap. Of many good rows, `CONTROLS` per bad one are drawn.

    Parameters
    ----------
    bad, good : integer arrays
        Rows of `customer` (n_rows,), a code per row.
    covariates : callable
        The covariates (n_bad + n_good, n_covariates) of some bad and good rows.
    """
    if len(good) > CONTROLS * len(bad):
        good = np.sort(np.random.default_rng(seed).choice(good, CONTROLS * len(bad), replace=False))
    if min(len(np.unique(customer[bad])), len(np.unique(customer[good]))) < FEWEST:
        return None
    design = covariates(bad, good)
    spread = design.std(axis=0)
    varies = spread > 1e-9
    design = (design - design[: len(bad)].mean(axis=0))[:, varies] / spread[varies]
    weight = _balanced(design[len(bad) :], ridge=1 / len(bad))
    return Match(bad, good, weight, design, customer[np.concatenate([bad, good])])


def _balanced(x: Floats, ridge: float) -> Floats:
    """Weights, summing to 1, under which the columns of x have mean 0: Newton steps on the dual."""
    slope = np.zeros(x.shape[1])

    def dual(at: Floats) -> tuple[float, Floats]:
        score = x @ at
        top = score.max(initial=0.0)
        odds = np.exp(score - top)
        return float(np.log(odds.mean()) + top + ridge / 2 * at @ at), odds / odds.sum()

    value, weight = dual(slope)
    for _ in range(50):
        gradient = weight @ x + ridge * slope
        step = np.linalg.solve(_covariance(x, weight) + ridge * np.eye(len(slope)), gradient)
        decrement = float(gradient @ step)
        if decrement < 1e-10:
            break
        # The longest of the halved steps that makes good a quarter of what its slope promises (Armijo 1966).
        for length in 0.5 ** np.arange(20):
            lower, weight = dual(slope - length * step)
            if lower <= value - 0.25 * length * decrement:
                slope, value = slope - length * step, lower
                break
        else:
            return dual(slope)[1]
    return weight


def _covariance(x: Floats, weight: Floats) -> Floats:
    mean, scaled = weight @ x, x * np.sqrt(weight)[:, None]
    return np.asarray(scaled.T @ scaled - np.outer(mean, mean))


def staying_values(days: Floats, ended: Booleans, horizon: int, weight: Floats | None = None) -> Floats:
    """For every episode its share in the Kaplan-Meier estimate of not having ended within the horizon.

    Pseudo-values: their weighted mean is the estimate S(horizon), and their spread its error. Without censoring they
    are 1 for who has not ended by then and 0 for who has. First order (infinitesimal jackknife), after Andersen, Klein
    & Rosthøj (2003); days are rounded up to whole ones.

    Parameters
    ----------
    days, ended, weight : arrays of shape (n,)
        Time until the end or until the data stop; whether it is an end; weights, equal if None.
    """
    weight = np.ones(len(days)) if weight is None else weight
    # An end within day d counts at d; who is watched for d whole days is at risk until d.
    day = np.where(ended, np.maximum(np.ceil(days), 1), np.floor(days)).astype(np.int64)
    day, ended = np.minimum(day, horizon + 1), ended & (day <= horizon)
    whole = np.rint(weight / weight.max() * _WEIGHT_PARTS)
    sums = np.bincount(2 * day + ended, whole, 2 * (horizon + 2))
    lost, ends = sums[::2], sums[1::2]
    counted = np.union1d(np.flatnonzero(lost + ends), 0)  # days
    lost, ends = lost[counted], ends[counted]
    at_risk = whole.sum() - np.cumsum(lost + ends) + (lost + ends)
    with np.errstate(divide="ignore"):  # nobody is left
        survived = np.exp(np.cumsum(np.log(at_risk - ends) - np.log(at_risk)))
    survival = float(survived[np.searchsorted(counted, horizon, side="right") - 1])
    beyond = np.maximum(at_risk - ends, 1e-9)
    compensator = np.cumsum(ends / (np.maximum(at_risk, 1e-9) * beyond))
    # A day of none but weights too small to count is not among them: the day before it holds.
    place = np.searchsorted(counted, day, side="right") - 1
    return np.asarray(survival + survival * whole.sum() * (compensator[place] - ended / beyond[place]))


def _interval(value: float, parts: pd.Series) -> Interval:
    customers = len(parts)
    error = float(np.sqrt((parts**2).sum() * customers / max(customers - 1, 1)))
    reach = float(student.ppf((1 + LEVEL) / 2, max(customers - 1, 1))) * error
    return Interval(value, value - reach, value + reach)
