"""What somebody hostile sends to the desk: nothing breaks, nobody is led elsewhere, nothing runs."""

import csv
import inspect
import io
import itertools
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

import desk_company as company
import httpx
import pytest
import sqlalchemy as sa
from desk_client import Desk, token_of
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from operational_databases import copy, url_of
from postgres import Server
from scoring_runs import Client, customer, full_url, running, write

from fedelta.serve.desk.digests import token
from fedelta.serve.desk.users import add_user
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import cases, subscriptions
from fedelta.serve.snapshots.publish import publish

Visit = Callable[..., Desk]
_numbers = itertools.count()
ODD = ("nan", "9" * 5_000, "09Z")
PARAMETERS = (
    "q", "cursor", "least", "capacity", "budget", "campaign", "tab", "owner", "in", "cases", "journey", "customer_id",
    "day", "min_clv", "tier_changed_since",
)  # fmt: skip
FIELD = re.compile(r'form, "(\w+)"|form\.get(?:list)?\("(\w+)"')
GOOD = {
    "case_id": "1", "revision": "1", "customer_id": "C0003", "outcome": "0", "text": "a", "name": "a", "zone": "UTC",
    "opens": "09:00", "closes": "18:00", "days": "1", "first_contact": "1", "hour": "8", "kind": "digest",
    "query": "tier=high", "view_id": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def postgres_company(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smaller company in the database `company` of PostgreSQL, its snapshots in this folder; both to be copied."""
    folder = tmp_path_factory.mktemp("postgres-company")
    copy(postgres, "empty", "company")
    database = Database.at(url_of(postgres, "company"), folder / "snapshots")
    company.people(database)
    company.run(database, folder, 30)
    return folder / "snapshots"


@pytest.fixture(params=["sqlite", "postgresql"])
def desk_database(
    request: pytest.FixtureRequest, company_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """The company in a database of either kind."""
    if request.param == "sqlite":
        (tmp_path / "fedelta.db").write_bytes((company_folder / "fedelta.db").read_bytes())
        (tmp_path / "snapshots").symlink_to(company_folder / "snapshots")
        return Database.at(f"sqlite:///{tmp_path}/fedelta.db")
    shutil.copytree(request.getfixturevalue("postgres_company"), tmp_path / "snapshots")
    monkeypatch.setenv("FEDELTA_SNAPSHOTS", str(tmp_path / "snapshots"))
    name = f"attacked_{next(_numbers)}"
    copy(server := request.getfixturevalue("postgres"), "company", name)
    return Database.at(url_of(server, name))


def routes(app: FastAPI, method: str) -> dict[str, str]:
    """The addresses of the desk that take a method, and the source of the module that answers at each."""
    found = [each for each in iter_route_contexts(app.routes) if method in (each.methods or ())]
    return {
        path: inspect.getsource(sys.modules[each.endpoint.__module__])
        for each in found
        if (path := str(each.path)).startswith("/desk") and path != "/desk/sign-out"
    }


def filled(template: str, value: str) -> str:
    return re.sub(r"{[^}]+}", quote(value, safe=""), template)


def import_of(desk: Desk) -> str:
    """Where a file that was sent is shown."""
    content = b"customer_id,outcome\n=1+1,saved\n"
    place: str = desk.send_file("/desk/campaigns/outcomes", "/desk/campaigns", "x.csv", content).headers["location"]
    return place


@pytest.mark.long
def test_no_address_breaks_a_page(visit: Visit, desk_app: FastAPI) -> None:
    desk, asked = visit("admin"), []
    number = import_of(desk).rpartition("/")[2]
    for template in routes(desk_app, "GET"):
        page = filled(template, number if "{number}" in template else "C0003")
        asked += [filled(template, odd) for odd in ("\0", "..", "9" * 5_000)]
        asked += [f"{page}?q=%00", f"{page}?owner=%ed%a0%80&reason=%ff&tab=open"]
        asked += [f"{page}?{name}={odd}" for name in PARAMETERS for odd in ODD]
    assert [address for address in asked if desk.get(address).status_code >= 500] == []


@pytest.mark.long
def test_no_form_breaks_a_page(visit: Visit, desk_app: FastAPI) -> None:
    desk, broken = visit("admin"), []
    number = import_of(desk).rpartition("/")[2]
    desk.send("/desk/cases", "/desk", customer_id="C0003", reason="silence")
    desk.send("/desk/views", "/desk", name="a", query="tier=high")
    token = token_of(desk.get("/desk/settings"))
    for template, source in routes(desk_app, "POST").items():
        names = {first or second for first, second in FIELD.findall(source)}
        for name in names - {"token"}:
            for odd in (*ODD, "\0"):
                fields = GOOD | {"token": token, name: odd}
                if desk.post(filled(template, number), **fields).status_code >= 500:
                    broken.append((template, name, odd[:9]))
    assert broken == []


@pytest.mark.parametrize("wanted", ["/desk/customers/عميل-7", "/desk/customers/a%2Fb%20%C3%BC%3F%23?in=q%3Dü"])
def test_one_comes_back_to_where_one_was_whatever_it_is_called(visit: Visit, wanted: str) -> None:
    led = visit().get(wanted).headers["location"]
    going = unquote(led.partition("next=")[2])
    desk = visit()
    fields = {"email": company.email("agent"), "password": company.PASSWORD, "next": going}
    there = desk.send("/desk/sign-in", "/desk/sign-in", **fields).headers["location"]
    assert there == quote(unquote(wanted.partition("?")[0]), safe="/:") or unquote(there) == unquote(wanted)
    page = desk.get(there)
    assert page.status_code == 200
    assert set(re.findall(r'name="back" value="([^"]+)"', page.text)) == {there}
    sent = desk.send("/desk/cases", "/desk", customer_id="عميل-7", reason="silence", back=there)
    assert sent.headers["location"] == there


@pytest.mark.parametrize(
    "back", ["//evil.example", "/desk\\@evil", "https://evil.example/desk/", "/deskx", "/desk/\r\nx: y"]
)
def test_a_form_leads_nowhere_else(visit: Visit, back: str) -> None:
    sent = visit("agent").send("/desk/cases", "/desk", customer_id="C0003", reason="silence", back=back)
    assert sent.headers["location"] == "/desk/customers/C0003"
    assert "x" not in sent.headers


@pytest.mark.parametrize("origin", ["http://[", "http://\u2100", "null", "", "://", "http://fedelta.evil.example"])
def test_a_form_of_a_page_elsewhere_is_refused_whatever_its_address(desk_app: FastAPI, origin: str) -> None:
    client = Client(desk_app)
    answer = client.post("/desk/sign-in", headers={"origin": origin.encode()})
    client.close()
    assert answer.status_code == 403


def test_a_proxy_may_name_any_scheme(desk_database: Database) -> None:
    with running(full_url(desk_database), options=["--trusted-proxies=127.0.0.1"]) as address:
        for scheme, secure in (("ws", False), ("wss", True), ("https", True), ("gopher", False)):
            answer = httpx.get(f"{address}/desk/sign-in", headers={"X-Forwarded-Proto": scheme})
            assert answer.status_code == 200
            assert ("Secure" in answer.headers["set-cookie"]) == secure


def test_a_file_of_refused_rows_runs_nothing_in_a_sheet(visit: Visit) -> None:
    desk = visit("manager")
    content = b"customer_id,outcome,=cmd\n=1+1,saved,@x\n+39 011,lost,-5\n"
    place = desk.send_file("/desk/campaigns/outcomes", "/desk/campaigns", "x.csv", content).headers["location"]
    text = desk.get(f"{place}/errors.csv?customer_id=0&outcome=1").content.decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert [cell for cell in cells if cell.startswith("'")] == ["'=cmd", "'=1+1", "'@x", "'+39 011", "'-5"]
    assert [cell for cell in cells if cell[:1] in {"=", "+", "-", "@"}] == []


def test_words_of_people_are_shown_as_text_wherever_they_are(visit: Visit) -> None:
    desk, markup = visit("admin"), "<img src=x onerror=alert(1)>'\""
    back = "/desk/customers/C0003"
    desk.send("/desk/cases", "/desk", customer_id="C0003", reason=markup, owner=markup, back=back)
    desk.send("/desk/cases/change", "/desk", case_id="1", revision="1", customer_id="C0003", next_action=markup)
    desk.send("/desk/cases/note", "/desk", case_id="1", customer_id="C0003", text=markup, pinned="yes")
    desk.send("/desk/views", "/desk", name=markup, query=f"persona={quote(markup)}&q={quote(markup)}", shared="yes")
    view = re.search(r'<option value="(\d+)">', desk.get("/desk/digests").text)
    assert view is not None
    desk.send("/desk/digests", "/desk", view_id=view[1], kind="digest", hour="8", zone="UTC")
    header = f"{quote(markup)},customer_id,outcome\n".encode() + f"a,{markup},{markup}\n".encode()
    place = desk.send_file("/desk/campaigns/outcomes", "/desk/campaigns", f"{markup}.csv", header).headers["location"]
    for path in (
        "/desk", back, "/desk/cases?tab=open", "/desk/customers", "/desk/digests", "/desk/team", "/desk/base", place,
        f"/desk/customers?{urlencode({'q': markup, 'persona': markup})}", f"/desk/customers/{quote(markup, safe='')}",
        f"/desk/cases?{urlencode({'tab': 'open', 'owner': markup, 'reason': markup})}",
    ):  # fmt: skip
        page = desk.get(path)
        assert page.headers["content-type"].startswith("text/html")
        assert "<img" not in page.text, path
        assert "script-src 'self';" in page.headers["content-security-policy"]


def test_the_change_of_a_case_takes_nothing_but_what_it_is_for(visit: Visit, desk_database: Database) -> None:
    desk = visit("agent")
    desk.send("/desk/cases", "/desk", customer_id="C0003", reason="silence", opened_by="x", tenant="other", id="7")
    more = {"tenant": "other", "customer_id": "C0004", "opened_by": "x", "priority": "1e9", "outcome": "saved"}
    sent = desk.send("/desk/cases/change", "/desk", case_id="1", revision="1", next_action="call", **more)
    assert sent.status_code == 303
    with desk_database.engine() as engine, engine.begin() as connection:
        (case,) = connection.execute(sa.select(cases)).all()
    assert (case.tenant, case.customer_id, case.opened_by) == ("default", "C0003", company.email("agent"))
    assert (case.next_action, case.outcome, case.priority < 1e9) == ("call", None, True)


def test_nobody_reaches_what_is_another_tenants(visit: Visit, desk_database: Database, tmp_path: Path) -> None:
    """By no number of a case, view, digest or file; and a shared view is shared within its tenant."""
    ours = visit("admin")
    ours.send("/desk/cases", "/desk", customer_id="C0003", reason="silence")
    ours.send("/desk/views", "/desk", name="Ours", query="tier=high", shared="yes")
    ours.send("/desk/digests", "/desk", view_id="1", kind="digest", hour="8", zone="UTC")
    place = import_of(ours)
    add_user(desk_database, "admin@other.example", "Admin Other", "admin", company.PASSWORD, tenant="other")
    path = write(tmp_path / "other.parquet", customer("theirs"))
    publish(path, desk_database, bundle=tmp_path / "none", metrics=tmp_path / "none.json", tenant="other")
    other = visit("admin@other.example")
    for address in (
        "/desk",
        "/desk/cases?tab=open",
        "/desk/customers",
        "/desk/digests",
        "/desk/team",
        "/desk/campaigns",
    ):
        text = other.get(address).text
        assert "Ours" not in text
        assert "C0003" not in text
    case = {"case_id": "1", "revision": "1", "customer_id": "C0003"}
    for path_of, fields in {
        "/desk/cases/change": {**case, "owner": "me"}, "/desk/cases/note": {**case, "text": "x"},
        "/desk/cases/outcome": {**case, "outcome": "saved"}, "/desk/views/remove": {"view_id": "1"},
        "/desk/digests": {"view_id": "1", "kind": "digest", "hour": "8", "zone": "UTC"},
        "/desk/digests/remove": {"subscription_id": "1"}, place: {"customer_id": "0", "outcome": "1"},
    }.items():  # fmt: skip
        assert other.send(path_of, "/desk", **fields).status_code in {404, 422}, path_of
    for address in (place, f"{place}/errors.csv", "/desk/customers/C0003"):
        assert other.get(address).status_code == 404


def test_a_link_of_a_digest_ends_that_one_and_no_other(visit: Visit, desk_database: Database) -> None:
    desk = visit("agent")
    for number in ("1", "2"):
        desk.send("/desk/views", "/desk", name=number, query="tier=high")
        desk.send("/desk/digests", "/desk", view_id=number, kind="digest", hour="8", zone="UTC")
    with desk_database.engine() as engine, engine.begin() as connection:
        first = token(connection, "default", 1)
    seal = first.rpartition(".")[2]
    anybody = visit()
    for forged in (
        f"default.2.{seal}",
        f"other.1.{seal}",
        "default.1.",
        "default.1.é",
        "x",
    ):
        assert anybody.post(f"/desk/unsubscribe/{quote(forged)}").status_code == 404, forged
    assert anybody.post(f"/desk/unsubscribe/{first}").status_code == 200
    with desk_database.engine() as engine, engine.begin() as connection:
        assert connection.execute(sa.select(subscriptions.c.subscription_id)).scalars().all() == [2]


def test_a_session_that_somebody_planted_is_not_taken(visit: Visit, desk_app: FastAPI) -> None:
    client = Client(desk_app)
    try:
        planted = "fds_" + "a" * 43
        form = client.get("/desk/sign-in", headers={"cookie": f"fedelta={planted}"})
        fields = {"token": token_of(form), "email": company.email("agent"), "password": company.PASSWORD}
        cookie = {
            "cookie": f"fedelta={planted}; fedelta-form={form.cookies['fedelta-form']}",
            "origin": "http://fedelta",
        }
        begun = client.post("/desk/sign-in", data=fields, headers=cookie)
        assert begun.status_code == 303
        assert planted not in begun.headers["set-cookie"]
        assert client.get("/desk", headers={"cookie": f"fedelta={planted}"}).status_code == 303
    finally:
        client.close()


@pytest.mark.parametrize(
    "name", ["..%2f..%2fpage.py", "%2e%2e/page.py", "desk.css%00", "htmx-LICENSE.txt", "/etc/passwd"]
)
def test_nothing_but_the_files_of_the_desk_is_sent(visit: Visit, name: str) -> None:
    assert visit().get(f"/desk/static/{name}").status_code == 404
    assert visit("agent").send("/desk/settings", "/desk/settings", language="../it").status_code == 422
