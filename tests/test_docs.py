"""The pages: their links lead somewhere, and their commands exist."""

import re
from pathlib import Path

import click
import pytest

from fedelta.command_line import fedelta
from fedelta.pipeline.stages import stage_names

HERE = Path(__file__).parents[1]
PAGES = [HERE / "README.md", HERE / "CONTRIBUTING.md", HERE / "CHANGELOG.md", *sorted((HERE / "docs").rglob("*.md"))]
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The headings of a page as the ends of links."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(page.read_text())}


def commands(group: click.Group, before: str = "fedelta") -> set[str]:
    """Every command of a group, with the words that lead to it."""
    found = set()
    for name, command in group.commands.items():
        found.add(f"{before} {name}")
        if isinstance(command, click.Group):
            found |= commands(command, f"{before} {name}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        to = page.parent / file if file else page
        if not to.exists() or (anchor and anchor not in anchors(to)):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_command_of_a_page_exists(page: Path):
    known = commands(fedelta)
    named = re.findall(r"(?:^    |`|/)(?:\.venv/bin/)?fedelta ([a-z]+(?:-[a-z]+)*)", page.read_text(), re.MULTILINE)
    assert {f"fedelta {name}" for name in named} - known == set()


def test_every_stage_stands_in_the_architecture_with_what_it_reads_and_writes():
    table = (HERE / "docs/architecture.md").read_text(encoding="utf-8").split("| stage | reads | writes |")[1]
    rows = [line.split("|")[1] for line in table.split("\n\n")[0].splitlines() if line.count("|") == 4]
    without = [name for name in stage_names(HERE / "dvc.yaml") if f"`{name}`" not in " ".join(rows)]
    assert not without, f"Add a row to the table of stages in docs/architecture.md: {', '.join(without)}."
