"""The play as data: which tasks there are, how each ends, and what its registration must be told."""

import random
from dataclasses import dataclass
from typing import Final

from relay.demo.behaviours import Behaviour, script_of
from relay.domain.deliveries import DeadReason
from relay.domain.registrations import EventType, Format

SHOP: Final = "shop"
STUDIO: Final = "studio"
"""The client whose CAMB key and callback meet the bad weather: it is not to hold the other up."""

CLIENTS: Final = (SHOP, STUDIO)
SHORTEST_EXPIRY: Final = 5
POLL_DEADLINE_SECONDS: Final = 2
ATTEMPT_DEADLINE_SECONDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortened:
    """A setting that the demo does not leave at its `default`, both as the environment spells them."""

    name: str
    value: str
    default: str

    @property
    def variable(self) -> str:
        return "RELAY_" + self.name.replace(".", "__").upper()


SHORTENED: Final = (
    Shortened(name="polling.tick", value="PT0.2S", default="PT1S"),
    Shortened(name="polling.min_pace", value="PT0.5S", default="PT2S"),
    Shortened(name="polling.max_pace", value="PT1S", default="PT30S"),
    Shortened(name="polling.slow_max_pace", value="PT1S", default="PT1M"),
    Shortened(name="polling.lost_grace", value="PT4S", default="PT10M"),
    Shortened(name="camb.rate_per_second", value="100", default="10"),
    Shortened(name="camb.deadline", value=f"PT{POLL_DEADLINE_SECONDS}S", default="PT10S"),
    Shortened(name="delivery.deadline", value=f"PT{ATTEMPT_DEADLINE_SECONDS}S", default="PT15S"),
    Shortened(
        name="delivery.retry_schedule",
        value="PT0.5S,PT1S,PT1S,PT2S,PT2S",
        default="PT5S,PT5M,PT30M,PT2H,PT5H,PT10H,PT14H,PT20H,PT24H",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """A task and what must become of its registration; `status` is the word of CAMB's that the notification repeats."""

    task_id: str
    kind: str
    client: str
    hook: str
    format: Format
    expires_in: int | None
    expects: EventType
    status: str | None
    dead_reason: DeadReason | None

    @property
    def behaviour(self) -> Behaviour:
        script = script_of(self.task_id)
        if script is None:
            raise LookupError(f"{self.task_id} names no behaviour")
        return script.behaviour

    @property
    def ends_by_the_clock(self) -> bool:
        """Whether the simulator's `ends_at` is when it ended: not so where opening answers come first."""
        return not self.behaviour.opening and self.behaviour.ending.ending is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`after` spans the seconds until the end, `times` counts the opening answers."""

    behaviour: str
    kind: str
    hook: str = "ok"
    after: tuple[float, float] | None = None
    times: int = 1
    client: str = SHOP
    format: Format = Format.STANDARD
    expires_in: int | None = None
    expects: EventType = EventType.TASK_SUCCEEDED
    status: str | None = "SUCCESS"
    dead_reason: DeadReason | None = None

    def task(self, number: int, rng: random.Random) -> PlannedTask:
        words = [self.behaviour]
        if self.after is not None:
            words.append(f"after-{rng.uniform(*self.after):.1f}")
        if self.times > 1:
            words.append(f"times-{self.times}")
        return PlannedTask(
            task_id="-".join([*words, f"{number:02d}"]),
            kind=self.kind,
            client=self.client,
            hook=self.hook,
            format=self.format,
            expires_in=self.expires_in,
            expects=self.expects,
            status=self.status,
            dead_reason=self.dead_reason,
        )


_FAILED: Final = EventType.TASK_FAILED

# The first ones are what a short play needs, and what is under way at the crash.
SCENES: Final = (
    Scene(behaviour="success", kind="text-to-sound", hook="slow-1.5", after=(0.6, 1.0)),
    Scene(behaviour="hang", kind="tts", times=2),
    Scene(behaviour="error", kind="dub", after=(1, 3), expects=_FAILED, status="ERROR"),
    Scene(behaviour="success", kind="tts", hook="fail-2", after=(0, 1)),
    Scene(
        behaviour="never",
        kind="story",
        expires_in=SHORTEST_EXPIRY,
        expects=EventType.REGISTRATION_EXPIRED,
        status=None,
    ),
    Scene(behaviour="lost", kind="sub", expects=EventType.TASK_LOST, status=None),
    Scene(behaviour="success", kind="dub", hook="slow-1.5", after=(1.4, 1.8)),
    Scene(behaviour="rate-limited", kind="text-to-sound", client=STUDIO),
    Scene(behaviour="late-404", kind="translated-tts"),
    Scene(
        behaviour="success",
        kind="text-to-voice",
        hook="gone",
        after=(0, 2),
        dead_reason=DeadReason.GONE,
    ),
    Scene(behaviour="success-no-run-id", kind="translated-story", after=(1, 4)),
    Scene(behaviour="bare-string", kind="audio-separation", after=(1, 4)),
    Scene(behaviour="failed", kind="text-to-sound", after=(2, 5), expects=_FAILED, status="FAILED"),
    Scene(behaviour="timeout", kind="transcribe", after=(2, 5), expects=_FAILED, status="TIMEOUT"),
    Scene(
        behaviour="payment-required",
        kind="translate",
        after=(0, 4),
        expects=_FAILED,
        status="PAYMENT_REQUIRED",
    ),
    Scene(behaviour="server-errors", kind="tts", client=STUDIO),
    Scene(behaviour="success", kind="discord-tts", hook="busy-1", after=(0, 3), client=STUDIO),
    Scene(behaviour="list", kind="project-setup", after=(2, 6)),
    Scene(behaviour="unknown-word", kind="dub-alt-format", hook="fail-1", after=(2, 6)),
    Scene(behaviour="verbatim", kind="translate", after=(1, 5), format=Format.RAW),
    Scene(behaviour="success", kind="discord-dub", hook="hang-1", after=(0.5, 1)),
    Scene(behaviour="success", kind="text-to-sound", hook="slow-1.5", after=(2.2, 2.8)),
    Scene(behaviour="lower-case", kind="twitter-dub", after=(1, 6), status="success"),
    Scene(behaviour="reason-none", kind="sub", hook="fail-3", after=(1, 3)),
    Scene(behaviour="message-object", kind="story-setup", hook="drip", after=(1, 4)),
    Scene(behaviour="run-id-early", kind="transcribe", after=(1, 6)),
    Scene(behaviour="no-status", kind="translated-story", after=(1, 5)),
    Scene(behaviour="nul", kind="text-to-voice", hook="flood", after=(1, 4)),
    Scene(behaviour="html", kind="tts"),
    Scene(behaviour="empty", kind="dub", client=STUDIO),
    Scene(behaviour="huge", kind="audio-separation"),
    Scene(behaviour="invalid-utf8", kind="translated-tts"),
    Scene(behaviour="nul-bytes", kind="text-to-sound"),
    Scene(behaviour="redirect", kind="translate", client=STUDIO),
    Scene(behaviour="drip", kind="story"),
    Scene(
        behaviour="error", kind="project-setup", hook="fail-1", after=(3, 6), expects=_FAILED, status="ERROR"
    ),
    Scene(behaviour="success", kind="dub", after=(4, 7), client=STUDIO),
    Scene(behaviour="success", kind="tts", hook="fail-2", after=(3, 6)),
    Scene(behaviour="success", kind="text-to-sound", after=(4, 7)),
    Scene(behaviour="success", kind="story", after=(5, 8)),
)


def plan(tasks: int, rng: random.Random) -> tuple[PlannedTask, ...]:
    """The first `tasks` scenes; past the last, any of them again."""
    scenes = [*SCENES[:tasks], *rng.choices(SCENES, k=max(0, tasks - len(SCENES)))]
    return tuple(scene.task(number, rng) for number, scene in enumerate(scenes, start=1))
