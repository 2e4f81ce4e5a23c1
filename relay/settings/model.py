"""The configuration of one process: read once, frozen, and handed in."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from types import MappingProxyType
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from relay.domain.allowances import Allowance
from relay.domain.clients import Client, token_digest
from relay.domain.keys import signing_key
from relay.settings.callback_headers import CallbackHeaderSettings
from relay.settings.errors import ConfigurationError
from relay.settings.names import DEFAULT_CLIENT, KeyPath, dotted, variable_of
from relay.settings.sections import (
    CallbacksSettings,
    CambSettings,
    ClientSettings,
    ConsoleSettings,
    DatabaseSettings,
    DeliverySettings,
    LoggingSettings,
    OperatorSettings,
    PollingSettings,
    RegistrationsSettings,
    RetentionSettings,
    ServerSettings,
    is_loopback,
)
from relay.settings.tracing import TracingSettings
from relay.settings.values import ClientName, duration_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Settings that are right one by one and wrong together; `rule` speaks of the first."""

    paths: tuple[KeyPath, ...]
    rule: str


class Contradictory(ValueError):
    def __init__(self, found: tuple[Contradiction, ...]) -> None:
        super().__init__("; ".join(f"{dotted(each.paths[0])} {each.rule}" for each in found))
        self.found = found


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, case_sensitive=True, allow_inf_nan=False
    )

    role: Literal["all", "api", "worker"] = Field(
        "all",
        description="What this process does: the API, the work, or all of it. api and worker are for several "
        "processes on PostgreSQL.",
    )
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    camb: CambSettings = CambSettings()
    polling: PollingSettings = PollingSettings()
    delivery: DeliverySettings = DeliverySettings()
    callbacks: CallbacksSettings = CallbacksSettings()
    registrations: RegistrationsSettings = RegistrationsSettings()
    retention: RetentionSettings = RetentionSettings()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()
    console: ConsoleSettings = ConsoleSettings()
    operator: OperatorSettings = OperatorSettings()
    clients: Mapping[ClientName, ClientSettings] = Field(
        default_factory=dict, description="Who may use the relay, by name."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing ambient: `Settings()` is the defaults, and `load_settings` hands in what it has read."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        found = tuple(_contradictions(self))
        if found:
            raise Contradictory(found)
        return self

    def clients_by_name(self) -> Mapping[str, Client]:
        """Raises ConfigurationError where `missing_for_serving` has something to say."""
        missing = self.missing_for_serving()
        if missing:
            raise ConfigurationError(missing)
        return MappingProxyType(
            {
                name: Client(
                    name=name,
                    camb_base_url=client.camb_base_url or self.camb.base_url,
                    camb_api_key=client.camb_api_key.get_secret_value(),
                    api_token_digests=_digests(client.api_tokens),
                    signing_keys=tuple(signing_key(s.get_secret_value()) for s in client.signing_secrets),
                    default_kind=client.default_kind,
                    callback_headers=tuple(header.header() for header in client.callback_headers),
                )
                for name, client in self.clients.items()
                if client.camb_api_key is not None
            }
        )

    def operator_digests(self) -> frozenset[bytes]:
        """SHA-256 of the operator's tokens."""
        return _digests(self.operator.api_tokens)

    def allowances_by_name(self) -> Mapping[str, Allowance]:
        """What each client may register: its own bounds, or everybody's."""
        shared = self.registrations
        return MappingProxyType(
            {
                name: Allowance(
                    registrations_per_minute=client.registrations_per_minute or shared.per_minute,
                    max_watched=client.max_watched or shared.max_watched,
                )
                for name, client in self.clients.items()
            }
        )

    def missing_for_serving(self) -> tuple[str, ...]:
        """What `serve` cannot do without, each with the variable to set. Empty where nothing is missing."""
        clients = self.clients or {DEFAULT_CLIENT: ClientSettings()}
        return tuple(message for name, client in clients.items() for message in _missing(name, client))

    def describe(self) -> list[tuple[str, str]]:
        """The effective configuration, secrets masked, in the file's order."""
        return list(_rows(self))


def _digests(tokens: Iterable[SecretStr]) -> frozenset[bytes]:
    return frozenset(token_digest(token.get_secret_value()) for token in tokens)


def _missing(name: str, client: ClientSettings) -> Iterator[str]:
    if client.camb_api_key is None:
        variable = variable_of(("clients", name, "camb_api_key"))
        yield f"{variable} is not set: client {name} needs the CAMB key that asks about its tasks"
    if not client.signing_secrets:
        variable = variable_of(("clients", name, "signing_secrets"))
        yield f"{variable} is not set: notifications are always signed; `relay secret` makes a signing secret"


def _rows(model: BaseModel, above: KeyPath = ()) -> Iterator[tuple[str, str]]:
    for key in type(model).model_fields:
        value: object = getattr(model, key)
        if isinstance(model, DatabaseSettings) and key == "url":
            yield dotted((*above, key)), model.masked_url
        elif isinstance(value, BaseModel):
            yield from _rows(value, (*above, key))
        elif isinstance(value, Mapping):
            for name, each in value.items():
                yield from _rows(each, (*above, key, name))
        else:
            yield dotted((*above, key)), _text(value)


def _text(value: object) -> str:
    """SecretStr masks itself."""
    if value is None:
        return "not set"
    if isinstance(value, CallbackHeaderSettings):
        return f"{value.name} to {value.origin}"
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, timedelta):
        return duration_text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _contradictions(settings: Settings) -> Iterator[Contradiction]:
    yield from _among_times(settings)
    yield from _in_serving(settings)
    yield from _among_clients(settings.clients)
    yield from _with_the_operator(settings)


