"""Style sheet, scripts and icon: read once, sent compressed, kept by browsers for as long as they stay the same."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from fedelta.serve.caller.problems import Problem

HTMX = "htmx-4.0.1.min.js"
FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

router = APIRouter()


@dataclass(frozen=True)
class _File:
    body: bytes
    compressed: bytes
    version: str
    media_type: str


@router.get("/desk/static/{name}", include_in_schema=False)
async def read_static(name: str, request: Request) -> Response:
    """A file of the desk."""
    found = _files().get(name)
    if found is None:
        raise Problem(404, "not-found", "There is no such file.")
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(found.compressed, headers=headers, media_type=found.media_type)
    return Response(found.body, headers=headers, media_type=found.media_type)


def address(name: str) -> str:
    """The address of a file below the root, which changes with it."""
    return f"/desk/static/{name}?{_files()[name].version}"


@lru_cache(1)
def _files() -> dict[str, _File]:
    return {
        path.name: _File(
            body := path.read_bytes(),
            gzip.compress(body, 9, mtime=0),
            hashlib.sha256(body).hexdigest()[:12],
            _TYPES[path.suffix],
        )
        for path in FOLDER.iterdir()
        if path.suffix in _TYPES
    }
