"""The tables of `config/relay.toml`: every setting with its default, its bounds and a word about it."""

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from relay.domain.kinds import DEFAULT_KIND
from relay.settings.callback_headers import MOST_HEADERS, CallbackHeaderSettings, distinct
from relay.settings.section import Section
from relay.settings.values import (
    ApiToken,
    BaseUrl,
    CambApiKey,
    DatabaseUrl,
    Duration,
    Host,
    HostPattern,
    KindName,
    Network,
    SigningSecret,
    WholeSeconds,
    masked_database_url,
)

_SQLITE = "sqlite:///"
_INSTANT = timedelta(milliseconds=10)

Port = Annotated[int, Field(ge=0, le=65_535)]


class ServerSettings(Section):
    host: Host = Field(
        "127.0.0.1",
        description="The address to listen on; :: is every one, of IPv4 too. A container sets 0.0.0.0. Without an "
        "API token only a loopback address is accepted.",
    )
    port: Port = Field(8080, description="The port of the API. 0 to 65535; 0 takes a free one.")
    operations_port: Port | None = Field(
        None,
        description="A port of its own for /livez, /readyz and /metrics, which need no token; without it "
        "they share the API's. 0 to 65535; 0 takes a free one.",
    )
    drain: Duration = Field(
        timedelta(seconds=20),
        ge=timedelta(seconds=1),
        le=timedelta(minutes=10),
        description="How long a SIGTERM waits for what is in flight. PT1S to PT10M, and never below "
        "delivery.deadline and camb.deadline.",
    )


class DatabaseSettings(Section):
    url: DatabaseUrl = Field(
        SecretStr("sqlite:///relay.db"),
        description="sqlite:/// and a path (a fourth slash makes it absolute), or "
        "postgresql://user:password@host:5432/database?sslmode=require. TLS is asked for in libpq's words: "
        "sslmode, sslrootcert, sslcert, sslkey.",
    )
    migrate_at_start: bool = Field(
        default=False,
        description="Bring a PostgreSQL schema up to date when `relay serve` starts. SQLite's always is.",
    )
    pool_size: int = Field(
        10, ge=2, le=200, description="Connections to PostgreSQL that each process may hold. 2 to 200."
    )

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return "sqlite" if self.file is not None else "postgresql"

    @property
    def file(self) -> Path | None:
        """SQLite's file; None on PostgreSQL."""
        url = self.url.get_secret_value()
        return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None

    @property
    def masked_url(self) -> str:
        return masked_database_url(self.url.get_secret_value())


class CambSettings(Section):
    base_url: BaseUrl = Field(
        "https://client.camb.ai/apis", description="Where CAMB's API is. http is for a simulator only."
    )
    deadline: Duration = Field(
        timedelta(seconds=10),
        ge=timedelta(milliseconds=100),
        le=timedelta(minutes=5),
        description="How long a status request may take, from name resolution to the last byte. "
        "PT0.1S to PT5M.",
    )
    answer_bytes: int = Field(
        262_144,
        ge=1_024,
        le=16_777_216,
        description="The longest answer that is read, in bytes. 1024 to 16777216.",
    )
    rate_per_second: float = Field(
        10.0,
        ge=0.01,
        le=10_000,
        description="Polls a second per CAMB key, all replicas together; the burst is one second of it. "
        "0.01 to 10000.",
    )
    concurrency: int = Field(
        16, ge=1, le=10_000, description="Polls at once per CAMB key and replica. 1 to 10000."
    )


