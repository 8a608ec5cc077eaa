"""The hash that customers are dealt into buckets and samples by: XXH64 of the id's UTF-8 bytes, with seed 42.

Every engine can agree on it: Spark's ``xxhash64`` is the same, as a signed number. XXH64 is by Yann Collet,
https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Hashes: TypeAlias = npt.NDArray[np.uint64]
_Bytes: TypeAlias = npt.NDArray[np.uint8]

_U64 = np.uint64
_P1, _P2, _P3, _P4, _P5 = (
    _U64(prime)
    for prime in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
)
_SEED = _U64(42)
_BLOCK = 16_384  # ids hashed at a time: what is in use stays in the cache


def customer_hashes(ids: pl.Series | pa.Array | pa.ChunkedArray) -> Hashes:
    """The hash of every id (n_ids,); an id is text, and never null."""
    array = pa.array(ids.to_arrow()) if isinstance(ids, pl.Series) else ids
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    texts = whole.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    raw = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    blocks = (places[at : at + _BLOCK + 1] for at in range(0, len(texts), _BLOCK))
    return np.concatenate([np.empty(0, _U64), *(_hashes_of(raw, ends[:-1], np.diff(ends)) for ends in blocks)])


def lowest_hashes(wanted: int, of: int) -> int:
    """The highest hash of a sample of about `wanted` among `of` customers: those of the lowest hashes."""
    return 2**64 - 1 if wanted >= of else 2**64 * wanted // of


def _hashes_of(raw: _Bytes, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> Hashes:
    """The hash of every text that lies in `raw` from a start on; texts of one length are hashed at once."""
    found = np.empty(len(starts), _U64)
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        rows = np.flatnonzero(lengths == length)
        found[rows] = _xxh64(raw[starts[rows, None] + np.arange(length)])
    return found


def _xxh64(texts: _Bytes) -> Hashes:
    """Of texts of one length, a row of bytes each."""
    number, length = texts.shape
    with np.errstate(over="ignore"):  # all arithmetic is modulo 2**64
        hashed, at = _stripes(texts) if length >= 32 else (np.full(number, _SEED + _P5), 0)
        hashed = hashed + _U64(length)
        while length - at >= 8:
            hashed = _rotated(hashed ^ _round(_U64(0), _read(texts, at, np.uint64)), 27) * _P1 + _P4
            at += 8
        if length - at >= 4:
            hashed = _rotated(hashed ^ (_read(texts, at, np.uint32) * _P1), 23) * _P2 + _P3
            at += 4
        for place in range(at, length):
            hashed = _rotated(hashed ^ (_read(texts, place, np.uint8) * _P5), 11) * _P1
        hashed = (hashed ^ (hashed >> _U64(33))) * _P2
        hashed = (hashed ^ (hashed >> _U64(29))) * _P3
        return np.asarray(hashed ^ (hashed >> _U64(32)))


def _stripes(texts: _Bytes) -> tuple[Hashes, int]:
    """The state after the whole 32 bytes of texts so long, and where they end."""
    number, length = texts.shape
    lanes = [np.full(number, start) for start in (_SEED + _P1 + _P2, _SEED + _P2, _SEED, _SEED - _P1)]
    end = length // 32 * 32
    for at in range(0, end, 32):
        lanes = [_round(lane, _read(texts, at + 8 * k, np.uint64)) for k, lane in enumerate(lanes)]
    turned = [_rotated(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)]
    hashed = turned[0] + turned[1] + turned[2] + turned[3]
    for lane in lanes:
        hashed = (hashed ^ _round(_U64(0), lane)) * _P1 + _P4
    return hashed, end


def _read(texts: _Bytes, at: int, kind: type[np.unsignedinteger]) -> Hashes:
    """The little-endian number that begins at a byte of every text."""
    dtype = np.dtype(kind).newbyteorder("<")
    return np.ascontiguousarray(texts[:, at : at + dtype.itemsize]).view(dtype)[:, 0].astype(_U64)


def _round(state: Hashes | np.uint64, lane: Hashes) -> Hashes:
    return _rotated(state + lane * _P2, 31) * _P1


def _rotated(x: Hashes, by: int) -> Hashes:
    return (x << _U64(by)) | (x >> _U64(64 - by))
