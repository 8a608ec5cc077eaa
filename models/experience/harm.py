"""What a bad experience changes: leaving and spending after it, beside matched controls whose touchpoint went well."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from fedelta.features.history import Floats, Integers
from fedelta.features.relationship import Definition
from fedelta.models.experience.matching import FEWEST, Effect, Match, match, staying_values

NUMBERS = 4  # the last number stands for itself and all beyond


# Times up to two weeks count as equal: a late parcel comes longer after its order than one on time, and what bad
# service itself adds to the silence must not be matched away.
SHORTEST_DAYS = 14
# A comparison lies in the week that begins with a bad experience of its kind, never just before: what strikes many at
# once (an outage) would else strike those it is compared with too.
WITHIN_DAYS = 7

_tenure = pl.col("tenure_days").clip(lower_bound=SHORTEST_DAYS)
_silence = pl.coalesce("silence_days", "tenure_days").clip(lower_bound=SHORTEST_DAYS)
_gap = pl.coalesce("usual_gap_days", _tenure)
# What controls are matched on: how much they bought and lately, how long they have been silent against their own
# rhythm, how long and how often they deal with us, what they spend, and what went wrong before.
_COVARIATES = {
    "purchases": pl.col("purchases").log1p(),
    "purchases_90d": pl.col("purchases_90d").log1p(),
    "silence": _silence.log1p(),
    "gap": _gap.log1p(),
    "overdue": _silence.log1p() - _gap.log1p(),
    "tenure": _tenure.log1p(),
    "interactions": pl.col("interactions").log1p(),
    "interactions_90d": pl.col("interactions_90d").log1p(),
    "exposed": pl.col("exposed").log1p(),
    "exposed_180d": pl.col("exposed_180d").log1p(),
    "spend": pl.col("spend_365d").fill_null(0).log1p(),
    "money": pl.col("spend_365d").fill_null(0),
    "bad": pl.col("number").log(),
    "bad_180d": pl.col("bad_180d").log1p(),
    "bad_silence": pl.col("bad_silence_days").fill_null(0).log1p(),
    "never_bought": pl.col("purchases") == 0,
    "bought_once": pl.col("purchases") == 1,
}
_CURVED = ("purchases", "overdue", "tenure", "exposed_180d")
_TOGETHER = (("purchases", "tenure"), ("purchases_90d", "silence"))


@dataclass(frozen=True, eq=False)
class Harm:
    """What followed the bad experiences of one rule, kind of touchpoint and number, beside good ones.

    `left` is in shares of customers, `spend` in money (null where the data hold none, or too few horizons are over);
    both are None where there are too few to compare. `bad` and `good` are rows of ``Compared``.
    """

    rule: str
    pillar: str
    kind: str
    number: int
    bad: Integers
    good: Integers
    left: Effect | None
    spend: Effect | None


class Compared:
    """Episodes of all customers, laid out for comparing; the order they come in makes no difference.

    A bad experience is compared with good ones among the same touchpoints (of its own kind where there are such), in
    the same weeks, of customers with as many bad experiences before.
    """

    def __init__(self, episodes: pl.DataFrame, horizon_days: int, definition: Definition = "inactivity") -> None:
        self.horizon_days, self.definition = horizon_days, definition
        compared = episodes.filter(pl.col("rule").is_not_null())["among"].unique()
        episodes = episodes.filter(pl.col("among").is_in(compared.implode())).drop("channel", "touch", "level")
        episodes = episodes.sort("customer_id", "occurred_at", "interaction_id", "among")
        self.table = episodes.select(
            "rule", "pillar", "kind", "among", "recovered", "ended", "days", "spend",
            number=pl.col("number").clip(upper_bound=NUMBERS),
            row=pl.int_range(pl.len()),
            day=pl.col("occurred_at").dt.epoch("d"),
        )  # fmt: skip
        self.customer = episodes["customer_id"].rank("dense").to_numpy().astype(np.int64)
        self.known = episodes.select(sorted({root for each in _COVARIATES.values() for root in each.meta.root_names()}))
        self.quarter = episodes["occurred_at"].dt.truncate("1q").rank("dense").to_numpy()
        self.days, self.ended = self.table["days"].to_numpy(), self.table["ended"].to_numpy()
        self.spend = self.table["spend"].to_numpy()
        self.recovered = self.table["recovered"].cast(pl.Float64).to_numpy()

    def harms(self, *, with_spend: bool = True) -> list[Harm]:
        """Harm by rule, kind and number (``NUMBERS`` and beyond together)."""
        return [
            Harm(*stratum, self.left(*stratum[-2:]), self.spent(*stratum[-2:]) if with_spend else None)
            for stratum in self._strata()
        ]

    def _strata(self) -> Iterator[tuple[str, str, str, int, Integers, Integers]]:
        """Rule, pillar, kind, number, bad rows and good rows of every comparison."""
        bad, good = self.table.filter(pl.col("rule").is_not_null()), self.table.filter(pl.col("rule").is_null())
        for among in sorted(bad["among"].unique()):
            inside = good.filter(pl.col("among") == among)
            for (rule, pillar, kind), mine in _groups(bad.filter(pl.col("among") == among), "rule", "pillar", "kind"):
                own = inside.filter(pl.col("kind") == kind)
                pool = own if len(np.unique(self.customer[own["row"].to_numpy()])) >= FEWEST else inside
                for (number,), some in _groups(mine, "number"):
                    days = some["day"].unique()
                    near = pl.concat([days + after for after in range(WITHIN_DAYS)]).unique()
                    controls = pool.filter((pl.col("number") == number) & pl.col("day").is_in(near.implode()))
                    yield (
                        str(rule),
                        str(pillar),
                        str(kind),
                        int(str(number)),
                        some["row"].to_numpy(),
                        controls["row"].to_numpy(),
                    )

    def left(self, bad: Integers, good: Integers) -> Effect | None:
        """Share that leaves within the horizon, bad against good."""
        pair = self._match(bad, good)
        if pair is None:
            return None
        bad_values, good_values = self._left(pair.bad, None), self._left(pair.good, pair.weight)
        # Where one side all leave or all stay, the spread says nothing about the error.
        if np.ptp(bad_values) == 0 or np.ptp(good_values) == 0:
            return None
        return pair.effect(bad_values, good_values, lost=1.0)

    def spent(self, bad: Integers, good: Integers) -> Effect | None:
        """Money spent in the horizon, bad against good, of episodes whose horizon is over."""
        bad, good = (rows[~np.isnan(self.spend[rows])] for rows in (bad, good))
        pair = self._match(bad, good) if len(bad) and len(good) else None
        return None if pair is None else pair.effect(self.spend[pair.bad], self.spend[pair.good], lost=0.0)

    def _left(self, rows: Integers, weight: Floats | None) -> Floats:
        staying = staying_values(self.days[rows], self.ended[rows], self.horizon_days, weight)
        return 1 - staying if self.definition == "event" else staying

    def _match(self, bad: Integers, good: Integers) -> Match | None:
        return match(bad, good, self.customer, self._design)

    def _design(self, bad: Integers, good: Integers) -> Floats:
        """Covariates of the bad rows and then the good ones, within what the good ones span."""
        rows = np.concatenate([bad, good])
        covariates = [expression.cast(pl.Float64).alias(name) for name, expression in _COVARIATES.items()]
        base = self.known[rows].select(covariates).to_numpy()
        base = np.clip(base, base[len(bad) :].min(axis=0), base[len(bad) :].max(axis=0))
        of = dict(zip(_COVARIATES, base.T, strict=True))
        quarter = self.quarter[rows]
        return np.column_stack(
            [
                base,
                *(of[name] ** 2 for name in _CURVED),
                *(of[a] * of[b] for a, b in _TOGETHER),
                *(quarter == each for each in np.unique(quarter)[1:]),
            ]
        ).astype(np.float64)


def _groups(table: pl.DataFrame, *by: str) -> Iterator[tuple[tuple[object, ...], pl.DataFrame]]:
    yield from sorted(table.partition_by(*by, as_dict=True).items(), key=lambda item: tuple(map(str, item[0])))
