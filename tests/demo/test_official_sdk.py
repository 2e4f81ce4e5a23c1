"""CAMB's own client against the simulator on a socket: neither knows the other."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from camb.client import AsyncCambAI
from camb.core.api_error import ApiError

from tests.demo.serving import official_sdk, served


@pytest.fixture(scope="module")
def simulator_url() -> Iterator[str]:
    with served("relay.demo.simulator", "--key", "demo-key") as simulator:
        yield simulator.url


@pytest.fixture
async def sdk(simulator_url: str) -> AsyncIterator[AsyncCambAI]:
    async with official_sdk(simulator_url) as client:
        yield client


# The SDK types some answers as Any and others as unions of models that are generated anew with each release.
Step = Callable[[AsyncCambAI, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    submit: Callable[[AsyncCambAI], Awaitable[Any]]
    status: Step
    result: Step
    field: str


JOURNEYS = {
    "tts": Journey(
        submit=lambda sdk: sdk.text_to_speech.create_tts(text="Hello", voice_id=1, language=1),
        status=lambda sdk, task_id: sdk.text_to_speech.get_tts_result(task_id),
        result=lambda sdk, run_id: sdk.text_to_speech.get_tts_run_info(run_id, output_type="file_url"),
        field="output_url",
    ),
    "dub": Journey(
        submit=lambda sdk: sdk.dub.create_dub(
            video_url="https://v.invalid/1", source_language=1, target_languages=[2]
        ),
        status=lambda sdk, task_id: sdk.dub.get_dubbing_status(task_id),
        result=lambda sdk, run_id: sdk.dub.get_dubbed_run_info(run_id),
        field="audio_url",
    ),
    "translate": Journey(
        submit=lambda sdk: sdk.translation.create_translation(
            texts=["Hi"], source_language=1, target_language=2
        ),
        status=lambda sdk, task_id: sdk.translation.get_translation_task_status(task_id),
        result=lambda sdk, run_id: sdk.translation.get_translation_result(run_id),
        field="texts",
    ),
    "transcribe": Journey(
        submit=lambda sdk: sdk.transcription.create_transcription(language=1, media_file=b"RIFF"),
        status=lambda sdk, task_id: sdk.transcription.get_transcription_task_status(task_id),
        result=lambda sdk, run_id: sdk.transcription.get_transcription_result(run_id),
        field="transcript",
    ),
    "transcribe by URL": Journey(
        submit=lambda sdk: sdk.transcription.create_transcription(
            language=1, media_url="https://v.invalid/1"
        ),
        status=lambda sdk, task_id: sdk.transcription.get_transcription_task_status(task_id),
        result=lambda sdk, run_id: sdk.transcription.get_transcription_result(run_id, format_type="txt"),
        field="transcript",
    ),
    "translated-tts": Journey(
        submit=lambda sdk: sdk.translated_tts.create_translated_tts(
            text="Hi", voice_id=1, source_language=1, target_language=2
        ),
        status=lambda sdk, task_id: sdk.translated_tts.get_translated_tts_task_status(task_id),
        result=lambda sdk, run_id: sdk.translation.get_translation_result(run_id),
        field="texts",
    ),
    "text-to-voice": Journey(
        submit=lambda sdk: sdk.text_to_voice.create_text_to_voice(text="Hi", voice_description="Deep"),
        status=lambda sdk, task_id: sdk.text_to_voice.get_text_to_voice_status(task_id),
        result=lambda sdk, run_id: sdk.text_to_voice.get_text_to_voice_result(run_id),
        field="previews",
    ),
    "audio-separation": Journey(
        submit=lambda sdk: sdk.audio_separation.create_audio_separation(media_file=b"RIFF"),
        status=lambda sdk, task_id: sdk.audio_separation.get_audio_separation_status(task_id),
        result=lambda sdk, run_id: sdk.audio_separation.get_audio_separation_run_info(run_id),
        field="foreground_audio_url",
    ),
}


@pytest.mark.parametrize("journey", JOURNEYS.values(), ids=JOURNEYS)
async def test_the_sdk_submits_polls_and_fetches(sdk: AsyncCambAI, journey: Journey) -> None:
    submitted = await journey.submit(sdk)
    task_id = submitted["task_id"] if isinstance(submitted, dict) else submitted.task_id
    status = await journey.status(sdk, task_id)
    result = await journey.result(sdk, status.run_id)

    assert status.status == "SUCCESS"
    assert getattr(result, journey.field)


async def test_the_sdk_hears_a_sound(sdk: AsyncCambAI) -> None:
    submitted = await sdk.text_to_audio.create_text_to_audio(prompt="rain", audio_type="sound")
    assert submitted.task_id is not None
    status = await sdk.text_to_audio.get_text_to_audio_status(submitted.task_id)
    sound = b"".join([chunk async for chunk in sdk.text_to_audio.get_text_to_audio_result(status.run_id)])

    assert status.status == "SUCCESS"
    assert sound.startswith(b"RIFF")


async def test_the_sdk_reads_subtitles_and_stories(sdk: AsyncCambAI) -> None:
    subtitles = await sdk.subtitles.create_subtitle(
        media_url="https://v.invalid/1", source_language=1, target_languages=[2]
    )
    story = await sdk.story.create_story(file=b"%PDF", source_language=1)
    assert subtitles.task_id is not None
    story_id = getattr(story, "task_id", None)
    assert story_id is not None
    subtitles_status = await sdk.subtitles.get_subtitle_task_status(subtitles.task_id)
    story_status = await sdk.story.get_story_status(story_id)

    assert "srt" in await sdk.subtitles.get_subtitle_result(subtitles_status.run_id)
    assert "audio_url" in await sdk.story.get_story_run_info(story_status.run_id)


async def test_the_sdk_fetches_in_bulk(sdk: AsyncCambAI) -> None:
    runs = [(await sdk.dub.get_dubbing_status(f"success-bulk-{number}")).run_id for number in range(2)]
    assert all(runs)

    results = await sdk.dub.get_dubbed_runs_results(run_ids=[run_id for run_id in runs if run_id])

    assert list(results) == [str(run_id) for run_id in runs]


async def test_the_sdk_asks_again_after_429(sdk: AsyncCambAI, simulator_url: str) -> None:
    limited = await sdk.text_to_speech.get_tts_result("rate-limited-sdk")

    assert limited.status == "SUCCESS"
    async with httpx.AsyncClient(trust_env=False) as client:
        state = (await client.get(f"{simulator_url}/_simulator/state?task_id=rate-limited-sdk")).json()
    assert [task["polls"] for task in state["tasks"]] == [2]


async def test_the_sdk_is_told_of_a_bad_key(simulator_url: str) -> None:
    async with official_sdk(simulator_url, api_key="wrong") as stranger:
        with pytest.raises(ApiError) as refused:
            await stranger.text_to_speech.get_tts_result("success-1")

    assert refused.value.status_code == 401
    assert refused.value.body == {"error": "Invalid API key", "status": 401}
