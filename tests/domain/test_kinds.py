from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.kinds import DEFAULT_KIND, KINDS

ROUTES = {
    "text-to-sound": ("/text-to-sound/t-1", "/text-to-sound-result/9"),
    "tts": ("/tts/t-1", "/tts-result/9"),
    "dub": ("/dub/t-1", "/dub-result/9"),
    "dub-alt-format": ("/dub-alt-format/t-1", None),
    "translate": ("/translate/t-1", "/translation-result/9"),
    "transcribe": ("/transcribe/t-1", "/transcription-result/9"),
    "sub": ("/sub/t-1", "/sub-result/9"),
    "translated-tts": ("/translated-tts/t-1", "/tts-result/9"),
    "text-to-voice": ("/text-to-voice/t-1", "/text-to-voice-result/9"),
    "audio-separation": ("/audio-separation/t-1", "/audio-separation-result/9"),
    "story": ("/story/t-1", "/story-result/9"),
    "story-setup": ("/story/t-1", None),
    "translated-story": ("/translated-story/t-1", None),
    "project-setup": ("/project-setup/t-1", "/project-setup-result/9"),
    "discord-dub": ("/discord/dub/t-1", "/dub-result/9"),
    "twitter-dub": ("/twitter/dub/t-1", "/dub-result/9"),
    "discord-tts": ("/discord/tts/t-1", "/tts-result/9"),
}


def test_every_kind_of_task_is_known_and_no_other() -> None:
    assert KINDS.keys() == ROUTES.keys()
    assert DEFAULT_KIND in KINDS


@pytest.mark.parametrize(("name", "routes"), ROUTES.items(), ids=ROUTES)
def test_each_kind_has_its_own_status_and_result_route(name: str, routes: tuple[str, str | None]) -> None:
    kind = KINDS[name]

    assert kind.name == name
    assert (kind.status_path("t-1"), kind.result_path(9)) == routes


@pytest.mark.parametrize(
    ("task_id", "segment"),
    [
        ("0b9fd1f2-4f4e-4e3c-9d4b-3b0a3a5a1c11", "0b9fd1f2-4f4e-4e3c-9d4b-3b0a3a5a1c11"),
        ("CaSe_~1.2", "CaSe_~1.2"),
        ("a/b?c", "a%2Fb%3Fc"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("%2e%2e", "%252e%252e"),
        ("../dub/1", "..%2Fdub%2F1"),
        ("ü", "%C3%BC"),
        ("a b#c;d=e&f+g", "a%20b%23c%3Bd%3De%26f%2Bg"),
        ("\\..\\x", "%5C..%5Cx"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
    ],
)
def test_a_task_id_is_one_path_segment_spelled_out(task_id: str, segment: str) -> None:
    assert KINDS["dub"].status_path(task_id) == f"/dub/{segment}"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_whatever_the_task_id_its_path_leads_nowhere_else_and_is_read_back_the_same(task_id: str) -> None:
    segment = KINDS["dub"].status_path(task_id).removeprefix("/dub/")

    assert unquote(segment) == task_id
    assert segment not in {".", ".."}
    assert segment.isascii()
    assert set(segment).isdisjoint("/?#\\;&+ ")
