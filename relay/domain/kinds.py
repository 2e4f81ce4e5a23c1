"""CAMB's task kinds and routes, as data: CAMB has renamed routes before.

Source: CAMB's endpoint pages and official SDKs, November 2026. Every status route is a GET and answers the status object.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of task; `result` is its first result route by `run_id`, None where there is none or it needs a language."""

    name: str
    status: str
    result: str | None = None

    def status_path(self, task_id: str) -> str:
        return f"/{self.status}/{_segment(task_id)}"

    def result_path(self, run_id: int) -> str | None:
        return None if self.result is None else f"/{self.result}/{run_id}"


DEFAULT_KIND: Final = "text-to-sound"

_KINDS = (
    Kind(name="text-to-sound", status="text-to-sound", result="text-to-sound-result"),
    Kind(name="tts", status="tts", result="tts-result"),
    Kind(name="dub", status="dub", result="dub-result"),
    Kind(name="dub-alt-format", status="dub-alt-format"),
    Kind(name="translate", status="translate", result="translation-result"),
    Kind(name="transcribe", status="transcribe", result="transcription-result"),
    Kind(name="sub", status="sub", result="sub-result"),
    Kind(name="translated-tts", status="translated-tts", result="tts-result"),
    Kind(name="text-to-voice", status="text-to-voice", result="text-to-voice-result"),
    Kind(name="audio-separation", status="audio-separation", result="audio-separation-result"),
    Kind(name="story", status="story", result="story-result"),
    Kind(name="story-setup", status="story"),  # the route is unverified: no public client polls a setup
    Kind(name="translated-story", status="translated-story"),  # its result route needs a language
    Kind(name="project-setup", status="project-setup", result="project-setup-result"),
    Kind(name="discord-dub", status="discord/dub", result="dub-result"),
    Kind(name="twitter-dub", status="twitter/dub", result="dub-result"),
    Kind(name="discord-tts", status="discord/tts", result="tts-result"),
)

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kind in _KINDS})


def _segment(task_id: str) -> str:
    """One path segment; a dot segment is spelled out, for `.` and `..` would be resolved away on the road."""
    if task_id in {".", ".."}:
        return task_id.replace(".", "%2E")
    return quote(task_id, safe="")
