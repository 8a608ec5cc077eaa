"""Forms: a token in each, which only a page made for the same browser can hold, and reading what was posted."""

import hashlib
import hmac
import secrets

from fastapi import Request
from starlette.datastructures import FormData

from fedelta.serve.caller.guard import session_secret
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
        403 for any other form.
    """
    form = await request.form(max_files=1, max_fields=2_000)
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


def _is_ours(token: str, secret: bytes) -> bool:
    salt, seal = token[:_SALT], token[_SALT:]
    return hmac.compare_digest(seal.encode(), _sealed(secret, salt).encode())


def _sealed(secret: bytes, salt: str) -> str:
    return hmac.new(hashlib.sha256(b"form " + secret).digest(), salt.encode(), hashlib.sha256).hexdigest()[:40]
