"""Chromium for the tests of the desk: a new profile each time, nothing but this machine, and axe to look at pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from desk_company import PASSWORD
from playwright.sync_api import Browser, Page, sync_playwright

AXE = Path(__file__).parent / "axe/axe-4.14.1.min.js"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
WIDE, NARROW = (1440, 900), (390, 844)


@dataclass
class Visitor:
    """Somebody at a browser. ``complaints``: what the console reported and requests that left this machine."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Open a page of the desk."""
        self.page.goto(f"{self.address}{path}", wait_until="load")
        return self.page

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        """Sign in by the form."""
        self.open("/desk/sign-in")
        self.page.fill("[name=email]", email)
        self.page.fill("[name=password]", password)
        self.page.click("button.main")
        self.page.wait_for_url(f"{self.address}/desk")

    def sign_in_instead(self, email: str) -> None:
        """Sign in as somebody else."""
        self.page.context.clear_cookies()
        self.sign_in(email)

    def faults(self) -> list[str]:
        """What axe finds serious or critical on the page by WCAG 2.2 AA, and text that is wider than the window."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: dict[str, Any] = self.page.evaluate(
            "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
        )
        faults = [
            f"{one['id']} ({one['impact']}): {node['target']} {node['html'][:120]}"
            for one in found["violations"]
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]
        if self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"):
            faults.append("the page is wider than the window")
        return faults


@contextmanager
def launched(chromium: Path) -> Iterator[Browser]:
    """Chromium without a window. While it runs, this thread can run no other event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS], headless=True)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visitor(
    browser: Browser,
    address: str,
    size: tuple[int, int] = WIDE,
    language: str = "en",
    *,
    scripts: bool = True,
    dark: bool = False,
) -> Iterator[Visitor]:
    """A visitor with a profile of his own and a window of this size, whose browser asks for this language."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        locale=language,
        java_script_enabled=scripts,
        color_scheme="dark" if dark else "light",
    )
    try:
        made = Visitor(context.new_page(), address)
        made.page.on("console", lambda message: _noted(made, message.type, message.text))
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        context.on("request", lambda request: _left(made, request.url))
        yield made
    finally:
        context.close()


def _noted(made: Visitor, kind: str, text: str) -> None:
    asked_for = "status of 4" in text or "status of 503" in text  # nothing is published
    if kind in {"error", "warning"} and not asked_for:
        made.complaints.append(f"{kind}: {text}")


def _left(made: Visitor, url: str) -> None:
    if urlsplit(url).scheme in {"http", "https", "ws"} and urlsplit(url).hostname != "127.0.0.1":
        made.complaints.append(f"left this machine: {url}")
