"""Metrics of a node: its identity, its messages to other nodes, and its use of the database."""

from typing import Final

from adapters.telemetry.metric_declarations import Alert, Label, Metric, Section, by_label, single

NODE: Final = Section(
    "Node, other nodes and database",
    (
        Metric(
            "herald_node",
            "info",
            "always 1",
            "Identifies the node by its labels.",
            lambda now: [(tuple(now.about.values()), 1)],
            (
                Label("node", "`HERALD_NODE`"),
                Label("service", "`SERVICE_NAME`"),
                Label("version", "the version of Herald"),
            ),
        ),
        Metric(
            "herald_routes_reloads",
            "counter",
            "reloads",
            "Reloads of the routes of a running node. After one that was not `reloaded`, the node continues with the"
            " routes that it had; the log has the reasons.",
            lambda now: by_label(now.counters.reloads),
            (Label("result", "`reloaded`, `refused`, `failed`"),),
        ),
        Metric(
            "herald_backplane_messages",
            "counter",
            "messages",
            "Messages between nodes through Redis.",
            lambda now: by_label(now.counters.backplane),
            (Label("direction", "`published`, `received`"),),
        ),
        Metric(
            "herald_publish_failures",
            "counter",
            "batches",
            "Batches of stored entries that could not be published to the other nodes. Those find the entries in the"
            " database some seconds later.",
            lambda now: single(now.counters.publish_failures),
            alerts=(
                Alert(
                    "HeraldBackplaneUnavailable",
                    "sum(increase(herald_publish_failures_total[5m])) > 0",
                    5,
                    "Redis is unavailable: clients of other nodes receive entries seconds late.",
                ),
            ),
        ),
        Metric(
            "herald_streams_healed",
            "counter",
            "streams",
            "Streams that were behind the database, because a message between nodes was lost, and were resynchronised.",
            lambda now: single(now.counters.healed),
        ),
        Metric(
            "herald_pruned",
            "counter",
            "rows",
            "Rows that were deleted because of their age or number.",
            lambda now: by_label(now.counters.pruned),
            (Label("kind", "`notification`, `broadcast`, `dead_letter`, `delivery`"),),
        ),
        Metric(
            "herald_store_read_seconds",
            "histogram",
            "seconds",
            "Duration of reads from the database, including failed ones and the wait for a connection.",
            lambda now: now.counters.store_read,
        ),
        Metric(
            "herald_store_write_seconds",
            "histogram",
            "seconds",
            "Duration of write transactions of the database, including failed ones and retries.",
            lambda now: now.counters.store_write,
            alerts=(
                Alert(
                    "HeraldDatabaseSlow",
                    "histogram_quantile(0.95, sum by (le) (rate(herald_store_write_seconds_bucket[5m]))) > 0.5",
                    10,
                    "One transaction in twenty takes longer than 0.5 s: the database is overloaded or waits for locks.",
                ),
            ),
        ),
    ),
)