def _among_times(settings: Settings) -> Iterator[Contradiction]:
    server, polling, delivery = settings.server, settings.polling, settings.delivery
    bounds = (
        (("server", "drain"), server.drain, ("delivery", "deadline"), delivery.deadline),
        (("server", "drain"), server.drain, ("camb", "deadline"), settings.camb.deadline),
        (("polling", "max_pace"), polling.max_pace, ("polling", "min_pace"), polling.min_pace),
        (("polling", "slow_max_pace"), polling.slow_max_pace, ("polling", "min_pace"), polling.min_pace),
        (
            ("delivery", "retry_after_ceiling"),
            delivery.retry_after_ceiling,
            ("delivery", "pause_without_retry_after"),
            delivery.pause_without_retry_after,
        ),
    )
    for path, value, floor_path, floor in bounds:
        if value < floor:
            yield Contradiction(
                paths=(path, floor_path),
                rule=f"should not be below {dotted(floor_path)}: raise it, or lower that",
            )


def _in_serving(settings: Settings) -> Iterator[Contradiction]:
    server = settings.server
    if settings.role != "all" and settings.database.dialect == "sqlite":
        yield Contradiction(
            paths=(("role",), ("database", "url")),
            rule="should be all on SQLite, one process's own: set database.url to PostgreSQL to split it",
        )
    if server.operations_port is not None and server.operations_port == server.port != 0:
        yield Contradiction(
            paths=(("server", "operations_port"), ("server", "port")),
            rule="should differ from server.port: leave it out to share that port",
        )
    if settings.role == "worker" or is_loopback(server.host):
        return
    for name, client in settings.clients.items():
        if not client.api_tokens:
            tokens = ("clients", name, "api_tokens")
            yield Contradiction(
                paths=(("server", "host"), tokens),
                rule=f"should be loopback while client {name} has no API token: set {variable_of(tokens)}",
            )


def _among_clients(clients: Mapping[str, ClientSettings]) -> Iterator[Contradiction]:
    for (one, mine), (other, theirs) in combinations(clients.items(), 2):
        paths = (("clients", other, "api_tokens"), ("clients", one, "api_tokens"))
        if set(mine.api_tokens) & set(theirs.api_tokens):
            yield Contradiction(
                paths=paths, rule=f"shares a token with client {one}: a token says which client is calling"
            )
        elif not mine.api_tokens and not theirs.api_tokens:
            yield Contradiction(
                paths=paths,
                rule=f"is empty, and so is client {one}'s: a call without a token is one client's only",
            )


def _with_the_operator(settings: Settings) -> Iterator[Contradiction]:
    for name, client in settings.clients.items():
        if set(client.api_tokens) & set(settings.operator.api_tokens):
            yield Contradiction(
                paths=(("operator", "api_tokens"), ("clients", name, "api_tokens")),
                rule=f"shares a token with client {name}: a token says who is looking",
            )
