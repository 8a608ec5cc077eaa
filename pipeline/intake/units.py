"""Amounts of money in several units: cents beside units, a currency beside another."""

# ruff: noqa: S608 - SQL of ours

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, pairwise

from fedelta.pipeline.intake.plausibility import Tables, rounded

_FEW = 30  # amounts from which a mean, or the shape of a group, tells something
_JUMP = 10  # times, from one month to the next
_APART = 30  # times, between channels or kinds
_BINS = 20  # to a factor of ten
_FACTORS = (100, 1000)  # of units that are mixed: cents, and currencies with three decimals
_SHAPE = 0.18  # powers of ten by which the quantiles of two groups may miss the factor between them
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_TAIL = 0.05  # of two groups that overlap, beyond where the other begins
_MIDDLE = 0.25  # powers of ten around what parts two groups, in which few amounts may lie:
_EMPTY = 0.25  # of the smaller group
_SHARE = 0.1  # of what the fullest month has of a group; a month with less is not named

Cell = tuple[str, str | None]  # a month and a channel


def of_units(tables: Tables) -> Iterator[str]:
    """Warnings of purchases, by month and channel, and of returns that are of another unit than the rest."""
    yield from _returns(tables)
    warned = [*_months(tables), *_channels(tables)]
    cells = _by_cell(tables) if not warned else {}
    yield from warned or _mixed(cells) or _whole_beside_fractions(tables) or _months_of_a_channel(cells)


def mixed_values(tables: Tables, table: str, columns: Iterable[str]) -> Iterator[str]:
    """Warnings of columns of customers that hold the same values in two units."""
    for column in columns:
        rows = tables.rows(
            f'SELECT floor(log10("{column}"::DOUBLE) * {_BINS})::BIGINT, count(*) FROM {table} '
            f'WHERE "{column}" > 0 AND isfinite("{column}"::DOUBLE) GROUP BY 1'
        )
        if (found := two_groups(Counter(dict(rows)))) is not None:
            low, high, number, _ = found
            yield (
                f"{number:,} values of {column} lie around {rounded(high)}, others around {rounded(low)} of "
                "the same spread, and few between: are two units mixed (cents)? Convert one of them in the SQL."
            )


def two_groups(bins: Counter[int]) -> tuple[float, float, int, int] | None:
    """The usual amounts of two groups of the same shape, the number in the higher and the bin that parts them.

    None if there are no two groups that are a known factor apart.
    """
    if bins.total() < 2 * _FEW:
        return None
    first, last, reach = min(bins), max(bins), round(_MIDDLE * _BINS)
    below = [0, *accumulate(bins[place] for place in range(first, last + 1))]  # the bin first + k
    for k in range(reach, len(below) - reach):
        smaller = min(below[k], below[-1] - below[k])
        if smaller < _FEW or below[k + reach] - below[k - reach] > _EMPTY * smaller:
            continue
        low, high = (
            _quantiles(Counter({place: n for place, n in bins.items() if (place < first + k) == is_low}))
            for is_low in (True, False)
        )
        apart = [(b - a) / _BINS for a, b in zip(low, high, strict=True)]
        if _a_factor(apart):
            return _amount(low[2]), _amount(high[2]), below[-1] - below[k], first + k
    return None


def _a_factor(apart: Iterable[float]) -> bool:
    """Whether quantiles of two groups are all a known factor apart."""
    distances = list(apart)
    return any(all(abs(d - math.log10(factor)) <= _SHAPE for d in distances) for factor in _FACTORS)


def _usual(tables: Tables, what: str, where: str) -> list[tuple[str, float]]:
    """The geometric mean of the amounts of each group that is large enough to tell."""
    rows = tables.rows(
        f"SELECT {what} AS what, exp(avg(ln(amount::DOUBLE))) FROM {tables.interactions} WHERE {where} "
        f"AND amount > 0 AND what IS NOT NULL GROUP BY what HAVING count(*) >= {_FEW} ORDER BY what"
    )
    return [(str(name), float(mean)) for name, mean in rows]


def _months(tables: Tables) -> Iterator[str]:
    months = _usual(tables, "strftime(timezone('UTC', occurred_at), '%Y-%m')", "kind = 'purchase'")
    yield from (f"The usual purchase {jump}" for jump in _jumps(months))


def _jumps(months: list[tuple[str, float]]) -> Iterator[str]:
    for (before, low), (after, high) in pairwise(months):
        if max(low / high, high / low) >= _JUMP:
            yield (
                f"was {rounded(low)} in {before} and {rounded(high)} in {after}: has the unit changed (cents, another "
                "currency)?"
            )


def _channels(tables: Tables) -> Iterator[str]:
    channels = sorted(_usual(tables, "channel", "kind = 'purchase'"), key=lambda one: (one[1], one[0]))
    if channels and channels[-1][1] >= _APART * channels[0][1]:
        (least, low), (most, high) = channels[0], channels[-1]
        yield (
            f"The usual purchase is {rounded(low)} through {least} and {rounded(high)} through {most}: are both of "
            "the same unit and currency?"
        )


