"""A typed client of fedelta's scoring service, written by generate_client.py: do not edit. It needs httpx.

    with Client("http://127.0.0.1:8000", key) as client:
        score = client.read_score("C1")
        for customer in client.every_at_risk(tier=["critical"]):
            ...

Requests that were refused for the moment (429, 503) are sent again when the service asks for it; other errors raise
``Problem``.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NotRequired, Self, TypedDict, cast
from urllib.parse import quote

import httpx


class Alive(TypedDict):
    """The process answers."""

    status: NotRequired[str]


class Arms(TypedDict):
    """How many customers entered, by arm."""

    treated: NotRequired[int]
    held_out: NotRequired[int]


class Asked(TypedDict):
    """Whom to score, each once; and as of when."""

    customers: list["Given"]
    as_of: NotRequired[str | None]
    explain: NotRequired[bool | None]


class AtRiskPage(TypedDict):
    """One page of the list; ``next`` is the address of the page after it, null on the last."""

    age_seconds: int
    stale: bool
    snapshot_id: str
    as_of: str | None
    total: int
    total_is_exact: bool
    customers: list["Ranked"]
    next: str | None


class Batch(TypedDict):
    """One answer per id asked for, in their order, all from one scoring run."""

    snapshot_id: str
    results: list["Found"]


class Bulk(TypedDict):
    """A change of all cases that a filter lets through and that are not done."""

    filter: "CaseFilter"
    change: "Change"
    dry_run: NotRequired[bool]
    expected: NotRequired[int | None]


class BulkAnswer(TypedDict):
    """What the change did, or would do."""

    receipt_id: str | None
    matched: int
    changed: int
    refused: int
    case_ids: list[int]


class Campaign(TypedDict):
    """What was collected of a campaign so far."""

    id: str
    entered: "Arms"
    contacts: int
    cost: float
    outcomes: dict[str, int]
    first_at: str | None
    last_at: str | None
    measured: bool


class CampaignReport(TypedDict):
    """What a campaign achieved: the report of `fedelta saves`, as it was published with a run."""

    campaign: "Campaign"
    published_at: str | None
    as_of: str | None
    horizon_days: int | None
    currency: str | None
    comparison: dict[str, Any] | None
    overall: dict[str, Any] | None
    says: str


class Campaigns(TypedDict):
    """All campaigns, by name."""

    campaigns: list["Campaign"]


class Case(TypedDict):
    """One matter of one customer."""

    id: int
    customer_id: str
    reason: str
    status: Literal["open", "snoozed", "done"]
    owner: str | None
    due_on: str | None
    priority: float
    next_action: str | None
    snoozed_until: str | None
    snoozed_until_event: Literal["bad_experience", "tier_up", "purchase"] | None
    playbook: str | None
    step: int | None
    started_on: str | None
    opened_at: str
    opened_by: str
    opened_in: str | None
    updated_at: str
    updated_in: str | None
    closed_at: str | None
    outcome: Literal["reached", "no_answer", "offered", "accepted", "saved", "lost", "lapsed", "withdrawn"] | None
    outcome_reason: str | None
    revision: int


class CaseDetail(TypedDict):
    """A case with what was written, done and achieved."""

    id: int
    customer_id: str
    reason: str
    status: Literal["open", "snoozed", "done"]
    owner: str | None
    due_on: str | None
    priority: float
    next_action: str | None
    snoozed_until: str | None
    snoozed_until_event: Literal["bad_experience", "tier_up", "purchase"] | None
    playbook: str | None
    step: int | None
    started_on: str | None
    opened_at: str
    opened_by: str
    opened_in: str | None
    updated_at: str
    updated_in: str | None
    closed_at: str | None
    outcome: Literal["reached", "no_answer", "offered", "accepted", "saved", "lost", "lapsed", "withdrawn"] | None
    outcome_reason: str | None
    revision: int
    notes: list["Note"]
    treatments: list["Treatment"]
    outcomes: list["RecordedOutcome"]


class CaseFilter(TypedDict):
    """Which cases. A filter that is not known is refused: a misspelt one would let all through."""

    status: NotRequired[list[Literal["open", "snoozed", "done"]]]
    owner: NotRequired[str | None]
    unassigned: NotRequired[bool]
    due_before: NotRequired[str | None]
    customer_id: NotRequired[str | None]
    reason: NotRequired[str | None]
    min_priority: NotRequired[float | None]


class CasePage(TypedDict):
    """Some cases; ``next`` is the cursor of those after them, null at the end."""

    cases: list["Case"]
    next: str | None


class Change(TypedDict):
    """What changes of a case; what is not named stays."""

    owner: NotRequired[str | None]
    due_on: NotRequired[str | None]
    next_action: NotRequired[str | None]
    playbook: NotRequired[str | None]
    status: NotRequired[Literal["open", "snoozed", "done"]]
    snoozed_until: NotRequired[str | None]
    snoozed_until_event: NotRequired[Literal["bad_experience", "tier_up", "purchase"] | None]
    step: NotRequired[int]
    outcome: NotRequired[Literal["reached", "no_answer", "offered", "accepted", "saved", "lost"]]
    outcome_reason: NotRequired[str | None]


class Computed(TypedDict):
    """The score of one customer, and its warnings."""

    customer_id: str
    status: Literal["scored", "too_new", "no_history", "already_churned", "ended", "erased"]
    warnings: "Warned"
    score: "Score"


class ComputedScores(TypedDict):
    """One result per customer, in the order asked."""

    snapshot_id: str
    results: list["Computed"]


class ContactMade(TypedDict):
    """A contact that was made."""

    customer_id: str
    action: NotRequired[str | None]
    channel: NotRequired[str | None]
    campaign: NotRequired[str | None]
    treated_at: NotRequired[str | None]
    cost: NotRequired[float | None]
    case_id: NotRequired[int | None]
    happened: NotRequired[bool]


class CurrentModel(TypedDict):
    """The current scoring run and the model behind it. What the run came without is null."""

    age_seconds: int
    stale: bool
    published_at: str
    snapshot_id: str
    as_of: str | None
    horizon_days: int | None
    customers: int
    by_status: dict[str, int]
    model_version: str | None
    risk_tiers: dict[str, "Tier"]
    source: NotRequired[str | None]
    thresholds: Any
    metrics: dict[str, Any] | None
    churn: dict[str, Any] | None
    clv: dict[str, Any] | None
    reports: NotRequired[dict[str, str]]
    alarms: NotRequired[list[str] | None]


class Delivery(TypedDict):
    """A message for one endpoint and what came of sending it."""

    id: int
    event_id: str
    type: str
    created_at: str
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    due_at: str
    tried_at: str | None
    status: int | None
    error: str | None


class DeliveryPage(TypedDict):
    """Some deliveries, those queued last first; ``next`` is the cursor of those after them, null at the end."""

    deliveries: list["Delivery"]
    next: str | None


class Endpoint(TypedDict):
    """An endpoint to be made."""

    url: str
    types: NotRequired[
        list[
            Literal[
                "score.tier_changed", "customer.entered_view", "snapshot.published", "model.promoted", "drift.alert"
            ]
        ]
    ]
    description: NotRequired[str | None]


class Fault(TypedDict):
    """One invalid value of a request."""

    where: str
    what: str


class Found(TypedDict):
    """The answer for one of the ids asked for."""

    customer_id: str
    status: Literal["found", "not_found"]
    score: NotRequired["Score | None"]


class Given(TypedDict):
    """A customer, and everything that they went through."""

    customer_id: str
    attributes: NotRequired[dict[str, str | float | bool | None]]
    opted_out: NotRequired[bool | None]
    interactions: NotRequired[list["Interaction"]]


class Happened(TypedDict):
    """What happened, to any customers."""

    interactions: list["Posted"]


class Interaction(TypedDict):
    """Something that happened to a customer; what is left out or null is unknown."""

    interaction_id: str
    occurred_at: str
    kind: str
    channel: NotRequired[str | None]
    amount: NotRequired[float | None]
    rating: NotRequired[float | None]
    resolved: NotRequired[bool | None]
    wait_hours: NotRequired[float | None]
    delay_hours: NotRequired[float | None]
    effort: NotRequired[float | None]
    reach: NotRequired[int | None]
    topic: NotRequired[str | None]
    margin: NotRequired[float | None]
    known_at: NotRequired[str | None]


class InteractionResult(TypedDict):
    """What became of one interaction."""

    interaction_id: str | None
    status: Literal["accepted", "duplicate", "invalid"]
    errors: list["Fault"]


class NextCategory(TypedDict):
    """A category the customer may buy of next."""

    category: str | None
    probability: float | None
    reason: str | None


class Note(TypedDict):
    """What somebody wrote."""

    id: int
    case_id: int
    text: str
    author: str
    created_at: str
    pinned: bool


class NoteText(TypedDict):
    """A note to write."""

    text: str
    pinned: NotRequired[bool]


class Opening(TypedDict):
    """A case to open."""

    customer_id: str
    reason: str
    owner: NotRequired[str | None]
    due_on: NotRequired[str | None]
    next_action: NotRequired[str | None]
    playbook: NotRequired[str | None]


class OutcomeOfContact(TypedDict):
    """What came of a contact."""

    customer_id: str
    outcome: Literal["reached", "no_answer", "offered", "accepted", "saved", "lost"]
    reason: NotRequired[str | None]
    occurred_at: NotRequired[str | None]
    case_id: NotRequired[int | None]
    treatment_id: NotRequired[int | None]
    happened: NotRequired[bool]


class OutcomeResult(TypedDict):
    """What became of one of the outcomes sent."""

    customer_id: str | None
    status: Literal["recorded", "refused"]
    outcome: NotRequired["RecordedOutcome | None"]
    problem: NotRequired[str | None]
    detail: NotRequired[str | None]


class OutcomeResults(TypedDict):
    """One result for each outcome sent, in their order."""

    results: list["OutcomeResult"]


class Outcomes(TypedDict):
    """Outcomes to record."""

    outcomes: list["OutcomeOfContact"]


class Posted(TypedDict):
    """An interaction, and whose it was."""

    interaction_id: str
    occurred_at: str
    kind: str
    channel: NotRequired[str | None]
    amount: NotRequired[float | None]
    rating: NotRequired[float | None]
    resolved: NotRequired[bool | None]
    wait_hours: NotRequired[float | None]
    delay_hours: NotRequired[float | None]
    effort: NotRequired[float | None]
    reach: NotRequired[int | None]
    topic: NotRequired[str | None]
    margin: NotRequired[float | None]
    known_at: NotRequired[str | None]
    customer_id: str


class ProblemDocument(TypedDict):
    """What every error looks like."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: NotRequired[list["Fault"] | None]


