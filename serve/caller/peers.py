"""Whom an address stands for: with IPv6 a whole network, since a household or a server has as many as it likes."""

from ipaddress import AddressValueError, IPv6Address, IPv6Network

_HOST_BITS = 64


def network_of(address: str) -> str:
    """What limits count an address by: an IPv4 address itself, of IPv6 its /64; any other text itself."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except AddressValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> _HOST_BITS << _HOST_BITS, 128 - _HOST_BITS)))
