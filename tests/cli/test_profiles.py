from pathlib import Path

import pytest

from relay.cli.profiles import LOCAL, NoTarget, Target, find_target, names

PROFILES = """
[default]
url = "https://default.test"
token = "token-of-default"

[staging]
url = "https://staging.test/relay"
token_file = "{folder}/token"

[nothing]
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """With a file of profiles that only its owner may read."""
    (tmp_path / "token").write_text("token-of-staging\n")
    write(tmp_path, PROFILES.format(folder=tmp_path))
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    (folder / "relay").mkdir(exist_ok=True)
    file = folder / "relay" / "profiles.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


def target(
    environ: dict[str, str],
    *,
    url: str | None = None,
    token_file: Path | None = None,
    profile: str | None = None,
) -> Target:
    return find_target(url=url, token_file=token_file, profile=profile, environ=environ)


SET = {"RELAY_URL": "https://set.test", "RELAY_TOKEN": "token-that-is-set"}
FROM_PROFILE = ("https://staging.test/relay", "token-of-staging")
FROM_DEFAULT = ("https://default.test", "token-of-default")


@pytest.mark.parametrize(
    ("more", "options", "found"),
    [
        ({}, {}, FROM_DEFAULT),
        ({"RELAY_PROFILE": "staging"}, {}, FROM_PROFILE),
        ({}, {"profile": "staging"}, FROM_PROFILE),
        (SET, {"profile": "staging"}, FROM_PROFILE),
        (SET, {}, ("https://set.test", "token-that-is-set")),
        ({**SET, "RELAY_PROFILE": "staging"}, {}, ("https://set.test", "token-that-is-set")),
        (SET, {"url": "https://option.test"}, ("https://option.test", "token-that-is-set")),
        ({}, {"url": "https://option.test"}, ("https://option.test", None)),
        ({"RELAY_URL": "https://set.test"}, {}, ("https://set.test", None)),
        ({"RELAY_TOKEN": "token-that-is-set"}, {}, (LOCAL, "token-that-is-set")),
    ],
    ids=[
        "the default profile",
        "RELAY_PROFILE",
        "--profile",
        "--profile before the environment",
        "the environment",
        "RELAY_URL before RELAY_PROFILE",
        "--url before RELAY_URL",
        "--url without a token",
        "RELAY_URL without a token",
        "a token without a URL",
    ],
)
def test_a_profile_is_taken_whole_and_the_nearer_word_wins(
    environ: dict[str, str], more: dict[str, str], options: dict[str, str], found: tuple[str, str | None]
) -> None:
    chosen = find_target(
        url=options.get("url"), token_file=None, profile=options.get("profile"), environ=environ | more
    )

    assert (chosen.url, chosen.token) == found
    assert not chosen.token or chosen.token not in repr(chosen)


def test_a_token_file_is_stronger_than_the_environment(environ: dict[str, str], tmp_path: Path) -> None:
    assert target(environ | SET, token_file=tmp_path / "token").token == "token-of-staging"


def test_without_a_word_it_is_the_relay_of_this_machine(tmp_path: Path) -> None:
    chosen = target({"HOME": str(tmp_path)})

    assert (chosen.url, chosen.token) == (LOCAL, None)


def test_the_file_is_below_the_home_directory_where_nothing_else_is_said(tmp_path: Path) -> None:
    (tmp_path / ".config").mkdir()
    write(tmp_path / ".config", '[default]\nurl = "https://home.test"\n', 0o644)

    assert target({"HOME": str(tmp_path)}).url == "https://home.test"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_with_a_token_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = write(tmp_path, PROFILES.format(folder=tmp_path), mode)

    with pytest.raises(NoTarget, match=f"chmod 600 {file}"):
        target({"XDG_CONFIG_HOME": str(tmp_path)}, profile="staging")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("this is no TOML", "cannot be read"),
        ('[default]\nurl = "https://x.test"\npassword = "x"\n', "may hold url, token, token_file"),
        ('url = "https://x.test"\n', "nothing else may stand there"),
        ('[default]\nurl = "x.test"\n', "begins with http:// or https://"),
        ("[default]\nurl = 1\n", "begins with http:// or https://"),
        ('[default]\nurl = "https://x.test"\ntoken = "two\\nlines"\n', "one line of plain ASCII"),
        ('[default]\nurl = "https://x.test"\ntoken_file = "/nowhere/at/all"\n', "the token cannot be read"),
        ('[other]\nurl = "https://x.test"\n', "there is other"),
        ("[default]\n", "has no url"),
    ],
)
def test_what_is_wrong_with_a_profile_is_said(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path, text)

    with pytest.raises(NoTarget, match=words):
        target({"XDG_CONFIG_HOME": str(tmp_path)}, profile="default")


def test_a_profile_leaves_nothing_for_an_option_to_say(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(NoTarget, match="leave --url and --token-file away"):
        target(environ, profile="staging", url="https://x.test")
    with pytest.raises(NoTarget, match="leave --url and --token-file away"):
        target(environ, profile="staging", token_file=tmp_path / "token")


def test_the_names_of_profiles_are_there_to_complete(environ: dict[str, str], tmp_path: Path) -> None:
    assert names(environ) == ["default", "nothing", "staging"]
    write(tmp_path, "this is no TOML")
    assert names(environ) == []