class PollingSettings(Section):
    tick: Duration = Field(
        timedelta(seconds=1),
        ge=_INSTANT,
        le=timedelta(minutes=1),
        description="The interval at which due work is looked for. PT0.01S to PT1M.",
    )
    min_pace: Duration = Field(
        timedelta(seconds=2),
        ge=_INSTANT,
        le=timedelta(days=1),
        description="The shortest wait between two polls of a task. PT0.01S to P1D.",
    )
    max_pace: Duration = Field(
        timedelta(seconds=30),
        ge=_INSTANT,
        le=timedelta(days=1),
        description="The longest wait between two polls of a task. PT0.01S to P1D.",
    )
    slow_max_pace: Duration = Field(
        timedelta(seconds=60),
        ge=_INSTANT,
        le=timedelta(days=1),
        description="The longest wait between two polls of a task of a slow kind. PT0.01S to P1D.",
    )
    slow_kinds: tuple[KindName, ...] = Field(
        ("dub", "story", "transcribe", "project-setup"),
        description="The kinds whose tasks take minutes rather than seconds.",
    )
    growth: float = Field(
        0.1,
        ge=0,
        le=10,
        description="The wait as a share of the task's age, between the paces above. 0 to 10.",
    )
    jitter: float = Field(0.1, ge=0, le=0.5, description="How far each wait is spread, both ways. 0 to 0.5.")
    concurrency: int = Field(256, ge=1, le=10_000, description="Polls at once per replica. 1 to 10000.")
    quantum: int = Field(50, ge=1, le=10_000, description="Tasks taken up per client and tick. 1 to 10000.")
    lost_grace: Duration = Field(
        timedelta(minutes=10),
        ge=_INSTANT,
        le=timedelta(days=30),
        description="How long CAMB must answer 404 before a task is lost. PT0.01S to P30D.",
    )
    lost_answers: int = Field(
        3, ge=1, le=1_000, description="How many answers of 404 it takes at least. 1 to 1000."
    )


class DeliverySettings(Section):
    deadline: Duration = Field(
        timedelta(seconds=15),
        ge=timedelta(milliseconds=100),
        le=timedelta(minutes=5),
        description="How long an attempt may take: name resolution, connecting, TLS, headers and body. "
        "PT0.1S to PT5M.",
    )
    answer_bytes: int = Field(
        4_096,
        ge=0,
        le=1_048_576,
        description="How much of a callback's answer is read and kept, in bytes. 0 to 1048576.",
    )
    concurrency: int = Field(512, ge=1, le=10_000, description="Attempts at once per replica. 1 to 10000.")
    concurrency_per_origin: int = Field(
        8,
        ge=1,
        le=10_000,
        description="Attempts at once per client, callback origin and replica. 1 to 10000.",
    )
    quantum: int = Field(
        50,
        ge=1,
        le=10_000,
        description="Deliveries taken up per client, callback origin and tick. 1 to 10000.",
    )
    retry_schedule: tuple[Annotated[Duration, Field(ge=_INSTANT, le=timedelta(days=30))], ...] = Field(
        (
            timedelta(seconds=5),
            timedelta(minutes=5),
            timedelta(minutes=30),
            timedelta(hours=2),
            timedelta(hours=5),
            timedelta(hours=10),
            timedelta(hours=14),
            timedelta(hours=20),
            timedelta(hours=24),
        ),
        min_length=1,
        max_length=100,
        description="The wait after each failed attempt; past the last the delivery is dead. 1 to 100 waits "
        "of PT0.01S to P30D.",
    )
    jitter: float = Field(0.1, ge=0, le=0.5, description="How far each wait is spread, both ways. 0 to 0.5.")
    retry_after_ceiling: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(seconds=1),
        le=timedelta(days=30),
        description="The longest Retry-After that is honoured; a longer one counts as this. PT1S to P30D.",
    )
    pause_without_retry_after: Duration = Field(
        timedelta(seconds=5),
        ge=_INSTANT,
        le=timedelta(hours=1),
        description="The pause of a callback origin that answers 429 without a Retry-After, and the first one of "
        "an origin that keeps failing. PT0.01S to PT1H.",
    )
    longest_pause: Duration = Field(
        timedelta(minutes=5),
        ge=_INSTANT,
        le=timedelta(days=1),
        description="How long an origin that does not answer is left alone at most: each failed probe doubles its "
        "pause up to this. PT0.01S to P1D.",
    )


