"""``/desk/base``: the state of the base, in numbers that each open the list behind them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from fedelta.features.contract import PILLARS
from fedelta.pages.charts import Left
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk import base_charts
from fedelta.serve.desk.counted import KINDS, QUADRANTS, counted, link
from fedelta.serve.desk.page import open_page
from fedelta.serve.desk.reports import about, command_of, report
from fedelta.serve.desk.words import N_

TABS = (
    ("/desk/base", N_("Customers")),
    ("/desk/base/experience", N_("Experience")),
    ("/desk/base/journeys", N_("Journeys")),
    ("/desk/base/personas", N_("Personas")),
)
MEANS = {
    "integrity": N_("trust: it works, and statements are true"),
    "resolution": N_("what went wrong is put right"),
    "expectations": N_("promises are kept"),
    "empathy": N_("the customer is heard"),
    "personalisation": N_("it fits this customer"),
    "time_and_effort": N_("it costs little time and trouble"),
}
TRENDS = {"better": N_("better"), "worse": N_("worse"), "no change": N_("no change")}
ORDINALS = (N_("first"), N_("second"), N_("third"), N_("fourth"), N_("fifth"), N_("sixth"))

router = APIRouter()


@router.get("/desk/base", include_in_schema=False)
async def show_base(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show how many customers are where, at what risk and of what value."""
    page = await open_page(request, caller)
    file = page.snapshot.file
    numbers = await page.store.off_loop(counted, file)
    return await page.show(
        "base.html.jinja",
        tabs=TABS,
        numbers=numbers,
        link=link,
        kinds=KINDS,
        quadrants=QUADRANTS,
        risk_chart=base_charts.spread(page.words, numbers),
        value_chart=base_charts.values(page.words, numbers),
        unscored=sorted(
            ((status, n) for status, n in about(page.snapshot.about)["by_status"].items() if status != "scored"),
            key=lambda each: -each[1],
        ),
    )


@router.get("/desk/base/experience", include_in_schema=False)
async def show_experience(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show what customers go through, and what it changes."""
    page = await open_page(request, caller)
    experience = await report(page, "experience")
    tolerance = (experience or {}).get("tolerance", {})
    moments = (experience or {}).get("moments", {})
    steps = [step for step in tolerance.get("steps", ()) if step["group"] == "all"]
    points = [
        Left(str(step["number"]), held["value"], held["low"], held["high"], step["left_controls"])
        for step in steps
        if step["number"] is not None and (held := step["left"]) is not None
    ]
    return await page.show(
        "base_experience.html.jinja",
        tabs=TABS,
        link=link,
        experience=experience,
        command=command_of("experience"),
        pillars=[(name, experience["pillars"][name]) for name in PILLARS] if experience else [],
        means=MEANS,
        trends=TRENDS,
        steps=steps,
        ordinals=ORDINALS,
        last=max((step["number"] or 0 for step in steps), default=0),
        tolerance_chart=base_charts.tolerance(page.words, points, tolerance.get("quoted", ())) if points else None,
        moments_chart=base_charts.moments(page.words, moments.get("moments", ())),
    )


@router.get("/desk/base/journeys", include_in_schema=False)
async def show_journeys(
    request: Request, caller: Annotated[Caller, Depends(needs("read:list"))], journey: str = "all"
) -> Response:
    """Show the map of a journey, and the channels."""
    page = await open_page(request, caller)
    experience = await report(page, "experience")
    held = (experience or {}).get("journeys", {})
    maps = held.get("journeys", {})
    chosen = journey if journey in maps else next(iter(maps), None)
    return await page.show(
        "base_journeys.html.jinja",
        tabs=TABS,
        link=link,
        experience=experience,
        command=command_of("experience"),
        journeys=maps,
        chosen=chosen,
        chart=base_charts.journey(page.words, maps[chosen]) if chosen is not None else None,
        lasting=page.words.lasting,
    )


@router.get("/desk/base/personas", include_in_schema=False)
async def show_personas(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show the kinds of customers, a card each, and what each class of loyalty did."""
    page = await open_page(request, caller)
    loyalty = await report(page, "loyalty")
    numbers = await page.store.off_loop(counted, page.snapshot.file)
    return await page.show(
        "base_personas.html.jinja",
        tabs=TABS,
        link=link,
        loyalty=loyalty,
        command=command_of("loyalty"),
        numbers=numbers,
        of_persona={group.value: group for group in numbers.groups["persona"]},
        quadrants=QUADRANTS,
    )
