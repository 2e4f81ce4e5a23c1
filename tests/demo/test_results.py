import io
import wave

import httpx
import pytest

from relay.demo.results import BULK_RESULTS, RESULTS, SUBMITS, Form
from relay.domain.kinds import KINDS

TRANSCRIPT = [{"start": 0.0, "end": 0.1, "text": "Nobody said anything.", "speaker": "SPEAKER_1"}]
FILE = "http://simulator/_simulator/files/{}-{}"


async def submit(camb: httpx.AsyncClient, route: str) -> httpx.Response:
    if SUBMITS[route][0] is Form.JSON:
        return await camb.post(f"/{route}", json={"any": "thing"})
    return await camb.post(f"/{route}", data={"language": "1"}, files={"media_file": b"RIFF"})


async def finished(camb: httpx.AsyncClient, status_route: str) -> int:
    """The run_id of a task of that route that has succeeded."""
    answer = await camb.get(f"/{status_route}/success-{status_route.replace('/', '-')}")
    run_id = answer.json()["run_id"]
    assert isinstance(run_id, int)
    return run_id


@pytest.mark.parametrize("route", sorted(route for route in SUBMITS if "{" not in route))
async def test_every_submit_route_makes_a_task_that_is_found_at_its_status_route(
    camb: httpx.AsyncClient, route: str
) -> None:
    submitted = await submit(camb, route)
    status = await camb.get(f"/{SUBMITS[route][1]}/{submitted.json()['task_id']}")

    assert list(submitted.json()) == ["task_id"]
    assert status.json() == {"status": "SUCCESS", "run_id": 100_001}


def test_every_kind_that_can_be_submitted_has_its_route() -> None:
    not_submitted = {"dub-alt-format", "discord/dub", "twitter/dub", "discord/tts"}

    assert {status for _, status in SUBMITS.values()} == {
        kind.status for kind in KINDS.values()
    } - not_submitted


async def test_submitted_tasks_are_told_apart(camb: httpx.AsyncClient) -> None:
    ids = {(await submit(camb, "tts")).json()["task_id"] for _ in range(50)}

    assert len(ids) == 50


async def test_a_task_is_not_found_under_another_kind(camb: httpx.AsyncClient) -> None:
    task_id = (await submit(camb, "dub")).json()["task_id"]

    assert (await camb.get(f"/tts/{task_id}")).status_code == 404


@pytest.mark.parametrize(
    ("route", "content"),
    [("tts", b"not JSON"), ("tts", b"[1]"), ("tts", b""), ("transcribe", b'{"language": 1}')],
)
async def test_a_submit_of_the_wrong_form_is_refused_in_fastapis_words(
    camb: httpx.AsyncClient, route: str, content: bytes
) -> None:
    answer = await camb.post(f"/{route}", content=content)

    assert answer.status_code == 422
    assert answer.json()["detail"][0].keys() == {"loc", "msg", "type"}


async def test_an_upload_is_taken_up_to_64_megabytes(camb: httpx.AsyncClient) -> None:
    assert (await camb.post("/tts", content=bytes(64 * 1024 * 1024 + 1))).status_code == 413


@pytest.mark.parametrize(
    ("status_route", "path", "expected"),
    [
        ("text-to-sound", "/text-to-sound-result/{}?output_type=file_url", {"output_url": "sound.wav"}),
        ("tts", "/tts-result/{}?output_type=file_url", {"output_url": "speech.flac"}),
        ("discord/tts", "/tts-result/{}?output_type=file_url", {"output_url": "speech.flac"}),
        ("translated-tts", "/tts-result/{}?output_type=file_url", {"output_url": "speech.flac"}),
        ("translated-tts", "/translation-result/{}", {"texts": ["Nobody said anything."]}),
        ("dub", "/dub-result/{}", {"audio_url": "dubbed.wav", "video_url": None, "transcript": TRANSCRIPT}),
        (
            "discord/dub",
            "/dub-result/{}",
            {"audio_url": "dubbed.wav", "video_url": None, "transcript": TRANSCRIPT},
        ),
        (
            "twitter/dub",
            "/dub-result/{}",
            {"audio_url": "dubbed.wav", "video_url": None, "transcript": TRANSCRIPT},
        ),
        ("dub", "/transcript/{}/fr-fr", {"fr-fr": "Nobody said anything."}),
        ("translate", "/translation-result/{}", {"texts": ["Nobody said anything."]}),
        ("transcribe", "/transcription-result/{}", {"transcript": TRANSCRIPT}),
        ("transcribe", "/transcription-result/{}?format_type=txt", {"transcript": "Nobody said anything."}),
        (
            "text-to-voice",
            "/text-to-voice-result/{}",
            {"previews": ["preview-1.wav", "preview-2.wav", "preview-3.wav"]},
        ),
        (
            "audio-separation",
            "/audio-separation-result/{}",
            {"foreground_audio_url": "foreground.wav", "background_audio_url": "background.wav"},
        ),
        ("story", "/story-result/{}", {"audio_url": "story.wav", "dialogue_url": "dialogue.wav"}),
        (
            "story",
            "/story-result/{}?include_transcript=true",
            {"audio_url": "story.wav", "dialogue_url": "dialogue.wav", "transcript": TRANSCRIPT},
        ),
        (
            "translated-story",
            "/translated-story-result/{}/fr-fr",
            {"audio_url": "story.wav", "dialogue_url": "dialogue.wav"},
        ),
    ],
)
async def test_a_result_has_its_documented_shape(
    camb: httpx.AsyncClient, status_route: str, path: str, expected: dict[str, object]
) -> None:
    run_id = await finished(camb, status_route)

    result = (await camb.get(path.format(run_id))).json()

    assert result == {name: _with_urls(value, run_id) for name, value in expected.items()}


