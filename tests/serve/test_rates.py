"""How often a caller may ask: as often as is set, over all processes, and what is left is said."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from scoring_runs import Client, Publish, customer, full_url

from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.caller.rates import Rates
from fedelta.serve.caller.settings import Settings
from fedelta.serve.operational.database import Database

CRM, DESK = b"crm_key1", b"desk_key"
SETTINGS = Settings(access_log="off", rate_per_second=0.01, rate_burst=5, failures_per_minute=10)


def test_as_many_as_the_burst_pass_at_once_and_no_more() -> None:
    rates = Rates()
    verdicts = [rates.take(CRM, 0.01, 5) for _ in range(8)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 3
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0, 0]
    assert 99 < verdicts[-1].retry_after <= 100
    assert 499 < verdicts[-1].full_after <= 500
    assert rates.take(DESK, 0.01, 5).allowed
    rates.close()


def test_looking_counts_nothing() -> None:
    rates = Rates()
    assert all(rates.look(CRM, 0.01, 1).allowed for _ in range(10))
    assert rates.take(CRM, 0.01, 1).allowed
    assert not rates.look(CRM, 0.01, 1).allowed
    rates.close()


def test_more_callers_than_slots_are_still_limited_by_and_by() -> None:
    rates = Rates()
    for number in range(1, 20_000):  # of 8,192 slots
        rates.take(number.to_bytes(8, "little"), 0.01, 1)
    last = (20_000).to_bytes(8, "little")
    assert rates.take(last, 0.01, 1).allowed
    assert not rates.take(last, 0.01, 1).allowed
    rates.close()


def test_processes_share_one_count(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fedelta.serve.caller.rates import Rates\n"
        "rates = Rates(Path(sys.argv[1]), shared=True)\n"
        "print(sum(rates.take(b'crm_key1', 0.001, 500).allowed for _ in range(400)))"
    )

    def asked(_number: int) -> int:
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "rates"], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(asked, range(3))) == 500
    assert (tmp_path / "rates").stat().st_mode & 0o777 == 0o600


def test_an_answer_says_what_is_left_and_a_refusal_when_to_come_back(
    database: Database, key: str, publish_customers: Publish
) -> None:
    publish_customers(customer("ann"))
    client = Client(create_app(full_url(database), SETTINGS), key)
    answers = [client.get("/v1/customers/ann/score") for _ in range(6)]
    client.close()
    client.store.close()
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"key";q=5;w=500'
    assert answers[0].headers["ratelimit"] == '"key";r=4;t=100'
    refused = answers[-1]
    assert refused.json()["type"] == "urn:fedelta:problem:too-many-requests"
    assert 99 <= int(refused.headers["retry-after"]) <= 100
    assert '"key";r=0' in refused.headers["ratelimit"]


def test_guessing_keys_is_slowed_by_address_and_those_who_have_one_go_on(
    database: Database, key: str, publish_customers: Publish
) -> None:
    publish_customers(customer("ann"))
    client = Client(create_app(full_url(database), replace(SETTINGS, rate_per_second=0)), key)
    assert client.get("/v1/customers/ann/score").status_code == 200
    guesses = [client.get("/v1/at-risk", headers={"Authorization": f"Bearer guess{n}"}) for n in range(15)]
    assert [answer.status_code for answer in guesses] == [401] * 10 + [429] * 5
    assert guesses[-1].headers["retry-after"]
    assert client.get("/v1/customers/ann/score").status_code == 200
    assert client.get("/healthz").status_code == 200
    client.close()
    client.store.close()


def test_a_key_with_a_rate_of_its_own_is_counted_by_it(database: Database, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    app = create_app(full_url(database), SETTINGS)
    policies, clients = [], []
    for rate in (0.002, 0, None):
        key, _ = create_key(database, f"crm {rate}", ["read:score"], rate_per_second=rate)
        clients.append(Client(app, key))
        answers = [clients[-1].get("/v1/customers/ann/score") for _ in range(7)]
        policies.append((answers[0].headers.get("ratelimit-policy"), [a.status_code for a in answers].count(200)))
    for client in clients:
        client.close()
    app.state.store.close()
    assert policies == [('"key";q=1;w=500', 1), (None, 7), ('"key";q=5;w=500', 5)]
