"""The route of erasure."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from fedelta.serve.acting.erasure import Receipt, erase, hash_in_audit, list_for_project
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem, responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.operational.erasures import make_key
from fedelta.serve.routes.direct import AnyId
from fedelta.serve.routes.writing import actor_of, written
from fedelta.serve.store import Store


async def erase_customer(
    customer_id: str, request: Request, key: Annotated[Caller, Depends(needs("erase"))]
) -> Receipt:
    """Erase a customer, whether known or not: from reads, lists and what was collected at once, and for good.

    The receipt says what was removed where, and what goes with the next publish and the next training.
    """
    if not customer_id:
        raise Problem(404, "not-found", "The address names no customer.")
    store: Store = request.app.state.store
    actor = actor_of(request, key)
    secret = await store.off_loop(make_key, store.database)
    receipt = await written(request, lambda connection: erase(connection, actor, customer_id, secret))
    after: int | None = 0
    while after is not None:
        hash_some = partial(
            hash_in_audit, tenant=key.tenant, customer_id=customer_id, hashed=receipt.hashed_id, after=after
        )
        after = await store.write(hash_some)
    await store.read(lambda connection: list_for_project(connection, store.database, key.tenant))
    await store.refresh()
    return receipt


def add_routes(router: APIRouter) -> None:
    """Add the route to the service's own: an included router would match its path anew."""
    router.add_api_route(
        "/v1/customers/{customer_id:path}",
        erase_customer,
        methods=["DELETE"],
        tags=["erasure"],
        responses=responses(401, 403, 503),
        route_class_override=AnyId,
    )
