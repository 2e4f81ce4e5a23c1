"""Ask CAMB which keys work."""

from dataclasses import dataclass

from relay.camb import CambClient
from relay.clock import system_clock
from relay.domain.instants import span_of
from relay.domain.tasks import PollResult
from relay.settings import Settings
from relay.transport import AiohttpTransport, tls_context


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    works: bool
    text: str


async def check_keys(settings: Settings) -> list[tuple[str, Verdict]]:
    """One harmless GET per distinct key, and a verdict for each client."""
    found: dict[tuple[str, str], PollResult] = {}
    verdicts = []
    async with AiohttpTransport(tls_context()) as transport:
        camb = CambClient(
            transport,
            clock=system_clock(),
            deadline=span_of(settings.camb.deadline),
            answer_bytes=settings.camb.answer_bytes,
        )
        for name, client in settings.clients_by_name().items():
            key = (client.camb_base_url, client.camb_api_key)
            if key not in found:
                found[key] = await camb.check(*key)
            verdicts.append((name, _verdict(found[key])))
    return verdicts


def _verdict(result: PollResult) -> Verdict:
    match result:
        case PollResult.NOT_FOUND | PollResult.PENDING | PollResult.TERMINAL | PollResult.UNKNOWN_STATUS:
            return Verdict(works=True, text="the CAMB key works")
        case PollResult.UNAUTHORIZED:
            return Verdict(works=False, text="CAMB refuses the key")
        case PollResult.RATE_LIMITED:
            return Verdict(works=True, text="CAMB knows the key, and asks to slow down")
        case _:
            return Verdict(works=False, text=f"no verdict, CAMB did not answer as expected: {result}")
