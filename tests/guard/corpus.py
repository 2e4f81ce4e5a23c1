"""The corpus of `corpus.toml`, one case at a time."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from relay.domain.addresses import Verdict


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    why: str
    source: str


class Addresses(_Group):
    addresses: tuple[str, ...]
    verdict: Verdict


class Answers(_Group):
    answers: tuple[tuple[str, ...], ...]
    verdict: Verdict


class Urls(_Group):
    urls: tuple[str, ...]
    rule: str


class Corpus(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    addresses: tuple[Addresses, ...]
    answers: tuple[Answers, ...]
    urls: tuple[Urls, ...]


@cache
def corpus() -> Corpus:
    with (Path(__file__).parent / "corpus.toml").open("rb") as file:
        return Corpus.model_validate(tomllib.load(file))


def addresses() -> list[tuple[str, Verdict]]:
    return [(address, group.verdict) for group in corpus().addresses for address in group.addresses]


def answers() -> list[tuple[tuple[str, ...], Verdict]]:
    """Those of one address too, for a name may lead to each."""
    alone: list[tuple[tuple[str, ...], Verdict]] = [((address,), verdict) for address, verdict in addresses()]
    return alone + [(answer, group.verdict) for group in corpus().answers for answer in group.answers]


def urls() -> list[tuple[str, str]]:
    return [(url, group.rule) for group in corpus().urls for url in group.urls]
