"""Forms: a token in each, which only a page made for the same browser can hold, and reading what was posted."""

import hashlib
import hmac
import secrets

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from fedelta.serve.acting.customers import storable
from fedelta.serve.caller.guard import DESK, session_secret
from fedelta.serve.caller.problems import Problem

FIELD = "token"  # of the token
_SALT = 16  # characters


def form_token(secret: bytes) -> str:
    """A token for a form, another one each time: what compresses with it tells nothing of it (BREACH)."""
    salt = secrets.token_hex(_SALT // 2)
    return salt + _sealed(secret, salt)


def secret_of(request: Request) -> bytes | None:
    """The secret of the session that the browser is signed in by."""
    return session_secret(request.scope, dict(request.scope["headers"]))


async def posted(request: Request, secret: bytes | None = None) -> FormData:
    """The fields of a form that a page of ours sent, made for the browser's session or for ``secret``.

    Raises
    ------
    Problem
        403 for any other form, 422 for text that no database can store.
    """
    form = await request.form(max_files=1, max_fields=2_000)
    texts = [value.filename or "" if isinstance(value, UploadFile) else value for value in form.values()]
    if not all(storable(text) for text in texts):
        await form.close()
        raise Problem(422, "invalid", "A field holds a character that cannot be stored.")
    token, secret = form.get(FIELD), secret or secret_of(request)
    if secret is None or not isinstance(token, str) or not _is_ours(token, secret):
        await form.close()
        raise Problem(403, "form-refused", "The form has no good token: open its page anew and send it again.")
    return form


def field(form: FormData, name: str, most: int = 10_000) -> str:
    """The text of a field without blanks around it; empty where there is none."""
    value = form.get(name)
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > most:
        raise Problem(422, "invalid", f"{name}: {most} characters at most.")
    return text


def is_of_desk(address: str) -> bool:
    """Whether a path, which may have a query, is one of the desk: nobody is led to another."""
    ours = address == DESK or address.startswith((f"{DESK}/", f"{DESK}?"))
    return ours and address.isascii() and address.isprintable() and "\\" not in address


def _is_ours(token: str, secret: bytes) -> bool:
    salt, seal = token[:_SALT], token[_SALT:]
    return hmac.compare_digest(seal.encode(), _sealed(secret, salt).encode())


def _sealed(secret: bytes, salt: str) -> str:
    return hmac.new(hashlib.sha256(b"form " + secret).digest(), salt.encode(), hashlib.sha256).hexdigest()[:40]
