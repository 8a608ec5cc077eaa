"""Pages of the list that are kept: what is sent again is what would be made anew, for this reader, at this moment."""

import gzip
import re
from collections.abc import Callable

import sqlalchemy as sa
from desk_client import Desk
from desk_company import email
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from fedelta.serve.desk.pieces import TOKEN, Pieces
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import users

Visit = Callable[..., Desk]
TOKENS = re.compile(r'name="token" value="([^"]+)"')


@given(st.lists(st.text()), st.text("0123456789abcdef", max_size=100))
def test_a_page_in_pieces_is_the_page_whether_compressed_or_not(texts: list[str], token: str) -> None:
    escaped = [str(escape(text)) for text in texts]
    pieces = Pieces(str(TOKEN).join(escaped))
    assert pieces.plain(token).decode() == token.join(escaped)
    assert gzip.decompress(pieces.gzipped(token)) == pieces.plain(token)


def test_a_page_is_the_same_again_but_for_its_token_which_is_good_each_time(visit: Visit) -> None:
    desk = visit("agent")
    first, second = (desk.get("/desk/customers").text for _ in range(2))
    assert TOKENS.sub("", first) == TOKENS.sub("", second)
    assert len(set(TOKENS.findall(first))) == len(set(TOKENS.findall(second))) == 1
    assert TOKENS.findall(first) != TOKENS.findall(second)
    for text in (second, first):
        saved = desk.post("/desk/views", token=TOKENS.findall(text)[-1], name="mine", query="")
        assert saved.status_code == 303


def test_a_list_that_one_reader_saw_is_shown_to_another_as_their_own(visit: Visit) -> None:
    agent, viewer, italian = visit("agent"), visit("viewer"), visit("manager", "it")
    pages = {}
    for _ in range(2):
        for name, desk in (("agent", agent), ("viewer", viewer), ("manager", italian)):
            text = pages[name] = desk.get("/desk/customers").text
            assert re.findall(r"<p><bdi>([^<]*@[^<]*)</bdi>", text) == [email(name)]
    assert 'id="open-cases"' in pages["agent"]
    assert 'id="open-cases"' not in pages["viewer"]
    assert '<html lang="it">' in pages["manager"]
    assert "Customers" not in pages["manager"]


def test_what_people_do_is_seen_in_the_list_at_once(visit: Visit, desk_database: Database) -> None:
    desk, path = visit("agent"), "/desk/customers?shown=all&q=C0003"
    before = desk.get(path).text
    desk.send("/desk/cases", path, customer_id="C0003", reason="silence", owner=email("agent"), due_on="2024-03-05")
    after = desk.get(path).text
    assert 'data-title="Case">–' in before
    assert re.search(r'data-title="Case">Agent Example\s*<small>5 Mar 2024', after)
    with desk_database.engine() as engine, engine.begin() as connection:
        connection.execute(sa.update(users).where(users.c.email == email("agent")).values(name="Ann Renamed"))
    assert re.search(r'data-title="Case">Ann Renamed', desk.get(path).text)


def test_a_notice_is_shown_once(visit: Visit) -> None:
    desk = visit("agent")
    desk.get("/desk/customers")
    desk.send("/desk/views", "/desk/customers", name="mine", query="")
    seen = ["The view is saved." in desk.get("/desk/customers").text for _ in range(3)]
    assert seen == [True, False, False]
