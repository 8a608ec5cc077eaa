"""A page as it is sent again and again: all of it but the token of its forms, which is another one each time.

What is between the tokens is compressed once, in blocks that refer to nothing before them (RFC 1951). A token goes
between them as it is, so the length of a page tells nothing about it.
"""

import struct
import zlib

from markupsafe import Markup

TOKEN = Markup("<token>")  # stands for the token in a page that is rendered; what is escaped is never this
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # gzip, without a time or a name (RFC 1952)
_LAST = b"\x03\x00"  # a block of nothing, the last


class Pieces:
    """A rendered page in pieces."""

    def __init__(self, page: str) -> None:
        self._plain = [piece.encode() for piece in page.split(TOKEN)]
        self._packed = [_packed(piece) for piece in self._plain]

    def plain(self, token: str) -> bytes:
        """The page with this token."""
        return token.encode().join(self._plain)

    def gzipped(self, token: str) -> bytes:
        """The same, compressed."""
        page, size = self.plain(token), len(token)
        stored = struct.pack("<BHH", 0, size, size ^ 0xFFFF) + token.encode()
        ends = struct.pack("<LL", zlib.crc32(page), len(page) & 0xFFFF_FFFF)
        return b"".join((_HEAD, stored.join(self._packed), _LAST, ends))


def _packed(piece: bytes) -> bytes:
    packing = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packing.compress(piece) + packing.flush(zlib.Z_SYNC_FLUSH)
