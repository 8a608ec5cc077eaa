"""Episodes: the touchpoints at which something could go wrong, how each went, and what the customer did next."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from fedelta.features.contract import DIGITAL_CHANNELS, PHYSICAL_CHANNELS
from fedelta.features.experience_rules import ExperienceSettings, exercising, with_bad_experiences
from fedelta.features.history import DAY_US, Booleans, Floats, Integers
from fedelta.features.look_back import with_look_back
from fedelta.features.relationship import RESUMING, REVENUE, USUAL, Relationship
from fedelta.features.timeline import Timeline, counted

# A purchase within this time belongs to the touchpoint itself (the basket of a visit), not to what comes of it.
SESSION_US = DAY_US // 24
_HALF_YEAR = -180 * DAY_US
# A purchase is what comes of good touchpoints. Where a rule is about purchases (a cancelled order), what went well is
# looked at again so many days after the purchase, for as long as no other has come: silence beside equal silence.
LOOKS_DAYS = (1, 3, 7, 14, 30, 60, 120)
# A contact later than this is mostly about something else, and proves that the customer had stayed.
ANSWER_DAYS = 7

EPISODES = pl.Schema(
    {
        "customer_id": pl.String(),
        "interaction_id": pl.String(),
        "occurred_at": pl.Datetime("us", "UTC"),
        "kind": pl.String(),
        "channel": pl.String(),
        "touch": pl.String(),  # digital, physical, or null
        "among": pl.String(),  # the touchpoints it is compared within
        "rule": pl.String(),  # the gravest rule it broke; null where it went well
        "pillar": pl.String(),  # of that rule
        "level": pl.String(),
        "number": pl.Int32(),  # bad experiences so far, this one included; had a good one gone badly, its number
        "purchases": pl.Int32(),  # so far; like all that follows of purchases, of what `churn.activity` declares
        "purchases_90d": pl.Int32(),
        "interactions": pl.Int32(),  # so far, messages we sent left out
        "interactions_90d": pl.Int32(),
        "exposed": pl.Int32(),  # how many of those touchpoints so far
        "exposed_180d": pl.Int32(),
        "bad_180d": pl.Int32(),
        "spend_365d": pl.Float64(),  # null where the data hold no amounts
        "tenure_days": pl.Float64(),
        "silence_days": pl.Float64(),  # since the last purchase; null before the first
        "usual_gap_days": pl.Float64(),  # mean gap between purchases; null before the second
        "bad_silence_days": pl.Float64(),  # since the last bad experience; null before the first
        "recovered": pl.Boolean(),  # made good within a week, or would have been; null if it may still be
        "days": pl.Float64(),  # until the next purchase (or the cancellation), or until the data end
        "ended": pl.Boolean(),  # whether that came before the data ended
        "spend": pl.Float64(),  # in the horizon; null if it is not over, or where the data hold no amounts
    }
)


def episodes(
    events: pl.DataFrame,
    settings: ExperienceSettings,
    horizon_days: int,
    ends_at: datetime,
    *,
    relationship: Relationship = USUAL,
    digital_channels: Collection[str] = DIGITAL_CHANNELS,
    physical_channels: Collection[str] = PHYSICAL_CHANNELS,
) -> pl.DataFrame:
    """The episodes of one bucket: interactions of whole customers, sorted by customer, time and id.

    A bad experience is an episode among the touchpoints of its rule (`among`; its own kind of interaction where the
    rule names none); an interaction that broke no rule is one per `among` it belongs to, so one row of `events` can be
    several. What would blur the comparison is left out, whether it went well or badly:

    - what follows a bad experience within `recovery_days`: it belongs to that incident, and its harm to the first;
    - a good touchpoint that turned bad within the hour (the visit of an error);
    - a touchpoint that ended in a purchase within the hour: everyone is watched from the same landmark, not having
      bought yet, for the visit of a basket is part of its purchase;
    - a purchase that went well: it is what comes of good touchpoints, and looked at again later (`LOOKS_DAYS`);
    - whatever comes after the relationship ended without churn, and where leaving is a cancellation, after one, until
      the customer is one again.

    Purchases are what `relationship` says is activity. Where the company's own labels say who left, it is activity too
    that tells who comes back after an experience: labels stand at cutoffs, not at touchpoints.

    Outcomes look ahead, up to `ends_at` and no farther; everything else looks back.

    Returns
    -------
    DataFrame with the columns of ``EPISODES``, sorted by customer, time, id and `among`.
    """
    events = with_bad_experiences(events.filter(pl.col("occurred_at") < ends_at), settings)
    if events.is_empty() or not settings.rules:
        return EPISODES.to_frame()
    events = events.with_columns(active=pl.col("kind").is_in(list(relationship.activity)))
    by_event = relationship.definition == "event"
    events = events.with_columns(look=False) if by_event else _with_looks(events, settings, ends_at)
    log = Timeline(events)
    is_bad = events["bad_experience"].is_not_null().to_numpy()
    watched = _watched(log, is_bad, settings, relationship)
    ends_us = int(ends_at.timestamp()) * 1_000_000
    judged = events.select(
        "customer_id",
        "interaction_id",
        "occurred_at",
        "kind",
        "channel",
        touch=pl.when(pl.col("channel").is_in(list(digital_channels)))
        .then(pl.lit("digital"))
        .when(pl.col("channel").is_in(list(physical_channels)))
        .then(pl.lit("physical")),
        rule=pl.col("bad_experience").cast(pl.String),
    ).with_columns(
        *_so_far(log, is_bad),
        _recovered(log, settings, ends_us),
        *_outcome(log, relationship, horizon_days, ends_us),
    )
    return _among(log, judged, watched, settings)


_BOUGHT = pl.col("active") & ~pl.col("look")
_CANCELLED = pl.col("kind") == "cancellation"


def _with_looks(events: pl.DataFrame, settings: ExperienceSettings, ends_at: datetime) -> pl.DataFrame:
    """Events with a row (`look`) for every time a customer is looked at after a good purchase some rule is about."""
    events = events.with_columns(look=pl.lit(False))
    bought = events.filter("active").with_columns(
        until=pl.col("occurred_at").shift(-1).over("customer_id").fill_null(ends_at)
    )
    about = [exercising(name, rule) for name, rule in settings.rules.items() if rule.among != "TRUE"]
    known = with_look_back(bought, {root for term in about for root in term.meta.root_names()})
    held = known.select(held=pl.any_horizontal(pl.lit(False), *about) & pl.col("bad_experience").is_null())["held"]
    looks = [
        bought.filter(held)
        .with_columns(
            pl.col("occurred_at") + timedelta(days=days),
            interaction_id=pl.format("{} +{}d", "interaction_id", pl.lit(days)),
            look=pl.lit(True),
        )
        .filter(pl.col("occurred_at") < pl.col("until"))
        .drop("until")
        for days in LOOKS_DAYS
    ]
    return pl.concat([events, *looks]).sort("customer_id", "occurred_at", "interaction_id")


def _watched(log: Timeline, is_bad: Booleans, settings: ExperienceSettings, relationship: Relationship) -> Booleans:
    """Which events are episodes that can be compared."""
    settled = ~(log.since_previous(is_bad) <= settings.recovery_days * DAY_US)
    bad_so_far = np.append(0, np.cumsum(is_bad))
    turned_bad = bad_so_far[log.row_at(SESSION_US, after=True)] > bad_so_far[log.row_at(0)]
    watched = settled & (is_bad | ~turned_bad)
    if relationship.ended:
        watched = watched & ~_gone(log, pl.col("kind").is_in(list(relationship.ended)))
    if relationship.definition == "event":
        return np.asarray(watched & ~_gone(log, _CANCELLED))
    itself = log.mark(_BOUGHT) & ~is_bad
    return np.asarray(watched & ~itself & ~(log.until_next(log.mark(_BOUGHT)) <= SESSION_US))


def _gone(log: Timeline, leaving: pl.Expr) -> Booleans:
    """Which events leave, or come after one that did while nothing shows that the customer is back."""
    rows = np.arange(len(log.at))
    back = pl.col("kind").is_in(RESUMING) & ~pl.col("look")
    left, resumed = (np.maximum.accumulate(np.where(log.mark(mark), rows, -1)) for mark in (leaving, back))
    return np.asarray((left >= log.first) & (left > resumed), np.bool_)


def _so_far(log: Timeline, is_bad: Booleans) -> list[pl.Series]:
    """What was known of the customer before the instant of each event: an error comes with the visit it spoiled."""
    rows = log.row_at(0)
    bought = log.mark(_BOUGHT)
    own = log.mark((pl.col("kind") != "message") & ~pl.col("look"))
    purchases = counted(bought, log.first, rows)
    silence = log.since_previous(bought)[rows] / DAY_US
    tenure = (log.at - log.at[log.first]) / DAY_US
    first_purchase = log.first_since(bought) / DAY_US
    gap = (tenure - silence - first_purchase) / np.maximum(purchases - 1, 1)
    columns: dict[str, Integers | Floats] = {
        "number": counted(is_bad, log.first, np.arange(len(rows))) + 1,
        "purchases": purchases,
        "purchases_90d": counted(bought, log.row_at(-90 * DAY_US), rows),
        "interactions": counted(own, log.first, rows),
        "interactions_90d": counted(own, log.row_at(-90 * DAY_US), rows),
        "bad_180d": counted(is_bad, log.row_at(_HALF_YEAR), rows),
        "spend_365d": _spent(log, log.row_at(-365 * DAY_US), rows),
        "tenure_days": tenure,
        "silence_days": silence,
        "usual_gap_days": np.where(purchases > 1, gap, np.nan),
        "bad_silence_days": log.since_previous(is_bad)[rows] / DAY_US,
    }
    return [pl.Series(name, values).cast(EPISODES[name]).fill_nan(None) for name, values in columns.items()]


def _spent(log: Timeline, begin: Integers, end: Integers) -> Floats:
    """Money paid in rows begin (included) to end; NaN where nothing that the bucket's customers paid has an amount."""
    revenue = pl.col("kind").is_in(REVENUE) & ~pl.col("look")
    paid = log.events.select(
        paid=pl.when(revenue).then(pl.col("amount").cast(pl.Decimal(18, 4)).to_physical().cast(pl.Int64))
    )["paid"]
    if paid.null_count() == len(paid):
        return np.full(len(begin), np.nan)
    total = np.append(0, np.cumsum(paid.fill_null(0).to_numpy()))
    return np.asarray((total[end] - total[begin]) / 10_000)


