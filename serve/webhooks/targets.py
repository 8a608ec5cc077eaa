"""Where messages may be sent: public addresses over https, and those networks that the operator allows."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from fedelta.features.errors import FedeltaError

MOST_CHARACTERS = 2_000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Public by their number, but answered by the cloud that the service may run in.
_CLOUDS = (ipaddress.ip_network("168.63.129.16/32"),)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# The part of IPv6 that IANA gives out; what lies beside it carries other addresses, or is of a site.
_UNICAST = ipaddress.ip_network("2000::/3")
_PORTS = {"https": 443, "http": 80}


class TargetRefused(FedeltaError):
    """Nothing is sent to the address; the message says why."""


@dataclass(frozen=True)
class Target:
    """An address of the web, in parts."""

    scheme: str
    host: str  # as DNS takes it
    port: int
    path: str  # and query

    @property
    def authority(self) -> str:
        """For the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parsed(url: str, allowed: Sequence[Network]) -> Target:
    """An address in parts, once nothing about it is wrong that can be seen without asking DNS.

    Raises
    ------
    TargetRefused
        If it is no address for messages.
    """
    if len(url) > MOST_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        raise TargetRefused(f"An address has at most {MOST_CHARACTERS:,} characters, of ASCII, without blanks.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise TargetRefused("The address cannot be read: write it as https://HOST/PATH.") from None
    if parts.scheme not in _PORTS or not host or port == 0:
        raise TargetRefused("The address must be of the web: https://HOST/PATH.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise TargetRefused("The address must hold no user, password or fragment: messages are signed.")
    if parts.scheme == "http" and not allowed:
        raise TargetRefused("Messages hold personal data: the address must begin with https.")
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    target = Target(parts.scheme, host, port or _PORTS[parts.scheme], path)
    if (literal := _literal(target.host)) is not None:
        _must_be_open(target, [literal], allowed)
    elif target.host == "localhost" or target.host.endswith((".localhost", ".local", ".internal")):
        _must_be_open(target, [ipaddress.ip_address("127.0.0.1")], allowed)
    return target


def resolved(target: Target, allowed: Sequence[Network]) -> list[Address]:
    """The addresses that the host has now and that messages may be sent to, in the system's order.

    Whoever connects must connect to one of these, and not ask DNS again, which might answer otherwise.

    Raises
    ------
    TargetRefused
        If it has none, or none that is allowed.
    """
    try:
        answers = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TargetRefused("The host has no address.") from None
    found = [ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers]
    return _must_be_open(target, list(dict.fromkeys(found)), allowed)


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet's, and so is the IPv4 address that it may carry."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            carried.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if any(not is_public(one) for one in carried if one is not None):
            return False
        if address.ipv4_mapped is not None or address in _NAT64:
            return True
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast and not any(address in cloud for cloud in _CLOUDS)


def _must_be_open(target: Target, addresses: Sequence[Address], allowed: Sequence[Network]) -> list[Address]:
    inside = [address for address in addresses if any(address in network for network in allowed)]
    outside = [address for address in addresses if is_public(address)] if target.scheme == "https" else []
    if not inside and not outside:
        raise TargetRefused(
            "The host is of a private network, of this machine or of none, or not reached by https: "
            "an operator can allow its network with --webhook-allow."
        )
    return [address for address in addresses if address in inside or address in outside]


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
