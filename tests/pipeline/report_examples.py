"""Reports of experience and loyalty to check by hand: of a shop of many channels, and of bare sales."""

from typing import Any

from fedelta.features.contract import LEVELS, PILLARS
from fedelta.models.experience.tolerance import MATCHED

NO_BAD = "No interaction of these data breaks a rule, so nothing is known."
NOT_RECORDED = "They may not record such experiences."
NO_ATTITUDE = "Attitude is unknown: nobody expressed anything."


def interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def index(value: float, says: str = "no change") -> dict[str, Any]:
    trend = {"recent": value, "before": value - 1.5, "change": 1.5, "low": -0.5, "high": 3.5, "says": says}
    return {
        "reason": None,
        "customers": 70,
        "touchpoints": 810,
        "index": value,
        "low": value - 2,
        "high": value + 1,
    } | {"trend": trend}


def step(group: str, value: str, number: int | None, excess: dict[str, float] | None) -> dict[str, Any]:
    known = excess is not None
    return {
        "group": group,
        "value": value,
        "number": number,
        "experiences": 412 if known else 0,
        "customers": 387 if known else 0,
        "left": interval(0.31, 0.271, 0.349) if known else None,
        "left_controls": 0.222 if known else None,
        "excess": excess,
        "says": "After a bad experience, 31% leave within 90 days, 22% of matched controls (-1.0 to +2.0 points).",
    }


def moment(kind: str, pillar: str, churn: dict[str, float] | None, **held: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("spend", "recovered", "recovery_churn", "recovery_spend"))
    text = f"A bad {kind} ({pillar})."
    return (
        {"kind": kind, "pillar": pillar, "experiences": 312, "customers": 287, "churn": churn}
        | nothing
        | held
        | {"says": text}
    )


def stop(name: str, interactions: int, bad: float, drop_off: float | None) -> dict[str, Any]:
    held = {"interactions": interactions, "customers": 64, "bad_share": bad, "watched": 55, "drop_off": drop_off}
    return {"touchpoint": name, **held}


def move(start: str, end: str, times: int, share: float, days: float) -> dict[str, Any]:
    return {"touchpoint": start, "next": end, "times": times, "share": share, "median_days": days}


def journey(name: str) -> dict[str, Any]:
    return {
        "journey": name,
        "interactions": 1234,
        "customers": 88,
        "bad_share": 0.043,
        "touchpoints": [
            stop("visit (digital)", 700, 0.0, 0.12),
            stop("purchase (digital)", 401, 0.0, 0.034),
            stop("contact (physical)", 133, 0.41, None),
        ],
        "transitions": [
            move("visit (digital)", "purchase (digital)", 355, 0.507, 0.0125),
            move("visit (digital)", "visit (digital)", 301, 0.43, 4.0),
            move("purchase (digital)", "visit (digital)", 199, 0.496, 12.0),
            move("contact (physical)", "visit (digital)", 51, 0.383, 1.5),
        ],
        "touchpoints_left_out": 2,
        "transitions_left_out": 3,
    }