class Ranked(TypedDict):
    """A score and its place in this order among all scored customers of the run."""

    customer_id: str
    as_of: str | None
    horizon_days: int | None
    churn_probability: float | None
    churn_score: float | None
    risk_tier: str | None
    percentile: float | None
    percentile_in_journey: float | None
    previous_probability: float | None
    delta: float | None
    tier_changed_at: str | None
    clv_expected: float | None
    clv_low: float | None
    clv_high: float | None
    clv_horizon_days: int | None
    clv_margin: float | None
    lifetime_value: float | None
    lifetime_low: float | None
    lifetime_high: float | None
    historic_value: float | None
    historic_value_gross: float | None
    currency: str | None
    p_here: float | None
    p_leaves: float | None
    value_at_risk: float | None
    win_back_value: float | None
    expected_orders: float | None
    expected_next_order_at: str | None
    p_alive: float | None
    loyalty_class: str | None
    loyalty_score: float | None
    persona: str | None
    channel: str | None
    journey: str | None
    journey_stage: str | None
    bad_experiences_30d: int | None
    bad_experiences_90d: int | None
    bad_experiences_365d: int | None
    last_bad_experience_at: str | None
    last_bad_experience: str | None
    open_issue: bool | None
    experience_index: float | None
    pillar_integrity: float | None
    pillar_resolution: float | None
    pillar_expectations: float | None
    pillar_empathy: float | None
    pillar_personalisation: float | None
    pillar_time_and_effort: float | None
    level_needs: float | None
    level_ease: float | None
    level_enjoyable: float | None
    reasons: list["Reason"] | None
    next_categories: list["NextCategory"] | None
    next_categories_status: str | None
    action: str | None
    best_action: str | None
    offer: bool | None
    expected_profit: float | None
    expected_profit_low: float | None
    expected_profit_high: float | None
    contact_cost: float | None
    p_saved: float | None
    team: str | None
    contact_on: str | None
    held_out: bool | None
    suppression_reason: str | None
    model_version: str | None
    status: Literal["scored", "too_new", "no_history", "already_churned", "ended", "erased"]
    status_reason: str | None
    snapshot_id: str
    live: NotRequired[bool]
    rank: int


