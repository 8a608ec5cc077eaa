"""Numbers that cannot be meant: sums too large to be exact, values that stand for none, counts that count nothing."""

# ruff: noqa: S608 - SQL of ours

from collections.abc import Iterable, Iterator

from fedelta.pipeline.intake.plausibility import Tables, rounded
from fedelta.pipeline.intake.raw_files import identifier
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import Source

_LARGEST_SUM = 9 * 10**14  # of a customer's money: sums are whole numbers of 1/10,000 in 64 bits
_NINES = tuple(10**digits - 1 for digits in range(2, 19))
_PLACEHOLDERS = (
    *_NINES, *(-n for n in _NINES), -1, -9, 32_767, 65_535, 2_147_483_647, -2_147_483_648, 4_294_967_295,
)  # fmt: skip
_APART = 10  # times as far from 0 as every other value
_SOME = 5  # rows that are no slip
_FEW_VALUES = 3  # fewer others tell nothing of how far values go
_LARGE_COUNT = 100  # of bad experiences, as a rule


def must_add_up(tables: Tables) -> None:
    """Refuse amounts whose sum for a customer cannot be held exactly: it would come out as another number.

    Raises
    ------
    SourceError
        If there is such a customer.
    """
    found = tables.rows(
        "SELECT customer_id, greatest(bought, given, margins)::DOUBLE AS total FROM (SELECT customer_id, "
        "sum(amount::DECIMAL(38, 4)) FILTER (kind <> 'return') AS bought, "
        "sum(amount::DECIMAL(38, 4)) FILTER (kind = 'return') AS given, sum(abs(margin::DECIMAL(38, 4))) AS margins "
        f"FROM {tables.interactions} WHERE amount IS NOT NULL OR margin IS NOT NULL GROUP BY customer_id) "
        f"WHERE total >= {_LARGEST_SUM} ORDER BY total DESC, customer_id"
    )
    if found:
        (customer, total), number = found[0], len(found)
        who = "one customer" if number == 1 else f"{number:,} customers"
        raise SourceError(
            f"Amounts add up to more than {_LARGEST_SUM:,} for {who} (such as {str(customer)[:40]!r}: "
            f"{float(total):,.0f}), beyond what is added exactly. Correct the amounts, or yield them in a larger "
            "unit (amount / 1000) and name it in `currency`."
        )


def of_placeholders(tables: Tables, table: str, columns: Iterable[str], *, within: str = "rows") -> Iterator[str]:
    """Warnings of numbers such as -1 or 9999 that occur often, far from every other value."""
    listed = ", ".join(map(str, _PLACEHOLDERS))
    for column in columns:
        name = f"{identifier(column)}::DOUBLE"
        often = tables.rows(
            f"SELECT {name}, count(*) FROM {table} WHERE {name} IN ({listed}) GROUP BY ALL "
            f"HAVING count(*) >= {_SOME} ORDER BY 1"
        )
        if not often:
            continue
        least, most, values = tables.row(
            f"SELECT min({name}), max({name}), count(DISTINCT {name}) FROM {table} WHERE {name} NOT IN ({listed})"
        )
        for value, n in often:
            if values >= _FEW_VALUES and _stands_alone(value, least, most):
                yield (
                    f"{n:,} {within} have {column} {value:.0f}, and all others lie between {rounded(least)} and "
                    f"{rounded(most)}: if it stands for a missing value, yield null in its place; as it is, it counts "
                    "as a number."
                )


def of_counts(tables: Tables, source: Source) -> Iterator[str]:
    """Warnings of attributes declared to count bad experiences that hold other numbers."""
    for name in (attribute.name for attribute in source.attributes if attribute.bad_experience):
        value = identifier(name)
        negative, fractions, every, usual = tables.row(
            f"SELECT count(*) FILTER ({value} < 0), count(*) FILTER ({value} <> round({value})), count({value}), "
            f"coalesce(median({value}), 0) FROM {tables.customers}"
        )
        found = [
            *([f"{negative:,} of {every:,} values are below 0"] if 0 < negative < every / 2 else []),  # not days late
            *([f"{fractions:,} of {every:,} are no whole numbers"] if fractions else []),
            *([f"it is {rounded(usual)} as a rule"] if usual >= _LARGE_COUNT else []),
        ]
        if found:
            yield (
                f"The attribute {name} is declared to count bad experiences (bad_experience), but "
                f"{', and '.join(found)}: reasons and report would tell of experiences that nobody "
                "counted. Yield a count, null where it is not known, or leave bad_experience out."
            )


def _stands_alone(value: float, least: float, most: float) -> bool:
    """Whether a value lies outside of all others: on a side of 0 where nothing else is, or far beyond what is."""
    if value < 0:
        return least >= 0 or value < _APART * least
    return value > _APART * max(most, 0) and value > _APART * abs(least)
