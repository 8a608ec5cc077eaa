"""Who may use the service: API keys, and users of the desk."""

import sys

import click

from fedelta.command_line.database import database_option, enter_for_service, of_tenant_option, tenant_option
from fedelta.command_line.group import SERVICE, fedelta, in_section, print_json

_SCOPES = (
    "read:score", "read:list", "read:metrics", "write:interactions", "write:cases", "write:outcome", "erase", "admin",
)  # fmt: skip
_ROLES = ("viewer", "agent", "manager", "admin")


@in_section(SERVICE)
@fedelta.group("keys")
def _keys() -> None:
    """Create, list and revoke API keys."""


@_keys.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help=f"May be repeated: {', '.join(_SCOPES)}.")
@click.option("--expires", "days", type=float, metavar="DAYS", help="After how many days (default: never).")
@click.option("--rate", type=float, metavar="N", help="Requests a second, 0 for any (default: as `serve` has it).")
@tenant_option
@database_option
def _create_key(
    name: str, scopes: tuple[str, ...], days: float | None, rate: float | None, tenant: str, database: str | None
) -> None:
    """Make a key for the system NAME and show it once, alone on standard output."""
    from fedelta.serve.caller import keys

    enter_for_service(database)
    key, made = keys.create_key(
        keys.opened(database), name, scopes, tenant=tenant, expires_days=days, rate_per_second=rate
    )
    click.echo(key)
    until = f" until {made.expires_at}" if made.expires_at else ""
    click.echo(
        f"Key {made.name!r} may {', '.join(made.scopes)}{until}. It is shown this once: keep it as a secret.",
        err=True,
    )


@_keys.command("rotate")
@click.argument("name")
@click.option("--overlap", type=float, default=24, show_default=True, metavar="HOURS", help="The old key stays good.")
@of_tenant_option
@database_option
def _rotate_key(name: str, overlap: float, tenant: str | None, database: str | None) -> None:
    """Make a new key like the one with this name or prefix, whose end is set, and show it once."""
    from fedelta.serve.caller import keys

    enter_for_service(database)
    key, made, old = keys.rotate_key(keys.opened(database), name, overlap_hours=overlap, tenant=tenant)
    click.echo(key)
    click.echo(f"Key {made.name!r} is {made.prefix} now; {old.prefix} is good until {old.expires_at}.", err=True)


@_keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@of_tenant_option
@database_option
def _list_keys(tenant: str | None, database: str | None, *, as_json: bool) -> None:
    """Show every key ever made, without its secret."""
    from dataclasses import asdict

    from fedelta.serve.caller import keys

    enter_for_service(database)
    found = keys.list_keys(keys.opened(database), tenant)
    if as_json:
        print_json([asdict(key) for key in found])
        return
    for key in found:
        what = f"{key.prefix}  {key.tenant}  {key.name}  {','.join(key.scopes)}"
        if key.rate_per_second is not None:
            what += f"  {key.rate_per_second:g}/s" if key.rate_per_second else "  any rate"
        click.echo(f"{what}  created {key.created_at}  last used {key.last_used_at or 'never'}  {key.state()}")


@_keys.command("revoke")
@click.argument("name")
@of_tenant_option
@database_option
def _revoke_key(name: str, tenant: str | None, database: str | None) -> None:
    """End the keys with this name, or the one with this prefix; the service refuses them within seconds."""
    from fedelta.serve.caller import keys

    enter_for_service(database)
    click.echo(f"Revoked {keys.revoke_key(keys.opened(database), name, tenant).name!r}.")


@in_section(SERVICE)
@fedelta.group("users")
def _users() -> None:
    """Add, list and disable who signs in to the desk."""


@_users.command("add")
@click.argument("email")
@click.option("--name", required=True, help="As others see it.")
@click.option("--role", type=click.Choice(_ROLES), default="agent", show_default=True)
@click.option("--language", type=click.Choice(["en", "it"]), help="Default: as the browser has it.")
@click.option("--no-password", is_flag=True, help="Who signs in by the identity provider alone.")
@tenant_option
@database_option
def _add_user(
    email: str, name: str, role: str, language: str | None, tenant: str, database: str | None, *, no_password: bool
) -> None:
    """Add a user, asking for the password (or reading it from standard input, where that is no terminal)."""
    from fedelta.serve.caller import keys
    from fedelta.serve.desk import users

    enter_for_service(database)
    password = None if no_password else _new_password()
    made = users.add_user(keys.opened(database), email, name, role, password, tenant=tenant, language=language)
    click.echo(f"{made.email} may sign in as {made.role}.")


@_users.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@of_tenant_option
@database_option
def _list_users(tenant: str | None, database: str | None, *, as_json: bool) -> None:
    """Show every user."""
    from dataclasses import asdict

    from fedelta.serve.caller import keys
    from fedelta.serve.desk import users

    enter_for_service(database)
    found = users.list_users(keys.opened(database), tenant)
    if as_json:
        print_json([asdict(user) for user in found])
        return
    for user in found:
        state = f"disabled {user.disabled_at}" if user.disabled_at else "active"
        click.echo(f"{user.email}  {user.tenant}  {user.name}  {user.role}  added {user.created_at}  {state}")


@_users.command("disable")
@click.argument("email")
@database_option
def _disable_user(email: str, database: str | None) -> None:
    """Let a user sign in no more; open sessions end within seconds."""
    from fedelta.serve.caller import keys
    from fedelta.serve.desk import users

    enter_for_service(database)
    click.echo(f"{users.disable_user(keys.opened(database), email).email} can sign in no more.")


@_users.command("passwd")
@click.argument("email")
@database_option
def _set_password(email: str, database: str | None) -> None:
    """Give a user another password, asked for as by `add`; a disabled user may sign in again."""
    from fedelta.serve.caller import keys
    from fedelta.serve.desk import users

    enter_for_service(database)
    users.set_password(keys.opened(database), email, _new_password())
    click.echo(f"{email} has another password, and must sign in again.")


def _new_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