def _recovered(log: Timeline, settings: ExperienceSettings, ends_us: int) -> pl.Series:
    """Whether the next contact, soon after, settled it (or it settled itself); null if that may still come.

    A second contact that settles what a first one did not comes only from customers who had stayed after the first.
    """
    contact = log.mark(pl.col("kind").is_in(["contact", "complaint"]))
    resolved = contact & log.mark(pl.col("resolved"))
    within = min(settings.recovery_days, ANSWER_DAYS) * DAY_US
    answer = log.next_row(contact)
    settled = resolved | ((answer >= 0) & resolved[answer] & (log.at[answer] - log.at <= within))
    known = settled | (log.at + within <= ends_us)
    return pl.DataFrame({"settled": settled, "known": known}).select(recovered=pl.when("known").then("settled"))[
        "recovered"
    ]


def _outcome(log: Timeline, relationship: Relationship, horizon_days: int, ends_us: int) -> list[pl.Series]:
    until = log.until_next(log.mark(_CANCELLED if relationship.definition == "event" else _BOUGHT))
    ended = ~np.isnan(until)
    watched_for = (ends_us - log.at).astype(np.float64)
    if relationship.ended:  # from there on nobody can leave or come back
        over = log.until_next(log.mark(pl.col("kind").is_in(list(relationship.ended))))
        ended &= ~(over < until)
        watched_for = np.fmin(watched_for, over)
    spend = _spent(log, log.past_instant, log.row_at(horizon_days * DAY_US, after=True))
    spend[log.at + horizon_days * DAY_US > ends_us] = np.nan
    return [
        pl.Series("days", np.where(ended, until, watched_for) / DAY_US),
        pl.Series("ended", ended),
        pl.Series("spend", spend).fill_nan(None),
    ]


