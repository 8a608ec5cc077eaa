"""What an operator may set: limits of connections, requests and time, rates, tokens, where logs go."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from fedelta.features.errors import FedeltaError

VARIABLES = "FEDELTA_SERVE_"

_LOOPBACK = {("http", "127.0.0.1"), ("http", "localhost"), ("http", "::1")}


class SettingRefused(FedeltaError):
    """A setting has a value that it cannot have; the message names it."""


@dataclass(frozen=True)
class Limits:
    """What one connection or request may take. Options ``--limit-…``, variables ``FEDELTA_SERVE_LIMIT_…``."""

    connections: Annotated[int, "connections of a worker; never more than its open files allow"] = 1000
    connections_per_peer: Annotated[
        int, "connections of one address (IPv6: of its /64) to a worker; trusted proxies are exempt"
    ] = 250
    header_bytes: Annotated[int, "bytes of request line and headers together"] = 32_768
    headers: Annotated[int, "headers of a request"] = 100
    target_bytes: Annotated[int, "bytes of path and query"] = 8_192
    body_bytes: Annotated[int, "bytes of a body"] = 1_000_000
    pipelined: Annotated[int, "requests of a connection that wait for the answers to their predecessors"] = 32
    header_seconds: Annotated[float, "seconds from the first byte of a request to the end of its headers"] = 10
    body_seconds: Annotated[float, "seconds from there to the end of its body"] = 30
    idle_seconds: Annotated[float, "seconds between two requests of a connection"] = 15
    write_seconds: Annotated[float, "seconds in which a reader takes nothing of an answer"] = 20


@dataclass(frozen=True)
class WebhookSettings:
    """How messages are sent to others. Options ``--webhook-…``, variables ``FEDELTA_SERVE_WEBHOOK_…``."""

    delivery: Annotated[str, "on: this service sends messages; off: `fedelta deliver` does, elsewhere"] = "on"
    allow: Annotated[tuple[str, ...], "private networks that messages may be sent to, such as 10.1.0.0/16"] = ()
    seconds: Annotated[float, "seconds that an endpoint has to take a message"] = 15
    first_retry_seconds: Annotated[float, "seconds until the second attempt; each wait is 4 times the one before"] = 5
    keep_trying_days: Annotated[float, "days until a message counts as failed; it can be replayed"] = 3
    disable_days: Annotated[float, "days of nothing but failures until an endpoint is disabled"] = 5
    keep_days: Annotated[float, "days that messages are kept, for replays; 0 for ever"] = 30

    def __post_init__(self) -> None:
        if self.delivery not in {"on", "off"}:
            raise SettingRefused(f"Delivery of webhooks is on or off; got {self.delivery!r}.")
        if not 0 < self.seconds <= 60:
            raise SettingRefused(f"An endpoint has more than 0 and at most 60 seconds; got {self.seconds:g}.")
        waits = (self.first_retry_seconds, self.keep_trying_days, self.disable_days, self.keep_days)
        if not all(0 <= each < float("inf") for each in waits):
            raise SettingRefused("The times of webhooks are 0 or more seconds or days.")
        _ = self.networks

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of ``allow``."""
        try:
            return tuple(ip_network(each) for each in self.allow)
        except ValueError as error:
            raise SettingRefused(f"--webhook-allow takes networks such as 10.1.0.0/16: {error}.") from None


@dataclass(frozen=True)
class TokenSettings:
    """Which JSON Web Tokens are taken: those of one issuer, for us."""

    issuer: str
    audience: str
    jwks_url: str
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    scope_claim: str = "scope"
    tenant_claim: str = "tenant"
    leeway_seconds: float = 30

    def __post_init__(self) -> None:
        if refused := sorted(set(self.algorithms) - {"RS256", "ES256", "EdDSA"}):
            raise SettingRefused(f"Tokens are signed by RS256, ES256 or EdDSA; got {', '.join(refused)}.")
        if not is_safe(self.jwks_url):
            raise SettingRefused(
                f"The keys of the issuer must come over https, or from this machine; got {self.jwks_url!r}."
            )