def _returns(tables: Tables) -> Iterator[str]:
    spent, given = tables.row(
        "SELECT coalesce(sum(amount) FILTER (kind = 'purchase'), 0)::DOUBLE, "
        f"coalesce(sum(amount) FILTER (kind = 'return'), 0)::DOUBLE FROM {tables.interactions}"
    )
    means = dict(_usual(tables, "kind", "kind IN ('purchase', 'return')"))
    if given > spent > 0:
        yield (
            f"More was given back ({given:,.2f}) than bought ({spent:,.2f}): are both amounts of the same unit and "
            "sign?"
        )
    elif len(means) == 2 and max(means.values()) >= _APART * min(means.values()):
        yield (
            f"The usual purchase is {rounded(means['purchase'])} and the usual return {rounded(means['return'])}: are "
            "both of the same unit and currency?"
        )


def _by_cell(tables: Tables) -> dict[Cell, Counter[int]]:
    """Purchases by month and channel and, as bins of equal ratio, by amount."""
    cells: dict[Cell, Counter[int]] = {}
    for month, channel, place, number in tables.rows(
        "SELECT strftime(timezone('UTC', occurred_at), '%Y-%m'), channel, "
        f"floor(log10(amount::DOUBLE) * {_BINS})::BIGINT AS place, count(*) FROM {tables.interactions} "
        "WHERE kind = 'purchase' AND amount > 0 GROUP BY ALL ORDER BY ALL"
    ):
        cells.setdefault((month, channel), Counter())[place] += number
    return cells


def _mixed(cells: Mapping[Cell, Counter[int]]) -> list[str]:
    """A warning if the purchases of all, of a month, of a channel, or of both form two groups of the same shape."""
    parts: dict[object, Counter[int]] = {}
    for (month, channel), bins in cells.items():
        for part in ("all", ("month", month), ("channel", channel), (month, channel)):
            parts.setdefault(part, Counter()).update(bins)
    for bins in parts.values():
        if (found := two_groups(bins)) is not None:
            low, high, number, middle = found
            return [
                f"{number:,} purchases have amounts around {rounded(high)}, others around {rounded(low)} of "
                f"the same spread, and few between{_where(cells, middle)}: are two units mixed (cents)? Convert one of "
                "them in the SQL."
            ]
    return []


def whole_is_other_unit(fractions: Counter[int], whole: Counter[int]) -> bool:
    """Whether whole amounts are of the same shape as those with decimals, a known factor above them.

    Cents have no decimals. However widely amounts vary, so that two units overlap, those that are whole tell them
    apart; in one unit they lie where the others do. Where the two do not overlap, only what is dear may be priced in
    whole amounts.
    """
    if min(fractions.total(), whole.total()) < 2 * _FEW:
        return False
    (end,), (begin,) = _quantiles(fractions, (1 - _TAIL,)), _quantiles(whole, (_TAIL,))
    if end <= begin:
        return False
    return _a_factor((b - a) / _BINS for a, b in zip(_quantiles(fractions), _quantiles(whole), strict=True))


def _whole_beside_fractions(tables: Tables) -> list[str]:
    """A warning if purchases of whole amounts are of another unit than those with decimals."""
    parts: dict[bool, Counter[int]] = {False: Counter(), True: Counter()}
    for is_whole, place, number in tables.rows(
        f"SELECT amount % 1 = 0, floor(log10(amount::DOUBLE) * {_BINS})::BIGINT, count(*) FROM {tables.interactions} "
        "WHERE kind = 'purchase' AND amount > 0 GROUP BY ALL ORDER BY ALL"
    ):
        parts[is_whole][place] += number
    if not whole_is_other_unit(parts[False], parts[True]):
        return []
    low, high = (rounded(_amount(_quantiles(parts[is_whole])[2])) for is_whole in (False, True))
    return [
        f"{parts[True].total():,} purchases have whole amounts around {high}, others decimals and amounts around {low} "
        "of the same spread: are two units mixed (cents)? Convert one of them in the SQL."
    ]


def _where(cells: Mapping[Cell, Counter[int]], middle: int) -> str:
    """Where the higher group is found, if not everywhere."""
    by_month, channels = Counter[str](), Counter[str | None]()
    for (month, channel), bins in cells.items():
        above = sum(n for place, n in bins.items() if place >= middle)
        by_month[month] += above
        channels[channel] += above
    months = sorted(month for month, n in by_month.items() if n >= _SHARE * max(by_month.values()))
    (most, n), every = channels.most_common(1)[0], len({channel for _, channel in cells})
    through = f", through {most}" if every > 1 and most and n > 0.9 * channels.total() else ""
    when = f"in {months[0]}" if len(months) == 1 else f"from {months[0]} to {months[-1]}"
    return f" ({when}{through})"


def _months_of_a_channel(cells: Mapping[Cell, Counter[int]]) -> list[str]:
    warned = []
    by_channel = sorted(
        ((channel, month, bins) for (month, channel), bins in cells.items() if channel), key=lambda one: one[:2]
    )
    for channel, series in groupby(by_channel, key=lambda one: one[0]):
        months = [(month, _mean(bins)) for _, month, bins in series if bins.total() >= _FEW]
        warned += [f"The usual purchase through {channel} {jump}" for jump in _jumps(months)]
    return warned


def _mean(bins: Counter[int]) -> float:
    return _amount(sum(place * n for place, n in bins.items()) / bins.total())


def _amount(place: float) -> float:
    return math.pow(10, (place + 0.5) / _BINS)


def _quantiles(bins: Counter[int], shares: Sequence[float] = _QUANTILES) -> list[int]:
    found: list[int] = []
    seen, wanted = 0, [q * bins.total() for q in shares]
    for place in sorted(bins):
        seen += bins[place]
        while len(found) < len(wanted) and seen >= wanted[len(found)]:
            found.append(place)
    return found
