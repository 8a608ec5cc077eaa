"""Somebody at the desk, without a browser: forms as browsers send them."""

import re

import desk_company as company
import httpx
from fastapi import FastAPI
from scoring_runs import Client

ORIGIN = {"origin": "http://fedelta"}


class Desk:
    """Somebody at the desk, by forms as browsers send them."""

    def __init__(self, app: FastAPI, language: str = "en") -> None:
        self._client, self._language = Client(app), language

    def get(self, path: str) -> httpx.Response:
        return self._client.get(path, headers={"accept-language": self._language})

    def send(self, path: str, page: str, **fields: str) -> httpx.Response:
        """Post a form as it stands on a page, with its token."""
        return self.post(path, token=token_of(self.get(page)), **fields)

    def post(self, path: str, **fields: str) -> httpx.Response:
        return self._client.post(path, data=fields, headers={**ORIGIN, "accept-language": self._language})

    def send_file(self, path: str, page: str, name: str, content: bytes) -> httpx.Response:
        """Post a file by a form of a page, with its token."""
        return self._client.post(
            path,
            data={"token": token_of(self.get(page))},
            files={"file": (name, content, "text/csv")},
            headers={**ORIGIN, "accept-language": self._language},
        )

    def sign_in(self, role: str, password: str = company.PASSWORD) -> httpx.Response:
        address = role if "@" in role else company.email(role)
        return self.send("/desk/sign-in", "/desk/sign-in", email=address, password=password)

    def close(self) -> None:
        self._client.close()


def token_of(answer: httpx.Response) -> str:
    """The token of the first form of a page."""
    found = re.search(r'name="token" value="([^"]+)"', answer.text)
    assert found is not None, answer.text[:300]
    return found[1]
