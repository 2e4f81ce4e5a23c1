"""`[[clients.<name>.callback_headers]]`: what is taken, what is refused, and that no value is ever repeated."""

import json
from pathlib import Path

import pytest

from relay.domain.clients import CallbackHeader
from relay.settings import ConfigurationError, Settings, load_settings

WHOLE = {
    "RELAY_CAMB_API_KEY": "a-camb-key",
    "RELAY_SIGNING_SECRETS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
VARIABLE = "RELAY_CLIENTS__DEFAULT__CALLBACK_HEADERS"
HEADER = {"origin": "https://hooks.test", "name": "authorization", "value": "Bearer canary-value"}
CANARY = "canary"


def load(folder: Path, headers: object, *, secrets: Path | None = None) -> Settings:
    environ = (
        WHOLE if secrets else WHOLE | {VARIABLE: headers if isinstance(headers, str) else json.dumps(headers)}
    )
    return load_settings(config=None, secrets_dir=secrets, environ=environ, cwd=folder)


def loaded(folder: Path, headers: object) -> tuple[CallbackHeader, ...]:
    return load(folder, headers).clients_by_name()["default"].callback_headers


def refusal(folder: Path, headers: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(folder, headers)
    told = "\n".join(refused.value.problems)
    assert CANARY not in told
    assert CANARY not in repr(refused.value)
    return told


def test_a_file_a_variable_and_a_mounted_secret_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text(
        """
        [[clients.default.callback_headers]]
        origin = "https://hooks.test"
        name = "authorization"
        value = "Bearer canary-value"
        """
    )
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / VARIABLE).write_text(json.dumps([HEADER]) + "\n")
    expected = (
        CallbackHeader(origin="https://hooks.test", name="authorization", value="Bearer canary-value"),
    )

    by_file = load_settings(
        config=tmp_path / "relay.toml", secrets_dir=None, environ=WHOLE, cwd=tmp_path
    ).clients_by_name()
    by_secret = load(tmp_path, "", secrets=tmp_path / "secrets").clients_by_name()

    assert by_file["default"].callback_headers == expected
    assert by_secret["default"].callback_headers == expected
    assert loaded(tmp_path, [HEADER]) == expected


@pytest.mark.parametrize("nothing", ["", "  ", "[]"])
def test_an_empty_variable_is_no_header(tmp_path: Path, nothing: str) -> None:
    assert loaded(tmp_path, nothing) == ()


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://hooks.test", "https://hooks.test"),
        ("HTTPS://Hooks.TEST:443/", "https://hooks.test"),
        ("https://hooks.test:8443", "https://hooks.test:8443"),
        ("http://10.0.0.1:80", "http://10.0.0.1"),
        ("https://[2001:DB8:0::1]", "https://[2001:db8::1]"),
    ],
)
def test_an_origin_is_kept_as_callback_urls_are_compared(tmp_path: Path, written: str, origin: str) -> None:
    (header,) = loaded(tmp_path, [HEADER | {"origin": written}])

    assert header.origin == origin


@pytest.mark.parametrize(
    "origin",
    [
        "https://hooks.test/path",
        "https://hooks.test?a",
        "hooks.test",
        "ftp://hooks.test",
        "https://a@b.test",
        "",
    ],
)
def test_what_is_no_origin_is_refused(tmp_path: Path, origin: str) -> None:
    told = refusal(tmp_path, [HEADER, HEADER | {"name": "x-key", "origin": origin}])

    assert told.startswith(f"{VARIABLE}: item 2 origin must ")


@pytest.mark.parametrize("name", ["authorization", "X-Api-Key", "cookie", "x!#$%&'*+-.^_`|~9", "x" * 64])
def test_a_name_is_kept_in_lower_case(tmp_path: Path, name: str) -> None:
    (header,) = loaded(tmp_path, [HEADER | {"name": name}])

    assert header.name == name.lower()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *((name, "should be a header's name") for name in ("", "a b", "a:", "ü", "x\n", "x" * 65, ":path")),
        *(
            (name, "of the connection")
            for name in (
                "Connection",
                "keep-alive",
                "TE",
                "trailer",
                "Transfer-Encoding",
                "upgrade",
                "proxy-authorization",
            )
        ),
        *(
            (name, "the relay itself sets: webhook-, relay-, content-")
            for name in (
                "webhook-id",
                "Webhook-Signature",
                "webhook-anything",
                "relay-task-id",
                "content-length",
                "Content-Type",
                "host",
                "User-Agent",
                "accept-encoding",
                "expect",
            )
        ),
    ],
)
def test_a_name_that_is_not_the_operators_to_give_is_refused(tmp_path: Path, name: str, rule: str) -> None:
    told = refusal(tmp_path, [HEADER | {"name": name}])

    assert told.startswith(f"{VARIABLE}: item 1 name should ")
    assert rule in told


