"""Timeouts and intervals of the Kafka adapter."""

import msgspec

from domain.backoff import Backoff


class Timing(msgspec.Struct, frozen=True):
    """All in seconds. Not settings of operators; tests shorten them."""

    # Between attempts to connect.
    reconnect: Backoff = Backoff(initial_s=0.2, max_s=15.0)
    # Interval of metadata refreshes. A new topic or partition must be read within 15 s: up to this interval until it is
    # discovered, up to a heartbeat (3 s) until the other members know of the rebalance, and the join.
    metadata_age: float = 5.0
    # A member without heartbeats for this long loses its partitions to the others.
    session: float = 10.0
    # The broker waits this long for all members to rejoin, and removes those that do not. More than twice `grace`, but
    # short, since all members wait for one that has died.
    rejoin_by: float = 6.0
    # A member that polls less often leaves the group by itself.
    max_poll_interval: float = 300.0
    # Maximum wait of one poll for records; also the maximum delay until a pause takes effect.
    poll: float = 0.5
    # If ingest is slower than this, the partitions are paused, and empty polls continue. Not immediately: a pause
    # discards prefetched records.
    patience: float = 5.0
    # When partitions are revoked: for storing the batch in progress, and as long again for committing it.
    grace: float = 2.0
    # For determining and committing the positions of new partitions. Well below `session`: no heartbeat is sent
    # meanwhile.
    settle: float = 5.0
    # For one commit, including aiokafka's retries.
    commit: float = 10.0
    # Interval between two probes of the broker, and timeout of each: a dead broker is noticed within twice this time.
    # Longer than the 0.5 s by which the broker delays an empty fetch response, since a probe queues behind the fetch.
    probe: float = 3.0
    # Between two comparisons of the logs' first records. Longer than `probe`: the broker reads them from disk.
    comparison: float = 10.0
    # Reconnect after this long without a response: the broker has removed the member by then (`session`).
    silence: float = 20.0
    # A member without an assignment, even an empty one, for this long is stuck. Enough for several consecutive
    # rebalances.
    unassigned: float = 40.0
    # A consumer that has fetched nothing for this long while the broker has records is stuck.
    stall: float = 30.0
    # For connecting and reading the cluster's metadata.
    connect: float = 15.0
    # For the last commit, and as long again for leaving the group; then the connections are closed.
    leave: float = 2.0
