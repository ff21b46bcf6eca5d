"""Metrics of deliveries through outbound channels, such as e-mail."""

from collections.abc import Iterator
from typing import Final

from adapters.telemetry.metric_declarations import Alert, Label, Metric, Readings, Sample, Section, by_label
from application.operations.report_backlog import DEFAULT as BACKLOG

_CHANNEL: Final = Label("channel", "the outbound channels; shipped is `email`")
_FOR_ALL_NODES: Final = (
    f"Read from the database at most every {BACKLOG.max_age_s:g} s; every node reports the same number. Absent while"
    " the database is unavailable."
)
_RESULTS: Final = (
    "`sent`; `refused` (failed for good); `deferred` (to be retried); `server` (the peer was unavailable); `held`;"
    " `skipped`; `left_to_others` (this node lacks the template)"
)


def _pending(now: Readings) -> Iterator[Sample]:
    if now.waiting is not None:
        for channel, pending in now.waiting.deliveries.items():
            yield (channel,), pending.count


def _oldest_ages(now: Readings) -> Iterator[Sample]:
    if now.waiting is not None:
        for channel, pending in now.waiting.deliveries.items():
            yield (channel,), pending.oldest_age_s


def _attempts(now: Readings) -> Iterator[Sample]:
    for channel, results in now.counters.attempts.items():
        for result, count in results.items():
            yield (channel, result), count


DELIVERIES: Final = Section(
    "Deliveries",
    (
        Metric(
            "herald_deliveries_pending",
            "gauge",
            "deliveries",
            f"Deliveries that are stored and not sent yet, at most {BACKLOG.limit:,}. {_FOR_ALL_NODES}",
            _pending,
            (_CHANNEL,),
        ),
        Metric(
            "herald_deliveries_pending_age_seconds",
            "gauge",
            "seconds",
            "Age of the oldest pending delivery that is due, is being sent, or waits to be tried again; 0 if there is"
            f" none. Deliveries that are held until later are not included. {_FOR_ALL_NODES}",
            _oldest_ages,
            (_CHANNEL,),
            (
                Alert(
                    "HeraldDeliveriesLate",
                    "max by (channel) (herald_deliveries_pending_age_seconds) > 900",
                    5,
                    "A delivery has waited for more than 15 min. `/health` names the peer if it is unavailable;"
                    " `herald deliveries list --status pending` shows the reason of each delivery.",
                ),
            ),
        ),
        Metric(
            "herald_deliveries",
            "counter",
            "deliveries",
            "Deliveries that were created, by their first status.",
            lambda now: by_label(now.counters.deliveries),
            (Label("status", "`pending`, `skipped`, `failed`"),),
        ),
        Metric(
            "herald_delivery_attempts",
            "counter",
            "attempts",
            "Attempts to send a delivery, and decisions not to send one now.",
            _attempts,
            (_CHANNEL, Label("result", _RESULTS)),
            (
                Alert(
                    "HeraldDeliveriesRefused",
                    'sum by (channel) (increase(herald_delivery_attempts_total{result="refused"}[1h])) > 10',
                    0,
                    "Deliveries failed for good. `herald deliveries list --status failed` shows them with the replies"
                    " of the peer. 10 in an hour is an example: some addresses are always wrong.",
                ),
            ),
        ),
        Metric(
            "herald_mail_attempts",
            "counter",
            "attempts",
            'The same as `herald_delivery_attempts_total{channel="email"}`, under its older name.',
            lambda now: by_label(now.counters.mails),
            (Label("result", "as of `herald_delivery_attempts_total`"),),
        ),
    ),
)