class Ready(TypedDict):
    """Scores can be read: those of this run, of the tenant ``default``."""

    age_seconds: int
    stale: bool
    status: NotRequired[str]
    snapshot_id: str
    as_of: str | None
    published_at: str
    database: Literal["available", "unreachable"]


class Reason(TypedDict):
    """One reason of a score."""

    code: str | None
    theme: str | None
    text: str | None
    text_it: str | None
    direction: Literal["raises", "lowers", "neither"] | None
    contribution: float | None
    value: float | None
    peer_median: float | None
    date: str | None


class Receipt(TypedDict):
    """What an erasure removed where."""

    hashed_id: str
    erased_at: str
    removed: dict[str, int]
    hidden_in: list[str]
    pending: list[str]


class Received(TypedDict):
    """One result per interaction, in the order sent."""

    accepted: int
    results: list["InteractionResult"]
    scores: NotRequired[list["Rescored"] | None]


class RecordedOutcome(TypedDict):
    """What came of a contact."""

    id: int
    customer_id: str
    outcome: Literal["reached", "no_answer", "offered", "accepted", "saved", "lost"]
    reason: str | None
    occurred_at: str
    case_id: int | None
    treatment_id: int | None
    recorded_at: str
    recorded_by: str


class Replay(TypedDict):
    """From where on to send again: an event, a time, or both."""

    since_event: NotRequired[str | None]
    since: NotRequired[str | None]


class Replayed(TypedDict):
    """How many messages are queued; those that are still to be sent anyway are not counted."""

    queued: int


class Rescored(TypedDict):
    """The score of a customer after what happened."""

    customer_id: str
    status: Literal["scored", "pending", "not_scored"]
    score: NotRequired["Score | None"]


