"""Which relay a command works with: an option, the environment, or a profile."""

import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

LOCAL: Final = "http://127.0.0.1:8080"
"""Where `relay serve` listens if nobody says otherwise."""
_DEFAULT: Final = "default"
_KEYS: Final = ("url", "token", "token_file")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class NoTarget(Exception):
    """What was said names no relay that could be called; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    url: str
    token: str | None = field(repr=False)
    said_by: str
    """For a message, as `RELAY_URL`."""


def find_target(
    *, url: str | None, token_file: Path | None, profile: str | None, environ: Mapping[str, str]
) -> Target:
    """An option is stronger than the environment, and a profile is taken whole: no token goes to another's URL.

    Raises NoTarget.
    """
    if profile is not None:
        if url is not None or token_file is not None:
            raise NoTarget("--profile says it all: leave --url and --token-file away")
        return _profile(profile, environ)
    if url is not None:
        return _target(url, _token(token_file, environ), "--url")
    if "RELAY_URL" in environ:
        return _target(environ["RELAY_URL"], _token(token_file, environ), "RELAY_URL")
    if "RELAY_PROFILE" in environ:
        return _profile(environ["RELAY_PROFILE"], environ)
    if token_file is None and "RELAY_TOKEN" not in environ and _DEFAULT in (profiles := read(environ)):
        return _from(_DEFAULT, profiles[_DEFAULT])
    return _target(LOCAL, _token(token_file, environ), "the default; RELAY_URL or --url names another")


def names(environ: Mapping[str, str]) -> list[str]:
    """Of the profiles there are, for the shell's completion."""
    try:
        return sorted(read(environ))
    except NoTarget:
        return []


def read(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The file's tables, none where there is no file. Raises NoTarget."""
    path = _path(environ)
    try:
        profiles = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise NoTarget(f"{path} cannot be read: {error}") from None
    for name, profile in profiles.items():
        if not isinstance(profile, dict) or not set(profile) <= set(_KEYS):
            raise NoTarget(f"{path}: [{name}] may hold {', '.join(_KEYS)}, and nothing else may stand there")
    if any("token" in profile for profile in profiles.values()) and path.stat().st_mode & _OTHERS:
        raise NoTarget(f"{path} holds a token and others may read it: chmod 600 {path}")
    return profiles


def _path(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME') or Path.home()}/.config"
    return Path(home) / "relay" / "profiles.toml"


def _profile(name: str, environ: Mapping[str, str]) -> Target:
    profiles = read(environ)
    if name not in profiles:
        there = ", ".join(sorted(profiles)) or "none"
        raise NoTarget(f"there is no profile {name} in {_path(environ)}; there is {there}")
    return _from(name, profiles[name])


def _from(name: str, profile: Mapping[str, Any]) -> Target:
    if "url" not in profile:
        raise NoTarget(f'the profile {name} has no url = "https://…"')
    file = profile.get("token_file")
    token = profile.get("token") if file is None else _read_token(Path(file).expanduser())
    return _target(profile["url"], token, f"the profile {name}")


def _token(file: Path | None, environ: Mapping[str, str]) -> str | None:
    return environ.get("RELAY_TOKEN") if file is None else _read_token(file)


def _read_token(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError) as error:
        raise NoTarget(f"the token cannot be read: {error}") from None


def _target(url: object, token: object, said_by: str) -> Target:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise NoTarget(f"the URL of a relay begins with http:// or https://; {said_by} says {url}")
    if token is not None and not (isinstance(token, str) and token.isascii() and token.isprintable()):
        raise NoTarget("the token must be one line of plain ASCII")
    return Target(url=url, token=token or None, said_by=said_by)
