"""Metrics of events: what was consumed, and what became of it."""

from typing import Final

from adapters.telemetry.metric_declarations import Alert, Label, Metric, Section, by_label, single
from application.ingest.count_events import DEFAULT as TYPES
from application.ingest.note_duplicates import DEFAULT as DUPLICATES
from application.operations.report_backlog import DEFAULT as BACKLOG
from domain.dead_letter_reasons import REASONS

_BROKER: Final = Label("broker", "the brokers of the loaded profiles, and `memory` for events published over HTTP")

EVENTS: Final = Section(
    "Events",
    (
        Metric(
            "herald_events_in",
            "counter",
            "events",
            "Events that were consumed from a broker or published over HTTP, and stored.",
            lambda now: by_label(now.counters.events_in),
            (_BROKER,),
        ),
        Metric(
            "herald_events",
            "counter",
            "events",
            "Events that were consumed, by what became of them. The sum is that of `herald_events_in_total` without"
            " `herald_events_unwanted_total`.",
            lambda now: list(now.counters.events.items()),
            (
                Label(
                    "source",
                    "the topic or routing key as the first of its routes names it, which may be a pattern such as"
                    " `order.*`; `other` if no route does",
                ),
                Label(
                    "type",
                    f"the event's type, empty if it has none; `other` after {TYPES.max_types} types of a source, and"
                    f" for types of more than {TYPES.max_length} characters",
                ),
                Label(
                    "result",
                    "`planned` (all matching routes could process it), `duplicate`, `dead_letter`, or the reason of"
                    " `herald_events_ignored_total`",
                ),
            ),
        ),
        Metric(
            "herald_events_planned",
            "counter",
            "events",
            "Events that every matching route could process. Duplicates are included.",
            lambda now: single(now.counters.planned),
        ),
        Metric(
            "herald_entries_stored",
            "counter",
            "entries",
            "Notifications and broadcasts that were stored.",
            lambda now: single(now.counters.stored),
        ),
        Metric(
            "herald_dead_letters",
            "counter",
            "events",
            "Events that could not be processed and became dead letters.",
            lambda now: by_label(now.counters.dead_letters),
            (Label("reason", f"the {len(REASONS)} codes in [routes.md](routes.md#dead-letters)"),),
        ),
        Metric(
            "herald_dead_letters_stored",
            "gauge",
            "events",
            f"Dead letters that are stored now, at most {BACKLOG.limit:,}. Read from the database at most every"
            f" {BACKLOG.max_age_s:g} s; every node reports the same number. Absent while the database is unavailable.",
            lambda now: single(now.waiting.dead_letters) if now.waiting is not None else (),
            alerts=(
                Alert(
                    "HeraldDeadLetters",
                    "max(herald_dead_letters_stored) > 0",
                    0,
                    "Events became dead letters. `herald dead-letters list` shows them with their reasons. Correct the"
                    " route or the producer, then replay or drop them: the alert ends when none is left.",
                ),
                Alert(
                    "HeraldDatabaseUnavailable",
                    "absent(herald_dead_letters_stored)",
                    5,
                    "No node could read the database, or Prometheus reads no node.",
                ),
            ),
        ),
        Metric(
            "herald_events_ignored",
            "counter",
            "events",
            "Events that lead to nothing and were not stored.",
            lambda now: by_label(now.counters.ignored),
            (
                Label(
                    "reason",
                    "`tombstone` (a Kafka record without a value), `filtered` (no route has its conditions fulfilled),"
                    " `excluded` (routes exclude everybody it is for)",
                ),
            ),
        ),
        Metric(
            "herald_refused_urls",
            "counter",
            "URLs",
            "URLs of notifications that were left out because they are not allowed.",
            lambda now: by_label(now.counters.refused_urls),
            (Label("route", "`<profile>/<number>` of the route that makes the URL"),),
        ),
        Metric(
            "herald_events_unwanted",
            "counter",
            "events",
            "Events that a RabbitMQ queue delivered although their route was removed.",
            lambda now: by_label(now.counters.unwanted),
            (Label("key", "the binding keys of removed routes, until their bindings are removed after 24 h"),),
        ),
        Metric(
            "herald_duplicates",
            "counter",
            "events",
            "Events that brought nothing new, because an event with the same identity was stored before.",
            lambda now: single(now.counters.duplicates),
        ),
        Metric(
            "herald_duplicate_events",
            "counter",
            "events",
            "The same events as in `herald_duplicates_total`, by source and route.",
            lambda now: list(now.counters.duplicates_by_route.items()),
            (
                Label(
                    "source",
                    f"topics and routing keys; after {DUPLICATES.max_sources:,} pairs of source and route, `other`",
                ),
                Label("route", "`<profile>/<number>` of the route; empty for events without one"),
            ),
        ),
        Metric(
            "herald_acknowledge_failures",
            "counter",
            "batches",
            "Batches of events that were stored, but could not be acknowledged to the broker. The broker delivers them"
            " again, and they are counted as duplicates.",
            lambda now: single(now.counters.acknowledge_failures),
        ),
        Metric(
            "herald_source_ready",
            "gauge",
            "0 or 1",
            "1 if events are being consumed from the broker, otherwise 0.",
            lambda now: [((source.name,), float(source.ready)) for source in now.sources],
            (_BROKER,),
            (
                Alert(
                    "HeraldSourceNotReady",
                    "min by (instance, broker) (herald_source_ready) == 0",
                    5,
                    "A node consumes no events from this broker. `/health` of the node has the reason.",
                ),
            ),
        ),
        Metric(
            "herald_source_lag",
            "gauge",
            "events",
            "Events that wait at the broker, on Kafka in the partitions that this node reads. Absent while the number"
            " is unknown, and for RabbitMQ, which reports the length of its queue itself.",
            lambda now: [((source.name,), source.lag) for source in now.sources if source.lag is not None],
            (_BROKER,),
            (
                Alert(
                    "HeraldLag",
                    "sum by (broker) (herald_source_lag) > 10000",
                    10,
                    "Events are published faster than they are stored, or cannot be stored. Check the database, and"
                    " `/health` of the nodes. 10,000 is an example: choose what your brokers may hold.",
                ),
            ),
        ),
    ),
)
