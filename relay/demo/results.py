"""CAMB's submit and result routes, and what a finished run answers there: as data, in the documented shapes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

import orjson

from relay.demo.media import empty_flac, silent_wav

FILES: Final = "/_simulator/files"
RUN: Final = "/{run_id}"
RUN_AND_LANGUAGE: Final = "/{run_id}/{language}"

_TEXT: Final = "Nobody said anything."
_TRANSCRIPT: Final = ({"start": 0.0, "end": 0.1, "text": _TEXT, "speaker": "SPEAKER_1"},)
_STUDIO: Final = "https://studio.invalid/projects"
_CREATED_AT: Final = "2026-11-23T12:00:00Z"


class Form(Enum):
    JSON = auto()
    MULTIPART = auto()


SUBMITS: Final[Mapping[str, tuple[Form, str]]] = MappingProxyType(
    {
        "text-to-sound": (Form.JSON, "text-to-sound"),
        "tts": (Form.JSON, "tts"),
        "dub": (Form.JSON, "dub"),
        "translate": (Form.JSON, "translate"),
        "transcribe": (Form.MULTIPART, "transcribe"),
        "sub": (Form.JSON, "sub"),
        "translated-tts": (Form.JSON, "translated-tts"),
        "text-to-voice": (Form.JSON, "text-to-voice"),
        "audio-separation": (Form.MULTIPART, "audio-separation"),
        "story": (Form.MULTIPART, "story"),
        "story-setup": (Form.MULTIPART, "story"),
        "translated-story" + RUN: (Form.JSON, "translated-story"),
        "project-setup": (Form.JSON, "project-setup"),
    }
)
"""Submit route → how it wants its body, and the status route of the task it makes."""

ALT_FORMAT: Final = "dub-alt-format"
"""Submitted as POST `/dub-alt-format/{run_id}/{language}`, which also answers with the result once there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run, as asked for: `files` is where its files are served, `query` what the caller wants."""

    run_id: int
    files: str
    query: Mapping[str, str]
    language: str = "en-us"

    def url(self, name: str) -> str:
        return f"{self.files}/{self.run_id}-{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """Bytes with their media type, where the answer is no JSON."""

    body: bytes
    content_type: bytes


Result = Media | Mapping[str, object] | list[object]
"""What is not Media is rendered as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRoute:
    """`statuses` are the status routes of the kinds it serves; a run of any other is refused."""

    statuses: frozenset[str]
    result: Callable[[Run], Result]


def wants_url(run: Run) -> bool:
    return run.query.get("output_type") == "file_url"


def sound(run: Run) -> Result:
    return (
        {"output_url": run.url("sound.wav")}
        if wants_url(run)
        else Media(body=silent_wav(), content_type=b"audio/wav")
    )


def speech(run: Run) -> Result:
    return (
        {"output_url": run.url("speech.flac")}
        if wants_url(run)
        else Media(body=empty_flac(), content_type=b"audio/flac")
    )


def dubbing(run: Run) -> Result:
    return {"audio_url": run.url("dubbed.wav"), "video_url": None, "transcript": _TRANSCRIPT}


def dub_transcript(run: Run) -> Result:
    return {run.language: _TEXT}


def translation(_: Run) -> Result:
    return {"texts": [_TEXT]}


def transcription(run: Run) -> Result:
    return {"transcript": _TEXT if "format_type" in run.query else _TRANSCRIPT}


def subtitles(run: Run) -> Result:
    return {"language": run.language, "srt": f"1\n00:00:00,000 --> 00:00:00,100\n{_TEXT}\n"}


def voices(run: Run) -> Result:
    return {"previews": [run.url(f"preview-{each}.wav") for each in (1, 2, 3)]}


def separation(run: Run) -> Result:
    return {
        "foreground_audio_url": run.url("foreground.wav"),
        "background_audio_url": run.url("background.wav"),
    }


def story(run: Run) -> Result:
    urls = {"audio_url": run.url("story.wav"), "dialogue_url": run.url("dialogue.wav")}
    return {**urls, "transcript": _TRANSCRIPT} if run.query.get("include_transcript") == "true" else urls


def project(run: Run) -> Result:
    return {
        "run_id": run.run_id,
        "project_details": {
            "project_name": "Silence",
            "created_at": _CREATED_AT,
            "source_language": 1,
            "target_languages": [2],
            "studio_url": f"{_STUDIO}/{run.run_id}",
        },
    }


def _route(result: Callable[[Run], Result], *statuses: str) -> ResultRoute:
    return ResultRoute(statuses=frozenset(statuses), result=result)


_DUBS: Final = ("dub", "discord/dub", "twitter/dub")

RESULTS: Final[Mapping[str, ResultRoute]] = MappingProxyType(
    {
        "text-to-sound-result" + RUN: _route(sound, "text-to-sound"),
        "tts-result" + RUN: _route(speech, "tts", "translated-tts", "discord/tts"),
        "dub-result" + RUN: _route(dubbing, *_DUBS),
        "transcript" + RUN_AND_LANGUAGE: _route(dub_transcript, *_DUBS),
        "translation-result" + RUN: _route(translation, "translate", "translated-tts"),
        "transcription-result" + RUN: _route(transcription, "transcribe"),
        "sub-result" + RUN: _route(subtitles, "sub"),
        "sub-result" + RUN_AND_LANGUAGE: _route(subtitles, "sub"),
        "text-to-voice-result" + RUN: _route(voices, "text-to-voice"),
        "audio-separation-result" + RUN: _route(separation, "audio-separation"),
        "story-result" + RUN: _route(story, "story"),
        "translated-story-result" + RUN_AND_LANGUAGE: _route(story, "translated-story"),
        "project-setup-result" + RUN: _route(project, "project-setup"),
    }
)
BULK_RESULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "text-to-sound-results": "text-to-sound-result" + RUN,
        "tts-results": "tts-result" + RUN,
        "dubbing-results": "dub-result" + RUN,
        "translation-results": "translation-result" + RUN,
        "transcription-results": "transcription-result" + RUN,
        "sub-results": "sub-result" + RUN,
        "audio-separation-results": "audio-separation-result" + RUN,
        "stories-results": "story-result" + RUN,
        "project-setup-results": "project-setup-result" + RUN,
    }
)
"""Bulk route → the single one whose results it gathers by run_id; files come as URLs, for JSON carries no bytes."""

IN_A_LIST: Final = frozenset({"project-setup-results"})
"""Bulk routes that answer a list where the others answer a map by run_id."""


def rendered(result: Result) -> tuple[bytes, bytes]:
    """Body and content type."""
    if isinstance(result, Media):
        return result.body, result.content_type
    return orjson.dumps(result), b"application/json"
