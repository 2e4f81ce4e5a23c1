"""A browser without JavaScript, as far as these tests need one: it keeps cookies, reads pages and sends their forms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from relay.ports import create_app
from tests.relays import TOKEN, RelayInHand

BASE: Final = "http://relay.test"
SAME_ORIGIN: Final = {"sec-fetch-site": "same-origin"}


@dataclass
class Form:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)
    disabled: bool = False


class Page(HTMLParser):
    """What of a page is asked for: its words, its links, its forms, and what it loads."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self._words: list[str] = []
        self._link: str | None = None
        self._textarea: str | None = None
        self._select: str | None = None
        self._button = False
        self._hidden = 0
        self.feed(answer.text)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    def form(self, action: str) -> Form:
        """The last one that goes there: the first may be that by which an operator chooses a client."""
        return [form for form in self.forms if urlsplit(form.action).path == action][-1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.attributes += list(given.items())
        if "id" in given:
            self.ids.append(given["id"])
        if tag in {"script", "style"}:
            self._hidden += 1
        if tag in {"script", "img", "link"}:
            self.loads.append(given.get("src") or given.get("href", ""))
        if tag == "a":
            self._link = given.get("href", "")
        if tag == "form":
            self.forms.append(Form(given.get("method", "get"), given.get("action", "")))
        elif self.forms:
            self._in_form(self.forms[-1], tag, given)

    def _in_form(self, form: Form, tag: str, given: dict[str, str]) -> None:
        if tag == "input":
            form.fields[given["name"]] = given.get("value", "")
        if tag == "textarea":
            self._textarea = given["name"]
            form.fields[self._textarea] = ""
        if tag == "select":
            self._select = given["name"]
        chosen = "selected" in given or self._select not in form.fields
        if tag == "option" and self._select is not None and chosen:
            form.fields[self._select] = given.get("value", "")
        if tag == "button":
            self._button = True
            form.disabled |= "disabled" in given

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._hidden -= 1
        if tag == "a":
            self._link = None
        if tag == "textarea":
            self._textarea = None
        if tag == "select":
            self._select = None
        if tag == "button":
            self._button = False

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._textarea is not None:
            self.forms[-1].fields[self._textarea] += data.removeprefix("\n")
            return
        self._words.append(data)
        if self._link is not None and data.strip():
            self.links.setdefault(data.strip(), self._link)
        if self._button and data.strip():
            self.forms[-1].buttons.append(data.strip())


@dataclass
class Browser:
    http: httpx.AsyncClient

    async def get(self, path: str, status: int = 200, headers: dict[str, str] | None = None) -> Page:
        answer = await self.http.get(path, headers=headers)
        assert answer.status_code == status, answer.text
        return Page(answer)

    async def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        return await self.http.post(path, data=fields or {}, headers=SAME_ORIGIN | headers)

    async def send(self, form: Form, **fields: str) -> httpx.Response:
        return await self.post(form.action, form.fields | fields)

    async def follow(self, answer: httpx.Response) -> Page:
        assert answer.status_code == 303, answer.text
        return await self.get(urljoin(str(answer.url), answer.headers["location"]))

    async def sign_in(self, token: str = TOKEN) -> httpx.Response:
        return await self.post("/ui/sign-in", {"token": token})


@asynccontextmanager
async def browsing(relay: RelayInHand, base: str = BASE) -> AsyncIterator[Browser]:
    transport = httpx.ASGITransport(create_app(relay.relay))
    async with httpx.AsyncClient(transport=transport, base_url=base) as http:
        yield Browser(http)