class Score(TypedDict):
    """The latest score of one customer."""

    customer_id: str
    as_of: str | None
    horizon_days: int | None
    churn_probability: float | None
    churn_score: float | None
    risk_tier: str | None
    percentile: float | None
    percentile_in_journey: float | None
    previous_probability: float | None
    delta: float | None
    tier_changed_at: str | None
    clv_expected: float | None
    clv_low: float | None
    clv_high: float | None
    clv_horizon_days: int | None
    clv_margin: float | None
    lifetime_value: float | None
    lifetime_low: float | None
    lifetime_high: float | None
    historic_value: float | None
    historic_value_gross: float | None
    currency: str | None
    p_here: float | None
    p_leaves: float | None
    value_at_risk: float | None
    win_back_value: float | None
    expected_orders: float | None
    expected_next_order_at: str | None
    p_alive: float | None
    loyalty_class: str | None
    loyalty_score: float | None
    persona: str | None
    channel: str | None
    journey: str | None
    journey_stage: str | None
    bad_experiences_30d: int | None
    bad_experiences_90d: int | None
    bad_experiences_365d: int | None
    last_bad_experience_at: str | None
    last_bad_experience: str | None
    open_issue: bool | None
    experience_index: float | None
    pillar_integrity: float | None
    pillar_resolution: float | None
    pillar_expectations: float | None
    pillar_empathy: float | None
    pillar_personalisation: float | None
    pillar_time_and_effort: float | None
    level_needs: float | None
    level_ease: float | None
    level_enjoyable: float | None
    reasons: list["Reason"] | None
    next_categories: list["NextCategory"] | None
    next_categories_status: str | None
    action: str | None
    best_action: str | None
    offer: bool | None
    expected_profit: float | None
    expected_profit_low: float | None
    expected_profit_high: float | None
    contact_cost: float | None
    p_saved: float | None
    team: str | None
    contact_on: str | None
    held_out: bool | None
    suppression_reason: str | None
    model_version: str | None
    status: Literal["scored", "too_new", "no_history", "already_churned", "ended", "erased"]
    status_reason: str | None
    snapshot_id: str
    live: NotRequired[bool]


class Tier(TypedDict):
    """The customers of one risk tier in the current run."""

    customers: int
    min_probability: float
    max_probability: float


class Treatment(TypedDict):
    """A contact with a customer."""

    id: int
    customer_id: str
    treated_at: str
    action: str | None
    channel: str | None
    campaign: str | None
    cost: float | None
    case_id: int | None
    happened: bool
    churn_probability: float | None
    expected_value: float | None
    recorded_at: str
    recorded_by: str


class TreatmentPage(TypedDict):
    """Some treatments, the latest first; ``next`` is the cursor of those after them, null at the end."""

    treatments: list["Treatment"]
    next: str | None


class Wanted(TypedDict):
    """Whose scores to return; an id may occur more than once."""

    customer_ids: list[str]


class Warned(TypedDict):
    """What to know of the inputs before the score is used."""

    missing: NotRequired[list[str]]
    out_of_range: NotRequired[list[str]]
    unknown: NotRequired[list[str]]


class Webhook(TypedDict):
    """An endpoint: where messages are sent, and how it does."""

    id: str
    url: str
    types: list[
        Literal["score.tier_changed", "customer.entered_view", "snapshot.published", "model.promoted", "drift.alert"]
    ]
    description: str | None
    created_at: str
    created_by: str
    failing_since: str | None
    paused_until: str | None
    disabled_at: str | None
    disabled_because: str | None


class WebhookWithSecret(TypedDict):
    """An endpoint and its secret, which is shown this once."""

    id: str
    url: str
    types: list[
        Literal["score.tier_changed", "customer.entered_view", "snapshot.published", "model.promoted", "drift.alert"]
    ]
    description: str | None
    created_at: str
    created_by: str
    failing_since: str | None
    paused_until: str | None
    disabled_at: str | None
    disabled_because: str | None
    secret: str


class Webhooks(TypedDict):
    """The endpoints, oldest first."""

    webhooks: list["Webhook"]