def _with_urls(value: object, run_id: int) -> object:
    match value:
        case str() if value.endswith((".wav", ".flac")):
            return FILE.format(run_id, value)
        case [str(), *_]:
            return [_with_urls(each, run_id) for each in value]
        case _:
            return value


@pytest.mark.parametrize("path", ["/sub-result/{}", "/sub-result/{}/fr-fr"])
async def test_subtitles_are_in_the_language_asked_for(camb: httpx.AsyncClient, path: str) -> None:
    result = (await camb.get(path.format(await finished(camb, "sub")))).json()

    assert result["language"] == ("fr-fr" if path.endswith("fr-fr") else "en-us")
    assert "-->" in result["srt"]


async def test_a_project_names_its_studio(camb: httpx.AsyncClient) -> None:
    run_id = await finished(camb, "project-setup")

    result = (await camb.get(f"/project-setup-result/{run_id}")).json()

    assert result["run_id"] == run_id
    assert str(run_id) in result["project_details"]["studio_url"]


async def test_a_sound_is_a_wav_file(camb: httpx.AsyncClient) -> None:
    answer = await camb.get(
        f"/text-to-sound-result/{await finished(camb, 'text-to-sound')}?output_type=raw_bytes"
    )

    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert sound.getnframes() == 800


async def test_speech_is_a_flac_file(camb: httpx.AsyncClient) -> None:
    answer = await camb.get(f"/tts-result/{await finished(camb, 'tts')}")

    assert answer.headers["content-type"] == "audio/flac"
    assert (answer.content[:5], len(answer.content)) == (b"fLaC\x80", 4 + 4 + 34)


@pytest.mark.parametrize(
    ("status_route", "path", "media_type"),
    [
        ("text-to-sound", "/text-to-sound-result/{}?output_type=file_url", "audio/wav"),
        ("tts", "/tts-result/{}?output_type=file_url", "audio/flac"),
    ],
)
async def test_the_url_of_a_result_leads_to_the_file_without_a_key(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient, status_route: str, path: str, media_type: str
) -> None:
    url = (await camb.get(path.format(await finished(camb, status_route)))).json()["output_url"]

    file = await backstage.get(url)

    assert (file.status_code, file.headers["content-type"]) == (200, media_type)


@pytest.mark.parametrize("bulk", sorted(BULK_RESULTS))
async def test_results_come_in_bulk_by_run_id(camb: httpx.AsyncClient, bulk: str) -> None:
    status_route = min(RESULTS[BULK_RESULTS[bulk]].statuses)
    runs = [(await camb.get(f"/{status_route}/success-{number}")).json()["run_id"] for number in range(2)]

    results = (await camb.post(f"/{bulk}", json={"run_ids": runs})).json()

    if bulk == "project-setup-results":
        assert [each["run_id"] for each in results] == runs
    else:
        assert list(results) == [str(run_id) for run_id in runs]
        assert all(isinstance(each, dict) for each in results.values())


@pytest.mark.parametrize("body", [{}, {"run_ids": 1}, {"run_ids": ["1"]}])
async def test_a_bulk_request_without_numbers_is_refused(
    camb: httpx.AsyncClient, body: dict[str, object]
) -> None:
    assert (await camb.post("/tts-results", json=body)).status_code == 422


@pytest.mark.parametrize(("run_id", "status"), [("1", 404), ("one", 422), ("-1", 422)])
async def test_a_run_that_does_not_exist_has_no_result(
    camb: httpx.AsyncClient, run_id: str, status: int
) -> None:
    assert (await camb.get(f"/tts-result/{run_id}")).status_code == status


async def test_a_run_of_another_kind_is_refused(camb: httpx.AsyncClient) -> None:
    assert (await camb.get(f"/dub-result/{await finished(camb, 'tts')}")).status_code == 400


@pytest.mark.parametrize("task_id", ["run-id-early-1", "run-id-early-after-60-1", "no-status-1"])
async def test_a_run_that_goes_on_has_no_result_yet(camb: httpx.AsyncClient, task_id: str) -> None:
    run_id = (await camb.get(f"/tts/{task_id}")).json()["run_id"]

    assert (await camb.get(f"/tts-result/{run_id}")).status_code == 404


async def test_a_run_that_failed_has_no_result(camb: httpx.AsyncClient, backstage: httpx.AsyncClient) -> None:
    await camb.get("/tts/error-1")
    run_id = (await backstage.get("/state")).json()["tasks"][0]["run_id"]

    assert (await camb.get(f"/tts-result/{run_id}")).status_code == 404


async def test_another_format_of_a_dub_is_made_by_one_post_and_fetched_by_the_next(
    camb: httpx.AsyncClient,
) -> None:
    path = f"/dub-alt-format/{await finished(camb, 'dub')}/fr-fr"
    body = {"output_format": "mp3"}

    first, again = [(await camb.post(path, json=body)).json() for _ in range(2)]
    status = (await camb.get(f"/dub-alt-format/{first['task_id']}")).json()
    fetched = (await camb.post(path, json=body)).json()

    assert first == again
    assert status["status"] == "SUCCESS"
    assert fetched == {"output_url": FILE.format(status["run_id"], "dubbed.wav")}


async def test_a_story_is_translated_from_its_run(camb: httpx.AsyncClient) -> None:
    made = await camb.post(f"/translated-story/{await finished(camb, 'story')}", json={"target_language": 2})
    without = await camb.post("/translated-story/1", json={"target_language": 2})

    assert (await camb.get(f"/translated-story/{made.json()['task_id']}")).json()["status"] == "SUCCESS"
    assert without.status_code == 404
