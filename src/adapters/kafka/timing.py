"""Timeouts and intervals of the Kafka adapter."""

import msgspec

from domain.backoff import Backoff


class Timing(msgspec.Struct, frozen=True):
    """Timeouts and intervals of the Kafka adapter, in seconds. Operators can't set them; tests shorten them."""

    # Delay between attempts to connect.
    reconnect: Backoff = Backoff(initial_s=0.2, max_s=15.0)
    # Interval of metadata refreshes. A new topic or partition must be read within 15 s: this interval for discovering
    # it, a heartbeat (3 s) until the other members learn of the rebalance, and the join itself.
    metadata_age: float = 5.0
    # A member without heartbeats for this long loses its partitions to the others.
    session: float = 10.0
    # In a rebalance, the broker waits this long for all members to rejoin, and removes those that do not. Must be more
    # than twice `grace`. Short, because all members wait until a dead one is removed.
    rejoin_by: float = 6.0
    # A member that does not poll for this long leaves the group by itself.
    max_poll_interval: float = 300.0
    # Maximum wait of one poll for records; also the maximum delay until a pause takes effect.
    poll: float = 0.5
    # If a batch waits longer than this for ingest, the partitions are paused, and polls (which then return nothing)
    # continue. They are not paused earlier, because pausing discards prefetched records.
    patience: float = 5.0
    # When partitions are revoked: timeout for storing the batch in progress, and again for committing it.
    grace: float = 2.0
    # Timeout for determining and committing the positions of new partitions. Well below `session`, because no heartbeat
    # is sent meanwhile.
    settle: float = 5.0
    # Timeout of one commit, including aiokafka's retries.
    commit: float = 10.0
    # Interval between two probes of the broker, and timeout of each: a dead broker is noticed within twice this time.
    # Longer than the 0.5 s by which the broker delays an empty fetch response, since a probe queues behind the fetch.
    probe: float = 3.0
    # Interval between two comparisons of first records (see Recreation). Longer than `probe`, because the broker reads
    # them from disk.
    comparison: float = 10.0
    # Reconnect after this long without a response: the broker has removed the member by then (`session`).
    silence: float = 20.0
    # A member without an assignment, even an empty one, for this long is stuck. Enough for several consecutive
    # rebalances.
    unassigned: float = 40.0
    # A consumer that has fetched nothing for this long while the broker has records is stuck.
    stall: float = 30.0
    # Timeout for connecting and reading the cluster's metadata.
    connect: float = 15.0
    # Timeout for the last commit, and again for leaving the group. Then the connections are closed.
    leave: float = 2.0
