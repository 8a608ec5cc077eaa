"""A small company in two runs, with everything a page must be able to show, and somebody of each role."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from scoring_runs import customer, reason, unscored, write

from fedelta.serve.desk.users import ROLES, add_user
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

REPORTS = Path(__file__).parent / "reports"  # of the demo, shortened
PASSWORD = "correct horse battery"
NOW = datetime(2024, 3, 1, tzinfo=UTC)
LONG = "customer-" + "x" * 191
MARKUP = "<b>gift</b> & <script>alert(1)</script>"
ARABIC = "هدايا وألعاب"
SMALL = ("unpublished", "unscored", "one")  # tenants with next to nothing
_TIERS = ((0.7, "critical"), (0.45, "high"), (0.2, "medium"), (0.0, "low"))


def email(role: str) -> str:
    """Who has this role."""
    return f"{role}@example.com"


def people(database: Database) -> None:
    """A user of each role of the tenant ``default``, an agent of another, and a manager of each of ``SMALL``."""
    for role in ROLES:
        add_user(database, email(role), f"{role.title()} Example", role, PASSWORD)
    add_user(database, "agent@other.example", "Agent Other", "agent", PASSWORD, tenant="other")
    for tenant in SMALL:
        add_user(database, f"manager@{tenant}.example", "Manager Small", "manager", PASSWORD, tenant=tenant)


def run(database: Database, folder: Path, count: int = 120) -> None:
    """Publish two runs of the company."""
    for number, as_of in enumerate((NOW - timedelta(days=7), NOW)):
        rows = [_customer(place, as_of, number) for place in range(count)]
        extra = [
            _customer(3, as_of, number) | {"customer_id": LONG, "value_at_risk": 990.0},
            _customer(5, as_of, number)
            | {
                "customer_id": "a/b ü?#",
                "persona": MARKUP,
                "value_at_risk": 980.0,
                "reasons": [
                    reason(
                        code="topic",
                        theme="expectations",
                        text=f"Bought {MARKUP} last",
                        text_it=f"Ha comprato {MARKUP}",
                        direction="raises",
                        contribution=0.4,
                    )
                ],
            },
            _customer(7, as_of, number) | {"customer_id": "عميل-7", "persona": ARABIC, "value_at_risk": 970.0},
            unscored("fresh") | {"as_of": as_of},
            unscored("gone", "already_churned") | {"as_of": as_of},
        ]
        path = write(folder / "scores.parquet", *rows, *extra)
        publish(path, database, bundle=folder / "bundle", metrics=REPORTS / "evaluation.json", reports=REPORTS)


def small_runs(database: Database, folder: Path) -> None:
    """Publish the runs of ``SMALL``, without reports; of nobody's there is none."""
    for tenant, row in (("unscored", unscored("fresh") | {"as_of": NOW}), ("one", _customer(4, NOW, 0))):
        publish(write(folder / f"{tenant}.parquet", row), database, tenant=tenant)


def _customer(place: int, as_of: datetime, number: int) -> Mapping[str, Any]:
    moved = 0.18 if number and place % 9 == 0 else 0.0
    p = min(0.97, (place * 37 % 100) / 105 + moved)
    tier = next(name for least, name in _TIERS if p >= least)
    clv = 40.0 + place * 7
    reasons = [
        reason(
            code="silence",
            theme="rhythm",
            text=f"No order for {20 + place} days (last on 3 Aug); before, one every 31 days",
            text_it=f"Nessun ordine da {20 + place} giorni (l'ultimo il 3 ago); prima ordinava ogni 31 giorni",
            direction="raises",
            contribution=0.5 + moved,
            value=20.0 + place,
            peer_median=31.0,
            date=date(2023, 8, 3),
        ),
        reason(
            code="tenure",
            theme="tenure",
            text="Customer for 4 years",
            text_it="Cliente da 4 anni",
            direction="lowers",
            contribution=-0.3,
            value=1460.0,
        ),
        reason(code="rest", text="Everything else", text_it="Tutto il resto", direction="neither", contribution=0.01),
    ]
    if moved or place % 4 == 0:
        reasons.insert(
            0,
            reason(
                code="bad_experiences",
                theme="resolution",
                text="3 deliveries late in the last 90 days, the last on 12 Feb",
                text_it="3 consegne in ritardo negli ultimi 90 giorni, l'ultima il 12 feb",
                direction="raises",
                contribution=0.2 + 3 * moved,
                value=3.0,
                peer_median=0.0,
                date=date(2024, 2, 12),
            ),
        )
    return customer(
        f"C{place:04}",
        as_of=as_of,
        churn_probability=p,
        churn_score=round(100 * p, 1),
        risk_tier=tier,
        percentile=p * 100,
        p_here=0.9 if place % 5 else 0.2,
        clv_expected=clv,
        clv_low=clv * 0.2,
        clv_high=clv * 2.4,
        clv_horizon_days=365,
        lifetime_value=clv * 4,
        historic_value=clv * 6,
        currency="EUR",
        value_at_risk=p * clv,
        win_back_value=clv * 0.1,
        expected_next_order_at=as_of + timedelta(days=20 + place),
        loyalty_class=("loyal", "latent", "spurious", "none")[place % 4],
        loyalty_score=float(place % 100),
        persona=("Bargain hunters", "Regulars of the old town")[place % 2],
        journey=("onboarding", "use", "maintenance", "renewal")[place % 4],
        journey_stage=("familiarity", "purchase", "loyalty")[place % 3],
        last_bad_experience_at=NOW - timedelta(days=place) if place % 3 == 0 else None,
        last_bad_experience="late_delivery" if place % 3 == 0 else None,
        open_issue=place % 6 == 0,
        experience_index=55.0 + place % 40,
        **{
            f"pillar_{name}": float((place * 13 + k * 17) % 101) if k != 3 else None
            for k, name in enumerate(
                ("integrity", "resolution", "expectations", "empathy", "personalisation", "time_and_effort")
            )
        },
        reasons=reasons if place % 11 else None,
        next_categories=[{"category": "shoes", "probability": 0.31, "reason": "bought twice"}],
        action="keep" if place % 3 else None,
        offer=place % 2 == 0,
        expected_profit=p * clv * 0.2 - 3,
        contact_cost=3.0,
        p_saved=0.2 * p,
        best_action="keep" if place % 5 else "win back",
        team="Torino" if place % 2 else "Milano",
        held_out=place % 10 == 1,
        suppression_reason="opted out" if place % 10 == 2 else None,
    )