class CallbacksSettings(Section):
    allow_networks: tuple[Network, ...] = Field(
        (),
        description="Networks beside the public internet that callbacks may be in: CIDRs, and the words "
        "loopback and private. Whoever holds an API token can then make the relay call what is in them.",
    )
    allow_hosts: tuple[HostPattern, ...] = Field(
        (),
        description="The only hosts that callbacks may go to; without any, all may be. Names, *. and a name for "
        "its subdomains, addresses, networks. They open no network: that takes allow_networks as well.",
    )
    deny_hosts: tuple[HostPattern, ...] = Field(
        (),
        description="Hosts that callbacks may never go to, written alike; these win. Names must not lead to "
        "the addresses and networks among them either.",
    )
    allow_http: Literal["never", "allowed-networks", "always"] = Field(
        "never", description="Where a callback may do without TLS: never, allowed-networks or always."
    )


class RegistrationsSettings(Section):
    expires_in: WholeSeconds = Field(
        timedelta(hours=24),
        ge=timedelta(seconds=5),
        le=timedelta(days=30),
        description="When a registration that names no expires_in expires. PT5S to P30D, in whole seconds.",
    )
    per_minute: int = Field(
        120_000,
        ge=1,
        le=10_000_000,
        description="Registrations a minute that each client may ask of each process; the burst is one minute of it. "
        "The default is some half of what one process takes, so that no client can have all of it. 1 to 10000000.",
    )
    max_watched: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000,
        description="Registrations of each client that may wait for their tasks at once. The default is far beyond what "
        "a CAMB key's rate can be polled for, and takes some GiB of disk. 1 to 100000000.",
    )


class RetentionSettings(Section):
    finished: Duration = Field(
        timedelta(days=30),
        ge=timedelta(seconds=1),
        le=timedelta(days=36_500),
        description="How long delivered and cancelled registrations are kept. PT1S to P36500D.",
    )
    dead: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=36_500))] | None = Field(
        None, description="How long dead registrations are kept; without it for ever. PT1S to P36500D."
    )


class LoggingSettings(Section):
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="json, console, or auto: console on a terminal and json elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is written: debug, info, warning or error."
    )


class ConsoleSettings(Section):
    enabled: bool = Field(
        default=True,
        description="Serve the console under /ui, beside the API. Who signs in shows an API token or an operator's.",
    )


class OperatorSettings(Section):
    api_tokens: tuple[ApiToken, ...] = Field(
        (),
        description="What lets somebody read every client's part of the console, and change nothing. The API refuses "
        "them, and no client has one of them. 8 to 256 characters each.",
    )


class ClientSettings(Section):
    api_tokens: tuple[ApiToken, ...] = Field(
        (),
        description="What the client shows as `Authorization: Bearer`; any of them will do. 8 to 256 "
        "characters each.",
    )
    camb_api_key: CambApiKey | None = Field(
        None, description="The key with which CAMB is asked about its tasks."
    )
    camb_base_url: BaseUrl | None = Field(None, description="Where its CAMB is, if not at camb.base_url.")
    signing_secrets: tuple[SigningSecret, ...] = Field(
        (),
        max_length=8,
        description="whsec_ and the base64 of 24 to 64 bytes, as `relay secret` makes them, or whsk_ and an "
        "ed25519 pair, as `relay secret --ed25519` does. Each adds a signature, so that one can replace "
        "another. At most 8.",
    )
    callback_headers: Annotated[tuple[CallbackHeaderSettings, ...], AfterValidator(distinct)] = Field(
        (),
        max_length=MOST_HEADERS,
        description="Headers for the gateways before its callbacks, each sent to one origin alone. At most 32. "
        "Their variable holds JSON.",
    )
    default_kind: KindName = Field(DEFAULT_KIND, description="The kind of a registration that names none.")
    registrations_per_minute: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        None, description="Its own registrations.per_minute. 1 to 10000000."
    )
    max_watched: Annotated[int, Field(ge=1, le=100_000_000)] | None = Field(
        None, description="Its own registrations.max_watched. 1 to 100000000."
    )


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
