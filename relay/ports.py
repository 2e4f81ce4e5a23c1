"""What each port of a process serves."""

from starlette.applications import Starlette
from starlette.routing import Route

from relay.api.application import application
from relay.api.events import Events
from relay.api.health import Health
from relay.api.keys import Keys
from relay.api.origins import Origins
from relay.api.registrations import Registrations
from relay.api.replays import Replays
from relay.api.requests import Callers
from relay.api.routes import operations_routes, public_routes
from relay.api.trials import Trials
from relay.app import Relay
from relay.console.routes import Services, console_routes
from relay.console.sessions import Sessions
from relay.domain.instants import span_of


def create_app(relay: Relay) -> Starlette:
    """What the public port serves: a worker alone has nothing but its health there."""
    routes = [] if relay.settings.server.operations_port is not None else operations_routes(_health(relay))
    if relay.settings.role != "worker":
        routes += _offered(relay)
    return application(routes, relay.new_request_id)


def _offered(relay: Relay) -> list[Route]:
    settings, operators = relay.settings, relay.settings.operator_digests()
    callers = Callers(relay.clients, operators)
    trials = Trials(callers, relay.delivering, relay.guard)
    slots = settings.delivery.concurrency_per_origin
    routes = public_routes(
        Registrations(callers, relay.registering, relay.reading),
        Events(callers, relay.pulling, relay.notifier),
        Origins(callers, relay.reading, slots=slots),
        Replays(callers, relay.replay_control),
        trials,
        Keys(callers, relay.clients),
        tracer=relay.traces.tracer,
    )
    if settings.console.enabled:
        services = Services(
            reading=relay.reading,
            registering=relay.registering,
            trials=trials,
            replays=relay.replay_control,
            surveying=relay.surveying,
            slots=slots,
        )
        routes += console_routes(services, Sessions(relay.clients, operators, relay.clock), relay.clock)
    return routes


def create_operations_app(relay: Relay) -> Starlette:
    """What `server.operations_port` serves."""
    return application(operations_routes(_health(relay)), relay.new_request_id)


def _health(relay: Relay) -> Health:
    tick = span_of(relay.settings.polling.tick)
    return Health(relay.database, relay.works, relay.metrics, relay.clock, lambda: relay.draining, tick=tick)
