"""The routes of the desk."""

from fastapi import APIRouter

from fedelta.serve.desk import (
    base,
    campaigns,
    cases,
    changes,
    customer,
    customers,
    health,
    my_day,
    opening,
    outcome_import,
    settings,
    sign_in,
    static_files,
    subscribing,
    team,
    views,
    what_if,
)

ROUTERS = (
    static_files.router,
    sign_in.router,
    my_day.router,
    views.router,
    customers.router,
    opening.router,
    customer.router,
    cases.router,
    what_if.router,
    changes.router,
    base.router,
    campaigns.router,
    outcome_import.router,
    health.router,
    team.router,
    subscribing.router,
    settings.router,
)


def add_desk(router: APIRouter) -> None:
    """Add the desk to the routes of the service, but for the list, which `serve.app` adds to the hot reads."""
    for each in ROUTERS:
        router.include_router(each)