class Problem(Exception):
    """An answer that is an error; ``type`` is for programs: urn:fedelta:problem:KIND."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        try:
            self.document: dict[str, Any] = response.json()
        except ValueError:
            self.document = {"title": response.reason_phrase}
        self.type = str(self.document.get("type", "about:blank"))
        super().__init__(f"{self.status} {self.document.get('detail') or self.document.get('title')}")


class Client:
    """One connection pool, for one thread or many; close it, or use it in a ``with`` statement."""

    def __init__(self, address: str, key: str, *, timeout: float = 30.0, attempts: int = 4) -> None:
        self._attempts = attempts
        self._http = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=timeout)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: Any = None,
        again: bool = True,
    ) -> httpx.Response:
        """Send a request and read the answer; again when the service asks for it and nothing can be done twice."""
        for left in range(self._attempts - 1, -1, -1):
            response = self._http.send(self._request(method, path, query, headers, body))
            if not response.is_error:
                return response
            if left == 0 or not (response.status_code == 429 or (response.status_code == 503 and again)):
                raise Problem(response)
            time.sleep(min(float(response.headers.get("retry-after", 1)), 60.0))
        raise ValueError("A request needs at least one attempt.")

    def _stream(self, path: str, query: Mapping[str, Any], headers: Mapping[str, Any]) -> Iterator[bytes]:
        response = self._http.send(self._request("GET", path, query, headers, None), stream=True)
        try:
            if response.is_error:
                response.read()
                raise Problem(response)
            yield from response.iter_bytes()
        finally:
            response.close()

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, Any] | None,
        body: Any,
    ) -> httpx.Request:
        return self._http.build_request(method, path, params=_given(query), headers=_given(headers), json=body)

    def read_score(self, customer_id: str) -> Score:
        """Return the latest score of one customer.

        A customer who is known but could not be scored has `status` other than `scored`, and `status_reason`. The
        ETag is the scoring run's id and the customer's revision: send it back as `If-None-Match` to get 304 until the
        score is new.
        """
        return cast("Score", self._send("GET", f"/v1/customers/{quote(str(customer_id), safe='')}/score").json())

    def read_scores(self, body: Wanted) -> Batch:
        """Return the latest scores of up to 1,000 customers; unknown ids are marked, not refused."""
        return cast("Batch", self._send("POST", "/v1/scores:batch", body=body, again=False).json())

    def list_at_risk(
        self,
        *,
        sort: Literal["value_at_risk", "probability", "delta", "expected_profit"] | None = None,
        min_probability: float | None = None,
        tier: Sequence[Literal["low", "medium", "high", "critical"]] | None = None,
        loyalty_class: Sequence[Literal["loyal", "latent", "spurious", "none"]] | None = None,
        persona: Sequence[str] | None = None,
        channel: Sequence[str] | None = None,
        journey: Sequence[Literal["onboarding", "use", "maintenance", "renewal"]] | None = None,
        journey_stage: Sequence[Literal["awareness", "familiarity", "consideration", "purchase", "loyalty"]]
        | None = None,
        reason: Sequence[str] | None = None,
        theme: Sequence[str] | None = None,
        action: Sequence[Literal["keep", "win back"]] | None = None,
        team: Sequence[str] | None = None,
        presence: Literal["probably_here", "probably_gone"] | None = None,
        tier_changed_since: str | None = None,
        has_open_issue: bool | None = None,
        min_clv: float | None = None,
        min_value_at_risk: float | None = None,
        min_delta: float | None = None,
        holdout: Literal["exclude", "only", "include"] | None = None,
        suppressed: Literal["exclude", "only", "include"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        bom: bool | None = None,
        owner: Sequence[str] | None = None,
        contacted_within: int | None = None,
        not_contacted_within: int | None = None,
    ) -> AtRiskPage:
        """List scored customers, those with most at stake (or likeliest to leave) first.

        All pages that a cursor leads to are of the scoring run of the first page, even when a newer one is published
        meanwhile. Customers without a score are never listed; those in the control group (holdout) and those who must
        not be contacted only on demand.
        """
        return cast(
            "AtRiskPage",
            self._send(
                "GET",
                "/v1/at-risk",
                query={
                    "sort": sort,
                    "min_probability": min_probability,
                    "tier": tier,
                    "loyalty_class": loyalty_class,
                    "persona": persona,
                    "channel": channel,
                    "journey": journey,
                    "journey_stage": journey_stage,
                    "reason": reason,
                    "theme": theme,
                    "action": action,
                    "team": team,
                    "presence": presence,
                    "tier_changed_since": tier_changed_since,
                    "has_open_issue": has_open_issue,
                    "min_clv": min_clv,
                    "min_value_at_risk": min_value_at_risk,
                    "min_delta": min_delta,
                    "holdout": holdout,
                    "suppressed": suppressed,
                    "limit": limit,
                    "cursor": cursor,
                    "bom": bom,
                    "owner": owner,
                    "contacted_within": contacted_within,
                    "not_contacted_within": not_contacted_within,
                },
            ).json(),
        )

    def every_at_risk(
        self,
        *,
        sort: Literal["value_at_risk", "probability", "delta", "expected_profit"] | None = None,
        min_probability: float | None = None,
        tier: Sequence[Literal["low", "medium", "high", "critical"]] | None = None,
        loyalty_class: Sequence[Literal["loyal", "latent", "spurious", "none"]] | None = None,
        persona: Sequence[str] | None = None,
        channel: Sequence[str] | None = None,
        journey: Sequence[Literal["onboarding", "use", "maintenance", "renewal"]] | None = None,
        journey_stage: Sequence[Literal["awareness", "familiarity", "consideration", "purchase", "loyalty"]]
        | None = None,
        reason: Sequence[str] | None = None,
        theme: Sequence[str] | None = None,
        action: Sequence[Literal["keep", "win back"]] | None = None,
        team: Sequence[str] | None = None,
        presence: Literal["probably_here", "probably_gone"] | None = None,
        tier_changed_since: str | None = None,
        has_open_issue: bool | None = None,
        min_clv: float | None = None,
        min_value_at_risk: float | None = None,
        min_delta: float | None = None,
        holdout: Literal["exclude", "only", "include"] | None = None,
        suppressed: Literal["exclude", "only", "include"] | None = None,
        limit: int | None = None,
        bom: bool | None = None,
        owner: Sequence[str] | None = None,
        contacted_within: int | None = None,
        not_contacted_within: int | None = None,
    ) -> Iterator[Ranked]:
        """Yield the customers of every page of `list_at_risk`."""
        cursor = None
        while True:
            page = self.list_at_risk(
                sort=sort,
                min_probability=min_probability,
                tier=tier,
                loyalty_class=loyalty_class,
                persona=persona,
                channel=channel,
                journey=journey,
                journey_stage=journey_stage,
                reason=reason,
                theme=theme,
                action=action,
                team=team,
                presence=presence,
                tier_changed_since=tier_changed_since,
                has_open_issue=has_open_issue,
                min_clv=min_clv,
                min_value_at_risk=min_value_at_risk,
                min_delta=min_delta,
                holdout=holdout,
                suppressed=suppressed,
                limit=limit,
                bom=bom,
                owner=owner,
                contacted_within=contacted_within,
                not_contacted_within=not_contacted_within,
                cursor=cursor,
            )
            yield from page["customers"]
            if not page["next"]:
                return
            cursor = httpx.URL(page["next"]).params["cursor"]

    def list_at_risk_file(
        self,
        *,
        format: Literal["csv", "ndjson", "parquet", "xlsx"],
        sort: Literal["value_at_risk", "probability", "delta", "expected_profit"] | None = None,
        min_probability: float | None = None,
        tier: Sequence[Literal["low", "medium", "high", "critical"]] | None = None,
        loyalty_class: Sequence[Literal["loyal", "latent", "spurious", "none"]] | None = None,
        persona: Sequence[str] | None = None,
        channel: Sequence[str] | None = None,
        journey: Sequence[Literal["onboarding", "use", "maintenance", "renewal"]] | None = None,
        journey_stage: Sequence[Literal["awareness", "familiarity", "consideration", "purchase", "loyalty"]]
        | None = None,
        reason: Sequence[str] | None = None,
        theme: Sequence[str] | None = None,
        action: Sequence[Literal["keep", "win back"]] | None = None,
        team: Sequence[str] | None = None,
        presence: Literal["probably_here", "probably_gone"] | None = None,
        tier_changed_since: str | None = None,
        has_open_issue: bool | None = None,
        min_clv: float | None = None,
        min_value_at_risk: float | None = None,
        min_delta: float | None = None,
        holdout: Literal["exclude", "only", "include"] | None = None,
        suppressed: Literal["exclude", "only", "include"] | None = None,
        limit: int | None = None,
        bom: bool | None = None,
        owner: Sequence[str] | None = None,
        contacted_within: int | None = None,
        not_contacted_within: int | None = None,
    ) -> Iterator[bytes]:
        """Yield the list of `list_at_risk` as a file, a piece at a time."""
        return self._stream(
            "/v1/at-risk",
            query={
                "format": format,
                "sort": sort,
                "min_probability": min_probability,
                "tier": tier,
                "loyalty_class": loyalty_class,
                "persona": persona,
                "channel": channel,
                "journey": journey,
                "journey_stage": journey_stage,
                "reason": reason,
                "theme": theme,
                "action": action,
                "team": team,
                "presence": presence,
                "tier_changed_since": tier_changed_since,
                "has_open_issue": has_open_issue,
                "min_clv": min_clv,
                "min_value_at_risk": min_value_at_risk,
                "min_delta": min_delta,
                "holdout": holdout,
                "suppressed": suppressed,
                "limit": limit,
                "bom": bom,
                "owner": owner,
                "contacted_within": contacted_within,
                "not_contacted_within": not_contacted_within,
            },
            headers={},
        )

    def compute_scores(self, body: Asked) -> ComputedScores:
        """Compute the scores of up to 100 customers from the interactions given, and from nothing else.

        The models, settings and comparisons are those of the current scoring run: the interactions of a customer as
        that run knew them give its score, to the last bit. Nothing is stored.
        """
        return cast("ComputedScores", self._send("POST", "/v1/scores:compute", body=body, again=False).json())

    def receive_interactions(
        self, body: Happened, *, score: bool | None = None, idempotency_key: str | None = None
    ) -> Received:
        """Store up to 1,000 interactions, and make the scores of their customers anew.

        What is acknowledged is on disk. Each interaction has a result of its own; one whose id was there before is a
        duplicate. Scores are made from whole histories: those of the current scoring run and what was received since.
        They are read in place of the run's, alone, in batches and on pages of the list, marked `live`.
        """
        return cast(
            "Received",
            self._send(
                "POST",
                "/v1/interactions",
                query={"score": score},
                headers={"idempotency-key": idempotency_key},
                body=body,
            ).json(),
        )

    def erase_customer(self, customer_id: str) -> Receipt:
        """Erase a customer, whether known or not: from reads, lists and what was collected at once, and for good.

        The receipt says what was removed where, and what goes with the next publish and the next training.
        """
        return cast("Receipt", self._send("DELETE", f"/v1/customers/{quote(str(customer_id), safe='')}").json())

    def alive(self) -> Alive:
        """Say that the process answers; the database is not asked."""
        return cast("Alive", self._send("GET", "/healthz").json())

    def ready(self) -> Ready:
        """Say which scoring run is served; 503 until there is one."""
        return cast("Ready", self._send("GET", "/readyz").json())

    def current_model(self) -> CurrentModel:
        """Describe the model behind the current scores: version, horizon, tiers, metrics."""
        return cast("CurrentModel", self._send("GET", "/v1/models/current").json())

    def list_cases(
        self,
        *,
        status: Sequence[Literal["open", "snoozed", "done"]] | None = None,
        owner: str | None = None,
        unassigned: bool | None = None,
        due_before: str | None = None,
        customer_id: str | None = None,
        reason: str | None = None,
        min_priority: float | None = None,
        sort: Literal["priority", "due", "updated"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> CasePage:
        """List cases. Pages follow each other by keyset: none is missed or doubled because others were added."""
        return cast(
            "CasePage",
            self._send(
                "GET",
                "/v1/cases",
                query={
                    "status": status,
                    "owner": owner,
                    "unassigned": unassigned,
                    "due_before": due_before,
                    "customer_id": customer_id,
                    "reason": reason,
                    "min_priority": min_priority,
                    "sort": sort,
                    "limit": limit,
                    "cursor": cursor,
                },
            ).json(),
        )

    def every_cases(
        self,
        *,
        status: Sequence[Literal["open", "snoozed", "done"]] | None = None,
        owner: str | None = None,
        unassigned: bool | None = None,
        due_before: str | None = None,
        customer_id: str | None = None,
        reason: str | None = None,
        min_priority: float | None = None,
        sort: Literal["priority", "due", "updated"] | None = None,
        limit: int | None = None,
    ) -> Iterator[Case]:
        """Yield the cases of every page of `list_cases`."""
        cursor = None
        while True:
            page = self.list_cases(
                status=status,
                owner=owner,
                unassigned=unassigned,
                due_before=due_before,
                customer_id=customer_id,
                reason=reason,
                min_priority=min_priority,
                sort=sort,
                limit=limit,
                cursor=cursor,
            )
            yield from page["cases"]
            if not page["next"]:
                return
            cursor = httpx.URL(page["next"]).params["cursor"]

    def open_case(self, body: Opening) -> Case:
        """Open a case for a customer who may be contacted: one at a time for each customer and reason.

        Customers of the control group and those who opted out are refused (409).
        """
        return cast("Case", self._send("POST", "/v1/cases", body=body, again=False).json())

    def read_case(self, case_id: int) -> CaseDetail:
        """Return a case with its notes, treatments and outcomes. Its ETag is for ``If-Match``."""
        return cast("CaseDetail", self._send("GET", f"/v1/cases/{quote(str(case_id), safe='')}").json())

    def change_case(self, case_id: int, body: Change, *, if_match: str | None = None) -> Case:
        """Change a case that is still as it was read (``If-Match``, else 428; 412 where it is not).

        Of a customer who has come into the control group or opted out it can only be closed.
        """
        return cast(
            "Case",
            self._send(
                "PATCH", f"/v1/cases/{quote(str(case_id), safe='')}", headers={"if-match": if_match}, body=body
            ).json(),
        )

    def note_case(self, case_id: int, body: NoteText) -> Note:
        """Write a note on a case."""
        return cast(
            "Note", self._send("POST", f"/v1/cases/{quote(str(case_id), safe='')}/notes", body=body, again=False).json()
        )

    def change_cases(self, body: Bulk) -> BulkAnswer:
        """Change all cases that a filter lets through, or count them first (``dry_run``, the default)."""
        return cast("BulkAnswer", self._send("POST", "/v1/cases:bulk", body=body, again=False).json())

    def record_treatment(self, body: ContactMade, *, idempotency_key: str) -> Treatment:
        """Record a contact, once for each ``Idempotency-Key``.

        Customers of the control group and those who opted out are refused (409) unless it says that it ``happened``.
        """
        return cast(
            "Treatment",
            self._send("POST", "/v1/treatments", headers={"idempotency-key": idempotency_key}, body=body).json(),
        )

    def list_treatments(
        self,
        *,
        customer_id: str | None = None,
        campaign: str | None = None,
        since: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> TreatmentPage:
        """List the contacts that were made, the latest first."""
        return cast(
            "TreatmentPage",
            self._send(
                "GET",
                "/v1/treatments",
                query={
                    "customer_id": customer_id,
                    "campaign": campaign,
                    "since": since,
                    "limit": limit,
                    "cursor": cursor,
                },
            ).json(),
        )

    def every_treatments(
        self,
        *,
        customer_id: str | None = None,
        campaign: str | None = None,
        since: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Treatment]:
        """Yield the treatments of every page of `list_treatments`."""
        cursor = None
        while True:
            page = self.list_treatments(
                customer_id=customer_id, campaign=campaign, since=since, limit=limit, cursor=cursor
            )
            yield from page["treatments"]
            if not page["next"]:
                return
            cursor = httpx.URL(page["next"]).params["cursor"]

    def write_outcomes(self, body: Outcomes, *, idempotency_key: str) -> OutcomeResults:
        """Record what came of contacts, once for each ``Idempotency-Key``; some may be refused and others not."""
        return cast(
            "OutcomeResults",
            self._send("POST", "/v1/outcomes", headers={"idempotency-key": idempotency_key}, body=body).json(),
        )

    def list_campaigns(self) -> Campaigns:
        """List campaigns with what was collected of each so far."""
        return cast("Campaigns", self._send("GET", "/v1/campaigns").json())

    def campaign_report(self, campaign_id: str) -> CampaignReport:
        """Return what a campaign achieved: the report of `fedelta saves` that was last published with a run."""
        return cast(
            "CampaignReport", self._send("GET", f"/v1/campaigns/{quote(str(campaign_id), safe='')}/report").json()
        )

    def list_webhooks(self) -> Webhooks:
        """List the endpoints and how they do; without their secrets."""
        return cast("Webhooks", self._send("GET", "/v1/webhooks").json())

    def create_webhook(self, body: Endpoint) -> WebhookWithSecret:
        """Make an endpoint, to which events are sent from now on. Its secret is shown this once."""
        return cast("WebhookWithSecret", self._send("POST", "/v1/webhooks", body=body, again=False).json())

    def read_webhook(self, webhook_id: str) -> Webhook:
        """Return an endpoint and how it does; without its secret."""
        return cast("Webhook", self._send("GET", f"/v1/webhooks/{quote(str(webhook_id), safe='')}").json())

    def delete_webhook(self, webhook_id: str) -> Webhook:
        """Delete an endpoint and what was still to be sent to it."""
        return cast("Webhook", self._send("DELETE", f"/v1/webhooks/{quote(str(webhook_id), safe='')}").json())

    def rotate_webhook(self, webhook_id: str) -> WebhookWithSecret:
        """Give an endpoint a new secret, shown this once. For 24 hours messages carry a signature by the old one
        too.
        """
        return cast(
            "WebhookWithSecret",
            self._send("POST", f"/v1/webhooks/{quote(str(webhook_id), safe='')}/rotate", again=False).json(),
        )

    def enable_webhook(self, webhook_id: str) -> Webhook:
        """Send to an endpoint again that was disabled, or at once to one that is paused."""
        return cast(
            "Webhook", self._send("POST", f"/v1/webhooks/{quote(str(webhook_id), safe='')}/enable", again=False).json()
        )

    def replay_webhook(self, webhook_id: str, body: Replay) -> Replayed:
        """Send events again, with the same ids; those from before the endpoint was made or while it was disabled
        too.
        """
        return cast(
            "Replayed",
            self._send("POST", f"/v1/webhooks/{quote(str(webhook_id), safe='')}/replay", body=body, again=False).json(),
        )

    def list_deliveries(
        self,
        webhook_id: str,
        *,
        state: Literal["pending", "delivered", "failed"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> DeliveryPage:
        """List what was sent to an endpoint, or is to be, and what came of it."""
        return cast(
            "DeliveryPage",
            self._send(
                "GET",
                f"/v1/webhooks/{quote(str(webhook_id), safe='')}/deliveries",
                query={"state": state, "limit": limit, "cursor": cursor},
            ).json(),
        )

    def every_deliveries(
        self,
        webhook_id: str,
        *,
        state: Literal["pending", "delivered", "failed"] | None = None,
        limit: int | None = None,
    ) -> Iterator[Delivery]:
        """Yield the deliveries of every page of `list_deliveries`."""
        cursor = None
        while True:
            page = self.list_deliveries(webhook_id, state=state, limit=limit, cursor=cursor)
            yield from page["deliveries"]
            if not page["next"]:
                return
            cursor = httpx.URL(page["next"]).params["cursor"]

    def read_metrics(self) -> str:
        """Return the metrics of all workers as Prometheus reads them."""
        return self._send("GET", "/metrics").text


def _given(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Those that are not None; times as ISO 8601, yes and no as the service writes them."""
    return {name: _text(value) for name, value in (values or {}).items() if value is not None}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_text(each) for each in value] if isinstance(value, (list, tuple)) else str(value)
