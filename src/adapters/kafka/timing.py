"""How long the Kafka adapter waits, and for what."""

import msgspec


class Timing(msgspec.Struct, frozen=True):
    """All in seconds. Not for operators: tests shorten what they would have to sit through."""

    # A topic or partition that appears is to be read within 15 s: up to this to hear of it, up to a heartbeat (3 s)
    # until the other members hear of the rebalance, and the join.
    metadata_age: float = 5.0
    # A member that is not heard of for so long loses its partitions to the others.
    session: float = 10.0
    # The broker waits so long for all members to rejoin, and drops the others: more than twice `grace`, and short,
    # since everyone waits for one that died meanwhile.
    rejoin_by: float = 6.0
    # A member that polls less often leaves the group by itself.
    max_poll_interval: float = 300.0
    # How long one poll waits for records; also how soon a pause is noticed.
    poll: float = 0.5
    # A taker that is slower than this makes the partitions pause, and polls go on that bring nothing. Not at once: a
    # pause throws away what was fetched ahead.
    patience: float = 5.0
    # For the batch in work when partitions are revoked, to be stored; and as long again to be committed.
    grace: float = 2.0
    # For finding and committing the positions of new partitions. No heartbeat is sent meanwhile: well under `session`.
    settle: float = 5.0
    # For one commit, aiokafka's repeats included.
    commit: float = 10.0
    # Between two questions to the broker, and for its answer: a broker that dies is noticed within their sum. More
    # than the 0.5 s for which a fetch is held back when there is nothing, since the question waits behind it.
    probe: float = 3.0
    # Between two comparisons of the logs' first records. Less often than `probe`: the broker looks them up on disk.
    comparison: float = 10.0
    # A broker that has said nothing for this long has dropped the member anyway (`session`): connect anew.
    silence: float = 20.0
    # A member that by then was not told its partitions, if only that there are none, is stuck: it is time enough for
    # several rebalances in a row.
    unassigned: float = 40.0
    # Records wait at the broker, and not one was fetched for so long: stuck.
    stall: float = 30.0
    # For connecting and reading the cluster's metadata.
    connect: float = 15.0
    # For the last commit, and as long again for leaving the group; then the connections are cut.
    leave: float = 2.0