def _among(log: Timeline, judged: pl.DataFrame, watched: Booleans, settings: ExperienceSettings) -> pl.DataFrame:
    """One row per episode and the touchpoints it belongs to: a bad one to its rule's, a good one to each of them."""
    own_kind = pl.format("kind = '{}'", "kind")
    of_rule = pl.DataFrame(
        [(name, rule.pillar, rule.level, rule.among) for name, rule in settings.rules.items()],
        schema=dict.fromkeys(("rule", "pillar", "level", "rule_among"), pl.String),
        orient="row",
    )
    judged = judged.join(of_rule, on="rule", how="left", maintain_order="left").with_columns(
        rule_among=pl.when(pl.col("rule_among") == "TRUE").then(own_kind).otherwise("rule_among")
    )
    before, lately = log.row_at(0), log.row_at(_HALF_YEAR)
    look = log.mark(pl.col("look"))
    rule_among = judged["rule_among"]
    parts = [EPISODES.to_frame()]
    for among, belongs in _touchpoints(log, settings):
        part = judged.with_columns(
            pl.Series("exposed", counted(belongs & ~look, log.first, before)),
            pl.Series("exposed_180d", counted(belongs & ~look, lately, before)),
            among=pl.lit(among),
        )
        good = watched & belongs & (judged["rule"].is_null().to_numpy())
        bad = watched & (rule_among == among).fill_null(False).to_numpy()
        part = part.filter(good | bad)
        parts.append(part.select(pl.col(name).cast(dtype) for name, dtype in EPISODES.items()))
    return pl.concat(parts).sort("customer_id", "occurred_at", "interaction_id", "among")


def _touchpoints(log: Timeline, settings: ExperienceSettings) -> Iterator[tuple[str, Booleans]]:
    """Every `among` of the rules, with the events it holds for; each kind of its own for rules that name none."""
    terms = {rule.among: exercising(name, rule) for name, rule in settings.rules.items()}
    if terms.pop("TRUE", None) is not None:
        kinds = log.events["kind"].unique().sort()
        terms |= {f"kind = '{kind}'": pl.col("kind") == kind for kind in kinds if f"kind = '{kind}'" not in terms}
    known = with_look_back(log.events, {root for term in terms.values() for root in term.meta.root_names()})
    for among, term in terms.items():
        yield among, known.with_columns(belongs=term.fill_null(False))["belongs"].to_numpy()
