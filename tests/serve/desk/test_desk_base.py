"""The base: every number is that of the list it opens; what a run came without is named, with the command for it."""

import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from desk_client import Desk
from scoring_runs import customer, write

from fedelta.serve.desk.counted import link
from fedelta.serve.operational import run_reports
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

Visit = Callable[..., Desk]
PARTS = ("/desk/base", "/desk/base/experience", "/desk/base/journeys", "/desk/base/personas")


def opened(page: str) -> dict[str, int]:
    """The lists that numbers of a page open, and the numbers."""
    found = re.findall(r'<a href="(/desk/customers\?[^"]*)">([\d,]+)<span', page)
    return {unescape(address): int(number.replace(",", "")) for address, number in found}


def listed(desk: Desk, address: str) -> int:
    """How many customers a list has."""
    found = re.search(r'<p class="soft" role="status">([\d,]+) customers?, ', desk.get(address).text)
    assert found is not None, address
    return int(found[1].replace(",", ""))


def own_snapshots(folder: Path) -> None:
    """Snapshots of the test's own, which it may add to."""
    shared = (folder / "snapshots").resolve()
    (folder / "snapshots").unlink()
    shutil.copytree(shared, folder / "snapshots")


@pytest.mark.parametrize("part", ["/desk/base", "/desk/base/personas"])
def test_every_number_opens_the_list_that_has_so_many(visit: Visit, part: str) -> None:
    desk = visit("viewer")
    numbers = opened(desk.get(part).text)
    assert len(numbers) > 3
    assert {address: listed(desk, address) for address in numbers} == numbers


def test_the_numbers_of_the_tiers_are_all_customers(visit: Visit) -> None:
    numbers = opened(visit("manager").get("/desk/base").text)
    tiers = [numbers[link(tier=tier)] for tier in ("critical", "high", "medium", "low")]
    assert sum(tiers) == numbers[link()] == 123


def test_the_tolerance_curve_has_the_quoted_figures_as_a_reference(visit: Visit) -> None:
    page = visit("agent", "it").get("/desk/base/experience").text
    assert "17% citato" in page
    assert "PwC" in page
    assert "Momenti della verità" in page


def test_a_journey_is_drawn_in_the_reader_s_language(visit: Visit) -> None:
    page = visit("agent", "it").get("/desk/base/journeys?journey=onboarding").text
    assert "Visita (digitale)" in page
    assert "avanti ↓" in page
    assert visit("agent").get("/desk/base/journeys?journey=none-such").status_code == 200


def test_a_run_without_reports_says_how_to_make_them(visit: Visit, desk_database: Database, tmp_path: Path) -> None:
    run = write(tmp_path / "scores.parquet", customer("ann"), customer("bob", risk_tier="high", value_at_risk=None))
    own_snapshots(tmp_path)
    publish(run, desk_database, bundle=tmp_path / "none", metrics=tmp_path / "none.json")
    desk = visit("viewer")
    for part in PARTS[1:3]:
        assert "dvc repro experience" in desk.get(part).text
    assert "dvc repro train_loyalty" in desk.get(PARTS[3]).text
    assert opened(desk.get(PARTS[0]).text)[link()] == 2


def test_reports_go_with_their_run_and_are_gone_with_it(desk_database: Database, tmp_path: Path) -> None:
    own_snapshots(tmp_path)
    folder = tmp_path / "reports"
    folder.mkdir()
    made = []
    for turn in range(4):
        (folder / "saves.json").write_text(f'{{"says": "{turn}"}}')
        run = write(tmp_path / "scores.parquet", customer("ann", churn_probability=turn / 10))
        made.append(publish(run, desk_database, bundle=folder, metrics=folder / "x", reports=folder).snapshot_id)
    with desk_database.engine() as engine, engine.begin() as connection:
        held = [run_reports.read(connection, "default", one, "saves") for one in made]
    assert held == [None, b'{"says":"1"}', b'{"says":"2"}', b'{"says":"3"}']