def channel(name: str, touch: str | None, interactions: int) -> dict[str, Any]:
    bad_share = 0.077 if interactions else None
    held = {"customers": interactions // 10, "bad": interactions // 13, "bad_share": bad_share}
    return {"channel": name, "touch": touch, "interactions": interactions, **held, "recent": 31, "before": 29}


def rule(times: int) -> dict[str, Any]:
    share, hours = (0.25, 26.0) if times else (None, None)
    return {"pillar": "expectations", "level": "needs", "severity": 2, "times": times, "customers": times // 2} | {
        "recovered_share": share,
        "median_hours_to_recovery": hours,
        "share_of_interactions": times / 1234,
    }


UNKNOWN = {"reason": NOT_RECORDED}
EXPERIENCE: dict[str, Any] = {
    "as_of": "2024-04-25",
    "rules": {
        "reason": None,
        "interactions": 1234,
        "customers": 88,
        "bad_experiences": 53,
        "share_of_interactions": 0.043,
        "customers_struck": 37,
        "recovered_share": 0.25,
        "by_rule": {"late_delivery": rule(48), "cold_soup": rule(0)},
    },
    "experience": index(90.1),
    "pillars": dict.fromkeys(PILLARS, UNKNOWN) | {"expectations": index(83.2, "better"), "resolution": index(61.7)},
    "levels": dict.fromkeys(LEVELS, UNKNOWN) | {"needs": index(77.4, "worse")},
    "segments": {
        "reason": None,
        "attribute_plan": {
            "values": [{"value": "basic", "experience": index(89.3, "worse"), "expectations": index(80.6)}],
            "left_out": 4,
        },
    },
    "channels": {
        "reason": None,
        "channels": [
            channel("paid_search", "digital", 520),
            channel("store", "physical", 0),
            channel("unknown", None, 91),
        ],
    },
    "journeys": {
        "reason": None,
        "journeys": {"all": journey("all"), "use": journey("use"), "renewal": journey("renewal")},
    },
    "tolerance": {
        "horizon_days": 90,
        "matched_on": MATCHED,
        "steps": [
            step("all", "", None, interval(0.088, 0.061, 0.115)),
            step("all", "", 1, interval(0.052, 0.013, 0.091)),
            step("all", "", 2, None),
            step("pillar", "expectations", None, interval(-0.021, -0.057, 0.015)),
            step("pillar", "expectations", 1, interval(-0.011, -0.047, 0.025)),
            step("pillar", "expectations", 2, None),
        ],
        "quoted": [
            {"after": "one bad experience", "share": 0.17, "source": "A survey, 2018"},
            {"after": "several bad experiences", "share": 0.59, "source": "A survey, 2018"},
        ],
        "says": step("all", "", None, None)["says"],
    },
    "moments": {
        "horizon_days": 90,
        "moments": [
            moment(
                "delivery",
                "expectations",
                interval(0.138, 0.13, 0.146),
                spend=interval(-39.59, -42.68, -36.5),
                recovered=0.435,
                recovery_churn=interval(-0.172, -0.19, -0.155),
                recovery_spend=interval(40.19, 33.57, 46.81),
            ),
            moment("survey", "empathy", None),
        ],
        "says": "A bad delivery (expectations) costs 13.8 points of churn (13.0 to 14.6).",
    },
}


def did(name: str, customers: int) -> dict[str, Any]:
    known = bool(customers)
    figures = {
        "bought": interval(0.839, 0.821, 0.852),
        "spend": interval(140.62, 133.45, 149.04),
        "left": interval(0.161, 0.148, 0.179),
    }
    return (
        {"class": name, "customers": customers}
        | {n: f if known else None for n, f in figures.items()}
        | {"referred": None}
    )


LOYALTY: dict[str, Any] = {
    "cutoff": "2024-01-26",
    "horizon_days": 90,
    "reason": None,
    "attitude": {"base": 0.77, "credibility": 2.4, "weights": {"ratings": 1.0}},
    "classes": [did("loyal", 41), did("latent", 17), did("spurious", 23), did("none", 19), did("silent", 0)],
    "referred": "No cutoff ends the horizon, so referrals in it are not counted.",
    "attitude_adds": {"customers": 100, "verdict": "Attitude adds to behaviour: log loss -0.0010 [-0.0015, -0.0003]."},
    "now": {"loyal": 44, "latent": 18, "spurious": 25, "none": 21, "silent": 0},
    "spurious": {
        "least_spend": 87.2,
        "customers": [
            {"customer_id": f"c{number:04}", "expected_spend": 900.0 - number, "spend_365d": 3000.0 + number}
            | {"score": 57.7, "attitude": 0.75, "advice": f"settle contact number {number}"}
            for number in range(25)
        ],
    },
    "personas": {
        "cutoff": "2024-04-25",
        "reason": None,
        "tried": [{"personas": 2, "stability": 0.94, "silhouette": 0.25, "gap": 0.13}],
        "cards": [
            {
                "id": "p7",
                "name": "kept-waiting customers",
                "customers": 33,
                "share": 0.375,
                "apart": ["late deliveries 0.111, of all 0.0823 (-0.9 standard deviations)"],
                "does": ["in a year: 13 purchases"],
                "praises": ["survey on delivery: 73.3 per 100 customers"],
                "complains": ["late delivery: 74.0 per 100 customers"],
                "value": {"spend_365d": 392.8, "share_of_spend_365d": 0.427, "expected_spend": 86.8},
            }
        ],
    },
}

BARE: dict[str, Any] = EXPERIENCE | {
    "rules": EXPERIENCE["rules"]
    | {
        "reason": NO_BAD,
        "bad_experiences": 0,
        "customers_struck": 0,
        "recovered_share": None,
        "by_rule": {"late": rule(0)},
    },
    "experience": UNKNOWN,
    "pillars": dict.fromkeys(PILLARS, UNKNOWN),
    "levels": dict.fromkeys(LEVELS, UNKNOWN),
    "segments": {"reason": NO_BAD},
    "channels": {"reason": "The source tells the channel of no interaction.", "channels": None},
    "journeys": {
        "reason": "Every customer has neither bought, enrolled nor renewed.",
        "journeys": {"all": journey("all") | {"touchpoints": [stop("visit", 9, 0.0, 0.5)], "transitions": []}},
    },
    "tolerance": {"reason": NO_BAD},
    "moments": {"reason": NO_BAD},
}
SILENT: dict[str, Any] = LOYALTY | {
    "reason": NO_ATTITUDE,
    "classes": [did(name, 0) for name in ("loyal", "latent", "spurious", "none")] + [did("silent", 100)],
    "now": {"loyal": 0, "latent": 0, "spurious": 0, "none": 0, "silent": 108},
    "attitude_adds": {"customers": 0, "verdict": NO_ATTITUDE},
    "spurious": {"least_spend": 87.2, "customers": []},
    "personas": {"cutoff": "2024-04-25", "reason": "No division of the customers is stable.", "tried": [], "cards": []},
}


NEXT_PURCHASE: dict[str, Any] = {
    "next": {
        name: {
            metric: interval(value, value - 0.01, value + 0.01)
            for metric in ("hit_rate_3", "ndcg_3", "log_loss", "ece")
        }
        for name, value in (("chosen", 0.812), ("popularity", 0.541), ("own_frequency", 0.793))
    },
    "next_against": {
        name: {metric: interval(value, value - 0.01, value + 0.01) for metric in ("hit_rate_3", "ndcg_3", "log_loss")}
        for name, value in (("popularity", 0.271), ("own_frequency", 0.019))
    },
    "next_rows": {"customers": 1_621, "buyers": 940, "categories": 50, "horizon_days": 100, "note": "Tested on some."},
}
