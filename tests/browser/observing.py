"""What a browser says about the pages it shows, kept until somebody asks whether all was well."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, WebError

TELLS_VIOLATIONS: Final = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.effectiveDirective} refused ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`));
"""
_OF_NO_PLACE: Final = frozenset({"about", "blob", "data"})
_REFUSED: Final = "Failed to load resource: the server responded with a status of 4"
"""A page of that status is what some tests ask for; of anything else it is among `broken`."""


@dataclass(kw_only=True)  # without slots, for Playwright writes on the owner of a handler
class Observed:
    origin: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console, a violated policy and an exception among them."""
    broken: list[str] = field(default_factory=list)
    """Answers that are 5xx, or 4xx to what is no page."""

    def watch(self, context: BrowserContext) -> None:
        context.add_init_script(TELLS_VIOLATIONS)
        context.on("request", self._requested)
        context.on("response", self._answered)
        context.on("console", self._said)
        context.on("weberror", self._raised)

    @property
    def elsewhere(self) -> Sequence[str]:
        """Requests that left the origin, or tried to."""
        return [url for url in self.requests if not self._is_ours(url)]

    def _is_ours(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme in _OF_NO_PLACE or f"{parts.scheme}://{parts.netloc}" == self.origin

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def _answered(self, response: Response) -> None:
        is_page = response.request.is_navigation_request()
        if response.status >= 500 or (response.status >= 400 and not is_page):
            self.broken.append(f"{response.status} {response.request.method} {response.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(_REFUSED):
            self.complaints.append(f"{message.type}: {message.text}")

    def _raised(self, error: WebError) -> None:
        self.complaints.append(f"exception: {error.error}")


def assert_all_was_well(observed: Observed) -> None:
    wrong = [*observed.complaints, *observed.broken, *observed.elsewhere]
    assert not wrong, "\n".join(wrong)


def widest(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width
