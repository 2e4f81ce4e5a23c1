"""Settings as the values that services work by."""

from datetime import timedelta

from relay.domain.addresses import AllowHttp, NetworkPolicy, parse_networks
from relay.domain.deliveries import RetryPolicy
from relay.domain.hosts import parse_hosts
from relay.domain.instants import Span, span_of
from relay.domain.kinds import KINDS
from relay.domain.lanes import Budget, SlotPolicy
from relay.domain.pacing import Pace
from relay.domain.watching import LostRule
from relay.services.deliver import DeliveryPolicy
from relay.services.poll import PollPolicy
from relay.settings import Settings
from relay.storage.queue import DELIVERIES, TASKS, Queue


def network_policy(settings: Settings) -> NetworkPolicy:
    return NetworkPolicy(
        allow_networks=parse_networks(settings.callbacks.allow_networks),
        allow_hosts=parse_hosts(settings.callbacks.allow_hosts),
        deny_hosts=parse_hosts(settings.callbacks.deny_hosts),
        allow_http=AllowHttp(settings.callbacks.allow_http),
    )


def poll_policy(settings: Settings) -> PollPolicy:
    camb, polling = settings.camb, settings.polling
    return PollPolicy(
        paces=_paces(settings),
        budget=Budget(rate=camb.rate_per_second, burst=max(1, round(camb.rate_per_second))),
        deadline=span_of(camb.deadline),
        concurrency=polling.concurrency,
        concurrency_per_key=camb.concurrency,
        quantum=polling.quantum,
    )


def delivery_policy(settings: Settings) -> DeliveryPolicy:
    delivery = settings.delivery
    return DeliveryPolicy(
        retry=retry_policy(settings),
        deadline=span_of(delivery.deadline),
        concurrency=delivery.concurrency,
        concurrency_per_origin=delivery.concurrency_per_origin,
        quantum=delivery.quantum,
    )


def lost_rule(settings: Settings) -> LostRule:
    return LostRule(answers=settings.polling.lost_answers, grace=span_of(settings.polling.lost_grace))


def _paces(settings: Settings) -> dict[str, Pace]:
    polling = settings.polling
    return {
        kind: Pace(
            minimum=span_of(polling.min_pace),
            maximum=span_of(polling.slow_max_pace if kind in polling.slow_kinds else polling.max_pace),
            growth=polling.growth,
            jitter=polling.jitter,
        )
        for kind in KINDS
    }


def retry_policy(settings: Settings) -> RetryPolicy:
    delivery = settings.delivery
    return RetryPolicy(
        schedule=tuple(span_of(wait) for wait in delivery.retry_schedule),
        jitter=delivery.jitter,
        retry_after_ceiling=span_of(delivery.retry_after_ceiling),
        pause_without_retry_after=span_of(delivery.pause_without_retry_after),
    )


def slot_policy(settings: Settings) -> SlotPolicy:
    delivery = settings.delivery
    return SlotPolicy(
        most=delivery.concurrency_per_origin,
        first_pause=span_of(delivery.pause_without_retry_after),
        longest_pause=span_of(delivery.longest_pause),
        patience=retry_policy(settings).patience,
    )


def longest_waits(settings: Settings) -> dict[Queue, Span]:
    """What waits for longer was written by a clock that ran ahead."""
    delivery, polling = settings.delivery, settings.polling
    leases = settings.camb.deadline + timedelta(minutes=1)
    retry = max(*delivery.retry_schedule, delivery.retry_after_ceiling) * (1 + delivery.jitter)
    pace = max(polling.max_pace, polling.slow_max_pace) * (1 + polling.jitter) + leases
    return {TASKS: span_of(pace), DELIVERIES: span_of(retry)}