@pytest.mark.parametrize("value", ["a", "canary", "Bearer a\tb c", "!~", "c" * 4096])
def test_a_value_of_printable_ascii_is_taken_as_it_is(tmp_path: Path, value: str) -> None:
    (header,) = loaded(tmp_path, [HEADER | {"value": value}])

    assert header.value == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        " canary",
        "canary ",
        "canary\r\nx: y",
        "canary\ny",
        "canary\x00",
        "canary\x7f",
        "canaryü",
        "canary" * 683,
    ],
)
def test_a_value_that_no_header_can_carry_is_refused(tmp_path: Path, value: str) -> None:
    told = refusal(tmp_path, [HEADER | {"value": value}])

    assert told == (
        f"{VARIABLE}: item 1 value should be 1 to 4096 printable ASCII characters, with spaces inside only"
    )


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_value_is_read_from_its_file_less_one_lines_end(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "value"
    path.write_bytes(b"c" * 4096 + ending.encode())

    (header,) = loaded(tmp_path, [{"origin": "https://hooks.test", "name": "x-key", "value_file": str(path)}])

    assert header.value == "c" * 4096


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"canary\n\n", b"canary\nmore", b"canary\xff", b"c" * 4097, b"canary" * 100_000],
    ids=["empty", "a line's end", "two", "two lines", "a byte", "too long by one", "far too long"],
)
def test_a_file_with_no_proper_value_is_refused_without_its_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value"
    path.write_bytes(content)

    told = refusal(tmp_path, [{"origin": "https://hooks.test", "name": "x-key", "value_file": str(path)}])

    assert told.startswith(f"{VARIABLE}: item 1 what value_file holds should be 1 to 4096 printable ASCII")


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        (
            {"value": None, "value_file": "/nowhere/at-all"},
            "item 1 value_file cannot be read: No such file or directory",
        ),
        ({"value": None, "value_file": "relative/path"}, "item 1 value_file should be an absolute path"),
        ({"value_file": "/nowhere/at-all"}, "item 1 should have either a value or a value_file"),
        ({"value": None}, "item 1 should have either a value or a value_file"),
        ({"value": True}, "item 1 value should not be true or false"),
        ({"value": ["canary"]}, "item 1 value should be a valid string"),
        ({"vlaue": "canary"}, "item 1 vlaue is no setting of that table"),
    ],
)
def test_a_header_that_is_not_whole_is_refused_by_its_place(
    tmp_path: Path, header: dict[str, object], rule: str
) -> None:
    assert f"{VARIABLE}: {rule}" in refusal(tmp_path, [HEADER | header])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    told = refusal(tmp_path, [{"value": "canary"}])

    assert told.splitlines() == [
        f"{VARIABLE}: item 1 origin is missing",
        f"{VARIABLE}: item 1 name is missing",
    ]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ('[{"value": "canary"', "should be JSON such as"),
        ("authorization: canary", "and is none at line 1, column 1"),
        ('{"value": "canary"}', "should be a list"),
        ('"canary"', "should be a list"),
        ('["canary"]', "item 1 should be a table"),
    ],
)
def test_a_variable_that_is_no_list_of_tables_is_refused(tmp_path: Path, value: str, rule: str) -> None:
    assert rule in refusal(tmp_path, value)


def test_one_name_twice_for_one_origin_is_refused(tmp_path: Path) -> None:
    again = HEADER | {"origin": "https://HOOKS.test:443", "name": "Authorization"}

    told = refusal(tmp_path, [HEADER, again])

    assert told == f"{VARIABLE}: should name a header once per origin"


def test_one_name_may_have_a_value_for_each_origin(tmp_path: Path) -> None:
    assert len(loaded(tmp_path, [HEADER, HEADER | {"origin": "https://other.test"}])) == 2


def test_a_client_has_at_most_32(tmp_path: Path) -> None:
    headers = [HEADER | {"name": f"x-{number}"} for number in range(33)]

    assert len(loaded(tmp_path, headers[:32])) == 32
    assert "at most 32 items" in refusal(tmp_path, headers)


def test_a_value_is_in_no_repr_and_no_description(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("canary-of-a-file")
    settings = load(
        tmp_path, [HEADER, {"origin": "https://hooks.test", "name": "x-key", "value_file": str(path)}]
    )

    told = f"{settings!r} {settings} {settings.describe()} {settings.clients_by_name()!r} {settings.model_dump()}"

    assert CANARY not in told
    assert dict(settings.describe())["clients.default.callback_headers"] == (
        "authorization to https://hooks.test, x-key to https://hooks.test"
    )
