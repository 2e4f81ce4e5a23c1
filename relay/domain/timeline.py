"""Why a registration is where it is, and what comes next: worked out from what is stored, for no poll is logged."""

from relay.domain.chain import Chain, Rule, Step, What
from relay.domain.delivery_steps import (
    add_attempts,
    add_available,
    add_dead,
    add_delivered,
    add_next_try,
    add_queued,
)
from relay.domain.history import History, Notification, Terms
from relay.domain.instants import Instant
from relay.domain.watch_steps import add_next_poll, add_polled, add_registered, add_verdict


def timeline(history: History, terms: Terms) -> tuple[Step, ...]:
    """Begins with the registration; ends with what ended it, or with the one step that is planned next."""
    chain = Chain()
    last = add_polled(chain, history, add_registered(chain, history))
    event, notification, id_ = history.event, history.notification, history.registration.id
    if event is not None:
        last = add_verdict(chain, history, event, terms, last)
        if notification is None:
            add_available(chain, id_, event, last)
        else:
            last = add_queued(chain, id_, notification, last)
            _end(chain, notification, terms, add_attempts(chain, notification, last))
    elif history.closed_at is not None:
        _cancelled(chain, history.closed_at, last)
    else:
        add_next_poll(chain, history, terms, last)
    return chain.steps


def _end(chain: Chain, event: Notification, terms: Terms, last: int) -> None:
    if event.delivered_at is not None:
        add_delivered(chain, event, event.delivered_at, last)
    elif event.dead_reason is not None:
        add_dead(chain, event, event.dead_reason, terms, last)
    elif event.ended_at is not None:
        _cancelled(chain, event.ended_at, last)
    else:
        add_next_try(chain, event, terms, last)


def _cancelled(chain: Chain, at: Instant, last: int) -> None:
    chain.add(What.CANCELLED, at, "taken back on request", because=last, rule=Rule.REQUEST)
