"""Examples of requests and answers, and links between them, by operation: shown in the OpenAPI document."""

from typing import Any

from fedelta.serve.snapshots.document import MEANING

_SCORE: dict[str, Any] = dict.fromkeys(MEANING) | {
    "customer_id": "C1",
    "as_of": "2024-01-01T00:00:00Z",
    "horizon_days": 90,
    "churn_probability": 0.62,
    "churn_score": 62.0,
    "risk_tier": "high",
    "clv_expected": 240.5,
    "currency": "EUR",
    "value_at_risk": 149.11,
    "reasons": [
        {
            "code": "silence",
            "theme": "rhythm",
            "text": "No order for 142 days (last on 3 Aug); they used to order every 31 days",
            "text_it": "Nessun ordine da 142 giorni (l'ultimo il 3 ago); prima ordinava ogni 31 giorni",
            "direction": "raises",
            "contribution": 0.5,
            "value": 142.0,
            "peer_median": 31.0,
            "date": "2023-08-03",
        }
    ],
    "status": "scored",
    "snapshot_id": "3f2a9c0d51b7e864",
}
_AGE: dict[str, Any] = {"age_seconds": 3600, "stale": False}
_CASE: dict[str, Any] = {
    "id": 12,
    "customer_id": "C1",
    "reason": "silence",
    "status": "open",
    "owner": "vera",
    "due_on": "2024-01-05",
    "priority": 149.11,
    "next_action": "Call about the late delivery",
    "snoozed_until": None,
    "snoozed_until_event": None,
    "playbook": None,
    "step": None,
    "started_on": None,
    "opened_at": "2024-01-01T06:00:00Z",
    "opened_by": "fedelta cases update",
    "opened_in": "3f2a9c0d51b7e864",
    "updated_at": "2024-01-02T09:30:00Z",
    "updated_in": "3f2a9c0d51b7e864",
    "closed_at": None,
    "outcome": "no_answer",
    "outcome_reason": None,
    "revision": 3,
}
_NOTE: dict[str, Any] = {
    "id": 7,
    "case_id": 12,
    "text": "Prefers to be called after six.",
    "author": "vera",
    "created_at": "2024-01-02T09:30:00Z",
    "pinned": True,
}
_TREATMENT: dict[str, Any] = {
    "id": 31,
    "customer_id": "C1",
    "treated_at": "2024-01-02T09:20:00Z",
    "action": "keep",
    "channel": "phone",
    "campaign": "spring",
    "cost": 4.5,
    "case_id": 12,
    "happened": False,
    "churn_probability": 0.62,
    "expected_value": 240.5,
    "recorded_at": "2024-01-02T09:30:00Z",
    "recorded_by": "crm",
}
_OUTCOME: dict[str, Any] = {
    "id": 45,
    "customer_id": "C1",
    "outcome": "no_answer",
    "reason": None,
    "occurred_at": "2024-01-02T09:20:00Z",
    "case_id": 12,
    "treatment_id": 31,
    "recorded_at": "2024-01-02T09:30:00Z",
    "recorded_by": "crm",
}
_WEBHOOK: dict[str, Any] = {
    "id": "whk_0123456789abcdef",
    "url": "https://crm.example.org/fedelta",
    "types": ["score.tier_changed", "snapshot.published"],
    "description": "the CRM",
    "created_at": "2024-01-01T06:00:00Z",
    "created_by": "admin",
    "failing_since": None,
    "paused_until": None,
    "disabled_at": None,
    "disabled_because": None,
}
_WITH_SECRET: dict[str, Any] = {**_WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
_OF_WEBHOOK: dict[str, Any] = {"webhook_id": "whk_0123456789abcdef"}
_CAMPAIGN: dict[str, Any] = {
    "id": "spring",
    "entered": {"treated": 900, "held_out": 100},
    "contacts": 640,
    "cost": 2880.0,
    "outcomes": {"reached": 310, "no_answer": 280, "saved": 50},
    "first_at": "2024-01-02T09:20:00Z",
    "last_at": "2024-02-20T16:05:00Z",
    "measured": True,
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "read_score": {"parameters": {"customer_id": "C1"}, "response": _SCORE},
    "read_scores": {
        "request": {"customer_ids": ["C1", "C2"]},
        "response": {
            "snapshot_id": "3f2a9c0d51b7e864",
            "results": [
                {"customer_id": "C1", "status": "found", "score": _SCORE},
                {"customer_id": "C2", "status": "not_found"},
            ],
        },
    },
    "compute_scores": {
        "request": {
            "customers": [
                {
                    "customer_id": "C1",
                    "attributes": {"country": "IT"},
                    "opted_out": False,
                    "interactions": [
                        {
                            "interaction_id": "order-17",
                            "occurred_at": "2023-08-03T09:30:00Z",
                            "kind": "purchase",
                            "channel": "web",
                            "amount": 49.9,
                        },
                        {
                            "interaction_id": "ticket-4",
                            "occurred_at": "2023-12-20T16:05:00Z",
                            "kind": "complaint",
                            "channel": "phone",
                            "resolved": False,
                        },
                    ],
                }
            ],
            "as_of": "2024-01-01T00:00:00Z",
            "explain": True,
        },
        "response": {
            "snapshot_id": "3f2a9c0d51b7e864",
            "results": [
                {
                    "customer_id": "C1",
                    "status": "scored",
                    "warnings": {"missing": ["rating", "plan"], "out_of_range": [], "unknown": []},
                    "score": _SCORE,
                }
            ],
        },
    },
    "receive_interactions": {
        "request": {
            "interactions": [
                {
                    "customer_id": "C1",
                    "interaction_id": "ticket-4",
                    "occurred_at": "2024-01-02T16:05:00Z",
                    "kind": "complaint",
                    "channel": "phone",
                    "resolved": False,
                }
            ]
        },
        "parameters": {"score": True},
        "response": {
            "accepted": 1,
            "results": [{"interaction_id": "ticket-4", "status": "accepted", "errors": []}],
            "scores": [{"customer_id": "C1", "status": "scored", "score": {**_SCORE, "live": True}}],
        },
    },
    "list_at_risk": {
        "parameters": {"tier": ["high", "critical"], "min_probability": 0.5, "limit": 50},
        "response": {
            "snapshot_id": "3f2a9c0d51b7e864",
            "as_of": "2024-01-01T00:00:00Z",
            **_AGE,
            "total": 900,
            "total_is_exact": True,
            "customers": [{"rank": 1, **_SCORE}],
            "next": "/v1/at-risk?limit=1&cursor=eyJ",
        },
        "links": {
            "first_score": {
                "operationId": "read_score",
                "parameters": {"customer_id": "$response.body#/customers/0/customer_id"},
                "description": "The score of the first customer of the page.",
            }
        },
    },
    "current_model": {
        "response": {
            "published_at": "2024-01-01T06:00:00Z",
            "snapshot_id": "3f2a9c0d51b7e864",
            "as_of": "2024-01-01T00:00:00Z",
            "horizon_days": 90,
            "customers": 20000,
            "by_status": {"scored": 19000, "too_new": 1000},
            "model_version": "m1",
            "risk_tiers": {"high": {"customers": 900, "min_probability": 0.5, "max_probability": 0.8}},
            "thresholds": {"high": 0.5},
            "metrics": None,
            "churn": None,
            "clv": None,
            **_AGE,
        }
    },
    "ready": {
        "response": {
            "status": "ready",
            "snapshot_id": "3f2a9c0d51b7e864",
            "as_of": "2024-01-01T00:00:00Z",
            "published_at": "2024-01-01T06:00:00Z",
            **_AGE,
            "database": "available",
        }
    },
    "alive": {"response": {"status": "alive"}},
    "erase_customer": {
        "parameters": {"customer_id": "C9"},
        "response": {
            "hashed_id": "5f1c6d0e" + 56 * "a",
            "erased_at": "2024-01-02T09:30:00Z",
            "removed": {"cases": 1, "case_notes": 2, "treatments": 1, "outcomes": 1},
            "hidden_in": ["3f2a9c0d51b7e864"],
            "pending": ["snapshots: the rows are hidden, and removed by the next publish"],
        },
    },
    "list_campaigns": {
        "response": {"campaigns": [_CAMPAIGN]},
        "links": {
            "first_report": {
                "operationId": "campaign_report",
                "parameters": {"campaign_id": "$response.body#/campaigns/0/id"},
                "description": "What the first campaign achieved.",
            }
        },
    },
    "campaign_report": {
        "parameters": {"campaign_id": "spring"},
        "response": {
            "campaign": _CAMPAIGN,
            "published_at": "2024-06-01T06:00:00Z",
            "as_of": "2024-05-31",
            "horizon_days": 90,
            "currency": "EUR",
            "comparison": {
                "by": "campaign",
                "group": "spring",
                "entered": {"treated": 900, "held_out": 100},
                "withheld": "Too few customers whose horizon is over: 40 held-out, of at least 50 each.",
            },
            "overall": None,
            "says": "Too few customers whose horizon is over: 40 held-out, of at least 50 each. About 3 weeks to go.",
        },
    },
    "list_cases": {
        "parameters": {"status": ["open"], "limit": 50},
        "response": {"cases": [_CASE], "next": "WzE0OS4xMSwxMl0.0123456789abcdef0123"},
        "links": {
            "first_case": {
                "operationId": "read_case",
                "parameters": {"case_id": "$response.body#/cases/0/id"},
                "description": "The first case of the page.",
            }
        },
    },
    "open_case": {
        "request": {"customer_id": "C1", "reason": "silence", "owner": "vera", "due_on": "2024-01-05"},
        "response": _CASE,
        "links": {
            "case": {
                "operationId": "read_case",
                "parameters": {"case_id": "$response.body#/id"},
                "description": "The case with its notes.",
            },
            "change": {
                "operationId": "change_case",
                "parameters": {"case_id": "$response.body#/id", "if-match": "$response.header.etag"},
                "description": "A change of the case as it is now.",
            },
            "note": {
                "operationId": "note_case",
                "parameters": {"case_id": "$response.body#/id"},
                "description": "A note on the case.",
            },
        },
    },
    "read_case": {
        "parameters": {"case_id": 12},
        "response": {**_CASE, "notes": [_NOTE], "treatments": [_TREATMENT], "outcomes": [_OUTCOME]},
    },
    "change_case": {
        "parameters": {"case_id": 12, "if-match": '"3"'},
        "request": {"owner": "vera", "snoozed_until_event": "bad_experience"},
        "response": _CASE,
    },
    "note_case": {
        "parameters": {"case_id": 12},
        "request": {"text": "Prefers to be called after six.", "pinned": True},
        "response": _NOTE,
    },
    "change_cases": {
        "request": {"filter": {"unassigned": True, "reason": "silence"}, "change": {"owner": "vera"}, "dry_run": True},
        "response": {"receipt_id": None, "matched": 40, "changed": 39, "refused": 1, "case_ids": [12, 15]},
    },
    "record_treatment": {
        "parameters": {"idempotency-key": "5f1c6d0e"},
        "request": {"customer_id": "C1", "action": "keep", "channel": "phone", "cost": 4.5, "case_id": 12},
        "response": _TREATMENT,
    },
    "list_treatments": {
        "parameters": {"campaign": "spring", "limit": 50},
        "response": {"treatments": [_TREATMENT], "next": None},
    },
    "write_outcomes": {
        "parameters": {"idempotency-key": "7a9be402"},
        "request": {"outcomes": [{"customer_id": "C1", "outcome": "no_answer", "case_id": 12}]},
        "response": {
            "results": [
                {"customer_id": "C1", "status": "recorded", "outcome": _OUTCOME},
                {
                    "customer_id": "C2",
                    "status": "refused",
                    "problem": "control-group",
                    "detail": "'C2' is in the control group, which is never contacted.",
                },
            ]
        },
    },
    "create_webhook": {
        "request": {"url": "https://crm.example.org/fedelta", "types": ["score.tier_changed", "snapshot.published"]},
        "response": _WITH_SECRET,
        "links": {
            name: {
                "operationId": operation,
                "parameters": {"webhook_id": "$response.body#/id"},
                "description": description,
            }
            for name, operation, description in (
                ("webhook", "read_webhook", "How the endpoint does."),
                ("deliveries", "list_deliveries", "What was sent to it."),
                ("rotate", "rotate_webhook", "A new secret for it."),
                ("replay", "replay_webhook", "Sends events to it again."),
                ("delete", "delete_webhook", "Its end."),
            )
        },
    },
    "list_webhooks": {"response": {"webhooks": [_WEBHOOK]}},
    "read_webhook": {"parameters": _OF_WEBHOOK, "response": _WEBHOOK},
    "delete_webhook": {"parameters": _OF_WEBHOOK, "response": _WEBHOOK},
    "rotate_webhook": {"parameters": _OF_WEBHOOK, "response": _WITH_SECRET},
    "enable_webhook": {"parameters": _OF_WEBHOOK, "response": _WEBHOOK},
    "replay_webhook": {
        "parameters": _OF_WEBHOOK,
        "request": {"since": "2024-01-01T00:00:00Z"},
        "response": {"queued": 12},
    },
    "list_deliveries": {
        "parameters": {**_OF_WEBHOOK, "state": "delivered", "limit": 50},
        "response": {
            "deliveries": [
                {
                    "id": 9,
                    "event_id": "evt_0123456789abcdef01234567",
                    "type": "snapshot.published",
                    "created_at": "2024-01-01T06:00:00Z",
                    "state": "delivered",
                    "attempts": 1,
                    "due_at": "2024-01-01T06:00:00Z",
                    "tried_at": "2024-01-01T06:00:01Z",
                    "status": 204,
                    "error": None,
                }
            ],
            "next": None,
        },
    },
}
