"""Pictures of the pages of a running desk, for the documentation or to be looked at.

    python tests/serve/desk/desk_screenshots.py http://127.0.0.1:8000 ada@example.com PASSWORD --to docs/desk

``--every`` takes each page wide and narrow, light and dark, in both languages and as it is printed.
"""

import argparse
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from desk_browser import NARROW, WIDE, Visitor, launched, visitor
from PIL import Image

CHROMIUM = Path("/usr/bin/chromium")
HEIGHT = 1_500  # pixels of a picture at most
COLOURS = 64
PAGES = {
    "sign-in": "/desk/sign-in",
    "my-day": "/desk",
    "customers": "/desk/customers",
    "filter": "/desk/customers?tier=critical&tier=high&shown=all&col=risk&col=clv&col=next&col=persona&col=loyalty",
    "cases": "/desk/cases?tab=open",
    "changes": "/desk/changes?least=0.02",
    "base": "/desk/base",
    "experience": "/desk/base/experience",
    "journeys": "/desk/base/journeys",
    "personas": "/desk/base/personas",
    "campaigns": "/desk/campaigns",
    "team": "/desk/team",
    "health": "/desk/health",
    "digests": "/desk/digests",
    "settings": "/desk/settings",
}
PHONE = ("my-day", "customers", "customer")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("address", "email", "password"):
        parser.add_argument(name)
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--customer", help="an id; else the first of the list")
    parser.add_argument("--every", action="store_true")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    ways = (
        [*itertools.product((WIDE, NARROW), ("en", "it"), (False, True))]
        if asked.every
        else [(WIDE, "en", False), (NARROW, "en", False)]
    )
    for size, language, dark in ways:
        with launched(CHROMIUM) as browser, visitor(browser, asked.address, size, language, dark=dark) as somebody:
            suffix = f"-{size[0]}-{language}{'-dark' if dark else ''}" if asked.every else "-phone" * (size == NARROW)
            for name, path in pages(somebody, asked.email, asked.password, asked.customer).items():
                if asked.every or size == WIDE or name in PHONE:
                    somebody.open(path)
                    taken(somebody, asked.to / f"{name}{suffix}.png", whole=asked.every)
                    if asked.every and size == WIDE and not dark:
                        somebody.page.pdf(path=asked.to / f"{name}-{language}.pdf", format="A4")


def pages(somebody: Visitor, email: str, password: str, customer: str | None) -> dict[str, str]:
    """The pages, signed in; one of a customer is among them."""
    somebody.sign_in(email, password)
    if customer is None:
        somebody.open("/desk/customers")
        address = somebody.page.locator("a.who").first.get_attribute("href") or ""
    else:
        address = f"/desk/customers/{customer}"
    return PAGES | {"customer": address}


def taken(somebody: Visitor, path: Path, *, whole: bool) -> None:
    """A picture of the page that is open, of few colours."""
    somebody.page.screenshot(path=path, full_page=True)
    with Image.open(path) as picture:
        height = picture.height if whole else min(picture.height, HEIGHT)
        small = picture.convert("RGB").crop((0, 0, picture.width, height)).quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
