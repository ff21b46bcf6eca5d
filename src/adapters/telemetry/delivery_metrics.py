"""Metrics of deliveries through outbound channels, such as e-mail."""

from collections.abc import Iterator
from typing import Final

from adapters.telemetry.declarations import Alert, Label, Metric, Readings, Sample, Section, by_label

_CHANNEL: Final = Label("channel", "the outbound channels; shipped is `email`")
_RESULTS: Final = (
    "`sent`; `refused` (failed for good); `deferred` (to be retried); `server` (the peer was unavailable); `held`;"
    " `skipped`; `left_to_others` (this node lacks the template)"
)


def _attempts(now: Readings) -> Iterator[Sample]:
    for channel, results in now.counters.attempts.items():
        for result, count in results.items():
            yield (channel, result), count


DELIVERIES: Final = Section(
    "Deliveries",
    (
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