@dataclass(frozen=True)
class OpenIdSettings:
    """By whom people may sign in to the desk beside their password: an issuer of OpenID Connect that knows us."""

    issuer: str
    client_id: str
    client_secret: str
    name: str = "OpenID Connect"  # as the button has it

    def __post_init__(self) -> None:
        if not is_safe(self.issuer):
            raise SettingRefused(f"The issuer must be reached over https, or on this machine; got {self.issuer!r}.")


def is_safe(address: str) -> bool:
    """Whether what comes from an address comes over https, or from this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme, parts.hostname) in _LOOPBACK


@dataclass(frozen=True)
class Settings:
    """Everything but the database. Each field is an option of ``fedelta serve`` and a variable ``FEDELTA_SERVE_…``."""

    workers: Annotated[int, "processes that serve"] = 1
    root_path: Annotated[str, "path below which a proxy shows the service, such as /churn"] = ""
    trusted_proxies: Annotated[
        tuple[str, ...], "addresses whose X-Forwarded-For and X-Forwarded-Proto are believed; none by default"
    ] = ()
    rate_per_second: Annotated[float, "requests a second of one key, over all workers; 0 for no limit"] = 200
    rate_burst: Annotated[int, "requests of one key that may come at once"] = 400
    failures_per_minute: Annotated[
        int, "requests without a good key that one address (IPv6: its /64) may send in a minute"
    ] = 60
    drain_seconds: Annotated[float, "seconds from SIGTERM, when /readyz turns 503, to the last new connection"] = 0
    shutdown_seconds: Annotated[float, "seconds that requests in flight then have to finish"] = 30
    access_log: Annotated[str, "a file, - for standard error, or off"] = "-"
    audit: Annotated[str, "what is audited: all, or changes without reads"] = "all"
    audit_days: Annotated[float, "days that the audit is kept; 0 for ever"] = 400
    stale_after_hours: Annotated[float, "hours since the publish from which on scores are marked as stale"] = 24
    scoring_processes: Annotated[int, "processes of each worker that score on demand (350 MB each); 0: none"] = 2
    scoring_start: Annotated[str, "when they begin: first-use, or startup"] = "first-use"
    scoring_waiting: Annotated[int, "customers that may wait to be scored, in each worker"] = 500
    scoring_seconds: Annotated[float, "seconds in which a request on demand must be scored"] = 20
    telemetry: Annotated[str, "off, or otlp: spans by OpenTelemetry, from the extra otel"] = "off"
    shared_folder: str | None = None  # what workers share: rates and metrics; made by `fedelta serve`
    limits: Limits = field(default_factory=Limits)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    tokens: TokenSettings | None = None
    openid: OpenIdSettings | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 64:
            raise SettingRefused(f"There can be 1 to 64 workers; got {self.workers}.")
        if self.rate_per_second < 0 or self.rate_burst < 1:
            raise SettingRefused("A rate is 0 (none) or more requests a second, and its burst at least 1 request.")
        if self.telemetry not in {"off", "otlp"}:
            raise SettingRefused(f"Telemetry is off or otlp; got {self.telemetry!r}.")
        if not 0 <= self.scoring_processes <= 64:
            raise SettingRefused(f"There can be 0 to 64 processes that score; got {self.scoring_processes}.")
        if self.scoring_start not in {"first-use", "startup"}:
            raise SettingRefused(f"Processes that score begin at first-use or startup; got {self.scoring_start!r}.")
        if self.scoring_waiting < 1 or not self.scoring_seconds > 0:
            raise SettingRefused("At least 1 customer may wait to be scored, for more than 0 seconds.")
        if self.audit not in {"all", "changes"}:
            raise SettingRefused(f"What is audited is all or changes; got {self.audit!r}.")
        if not 0 <= self.audit_days < float("inf"):
            raise SettingRefused(f"The audit is kept for 0 (ever) or more days; got {self.audit_days:g}.")
        if not self.stale_after_hours > 0:
            raise SettingRefused(f"Scores are stale after more than 0 hours; got {self.stale_after_hours:g}.")
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise SettingRefused(f"A root path begins with / and does not end with it; got {self.root_path!r}.")

    @classmethod
    def from_environment(cls, given: Mapping[str, object], environment: Mapping[str, str] = os.environ) -> "Settings":
        """Settings as given, else as variables have them, else the defaults.

        Raises
        ------
        SettingRefused
            If a variable cannot be read.
        """
        values = {**_read(cls, environment, ""), **{name: value for name, value in given.items() if value is not None}}
        limits = _read(Limits, environment, "LIMIT_") | _of_group(values, "limit_")
        webhooks = _read(WebhookSettings, environment, "WEBHOOK_") | _of_group(values, "webhook_")
        tokens = _read(TokenSettings, environment, "TOKEN_")
        if tokens and (missing := {"issuer", "audience", "jwks_url"} - set(tokens)):
            names = ", ".join(sorted(f"{VARIABLES}TOKEN_{name.upper()}" for name in missing))
            raise SettingRefused(f"Tokens need an issuer, an audience and a JWKS address: set {names} too.")
        return cls(
            **values,  # type: ignore[arg-type]  # each converted by its field's type
            limits=Limits(**limits),  # type: ignore[arg-type]
            webhooks=WebhookSettings(**webhooks),  # type: ignore[arg-type]
            openid=_openid(_read(OpenIdSettings, environment, "OPENID_")),
            tokens=TokenSettings(**tokens) if tokens else None,  # type: ignore[arg-type]
        )


def _of_group(values: dict[str, object], group: str) -> dict[str, object]:
    """Take the values of a group of settings out of ``values``."""
    return {name.removeprefix(group): values.pop(name) for name in [*values] if name.startswith(group)}


def _openid(values: dict[str, object]) -> OpenIdSettings | None:
    if values and (missing := {"issuer", "client_id", "client_secret"} - set(values)):
        names = ", ".join(sorted(f"{VARIABLES}OPENID_{name.upper()}" for name in missing))
        raise SettingRefused(f"OpenID Connect needs an issuer, a client id and its secret: set {names} too.")
    return OpenIdSettings(**values) if values else None  # type: ignore[arg-type]


def _read(kind: type, environment: Mapping[str, str], group: str) -> dict[str, object]:
    """The fields of a settings class that the environment sets, each as its type has it."""
    values: dict[str, object] = {}
    hints = get_type_hints(kind)
    for each in fields(kind):
        variable = f"{VARIABLES}{group}{each.name.upper()}"
        if (text := environment.get(variable)) is None or each.name in {"limits", "tokens", "webhooks", "openid"}:
            continue
        try:
            if hints[each.name] in (int, float):
                values[each.name] = hints[each.name](text)
            elif hints[each.name] == tuple[str, ...]:
                values[each.name] = tuple(text.replace(",", " ").split())
            else:
                values[each.name] = text
        except ValueError:
            raise SettingRefused(f"{variable} must be a number; got {text!r}.") from None
    return values


@dataclass(frozen=True)
class Option:
    """One setting as an option of the command line."""

    name: str  # of the parameter: limit_body_bytes
    kind: type
    default: object
    says: str


def options() -> Iterator[Option]:
    """The settings that `fedelta serve` takes as options, in order. Tokens and OpenID Connect are variables only."""
    for kind, group in ((Settings, ""), (Limits, "limit_"), (WebhookSettings, "webhook_")):
        for name, hint in get_type_hints(kind, include_extras=True).items():
            if get_origin(hint) is Annotated:
                yield Option(group + name, get_args(hint)[0], getattr(kind, name), get_args(hint)[1])
