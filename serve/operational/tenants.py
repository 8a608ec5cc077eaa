"""Tenants: whose customers they are. A company has one, ``default``, until it makes more."""

import re
from contextlib import suppress

import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.operational.tables import now, tenants

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")  # the name of a folder too


class TenantRefused(FedeltaError):
    """The tenant has a name that none can have."""


def is_name(tenant: str) -> bool:
    """Whether a tenant can be named so."""
    return _NAME.fullmatch(tenant) is not None


def checked(tenant: str) -> str:
    """The name of a tenant.

    Raises
    ------
    TenantRefused
        If none can have it.
    """
    if not is_name(tenant):
        raise TenantRefused(
            f"A tenant is named by 1 to 63 lower-case letters, digits and hyphens, the first no hyphen; got {tenant!r}."
        )
    return tenant


def ensure(connection: sa.Connection, tenant: str) -> None:
    """Make the tenant where there is none of the name."""
    if connection.execute(sa.select(tenants.c.tenant).where(tenants.c.tenant == checked(tenant))).first() is None:
        with suppress(sa.exc.IntegrityError), connection.begin_nested():  # another may be making it
            connection.execute(tenants.insert().values(tenant=tenant, created_at=now()))
