"""Limits and timings of the hub, its stream buffers and its sessions. Operators can set some of them by settings."""

from typing import Annotated

import msgspec

from domain.setting_declarations import Section, Setting
from domain.setting_parsers import seconds, whole


class BufferPolicy(msgspec.Struct, frozen=True):
    """Limits of the stream buffers, and of the chunks in which sessions send entries.

    A chunk consists of the entries that a session sends from one stream before it checks its other streams. Large
    chunks make it cheap to send many entries; small ones do not block the event loop or the client's parser for long.
    """

    max_entries: int = 1024  # in one buffer
    max_bytes: int = 1024 * 1024  # in one buffer
    max_total_bytes: int = 256 * 1024 * 1024  # in all buffers of the process
    max_cached_frames: int = 16  # of one buffer: sessions at one position share frames; slower sessions need others
    max_chunk_entries: int = 64
    max_chunk_bytes: int = 64 * 1024
    max_page_entries: int = 64  # in one read from the store
    forget_after_sweeps: int = 5  # without a session: a client that reconnects earlier finds the buffer still filled


class SessionPolicy(Section, frozen=True):
    """One session: its timings and limits. The text before the colon is the title of a section in docs/settings.md."""

    heartbeat_s: Annotated[
        float,
        Setting("HERALD_HEARTBEAT_SECONDS", seconds, "The interval at which clients are sent heartbeats.", unit="s"),
    ] = 30.0
    first_command_timeout_s: float = 1.0
    store_retry_s: float = 1.0
    # Answers to commands that wait to be sent. More are dropped: a client that sends commands faster than it reads
    # answers will be closed.
    max_pending_answers: int = 32


class HubPolicy(Section, frozen=True):
    """All sessions: limits and timings of the sessions on one node, and of the periodic work of the hub.

    The text before the colon is the title of a section in docs/settings.md. A sweep is one run of the periodic work.
    """

    sessions_per_user: Annotated[
        int,
        Setting(
            "HERALD_MAX_SESSIONS_PER_USER",
            whole(),
            "The maximum number of sessions of one user: on all nodes with REDIS_URL, otherwise on each node.",
        ),
    ] = 100
    anonymous_sessions: Annotated[
        int | None,
        Setting(
            "HERALD_MAX_ANONYMOUS_SESSIONS",
            whole(),
            "The maximum number of sessions without a user on one node; further ones get 503 with `Retry-After`.",
            unset="no limit",
        ),
    ] = None
    sweep_interval_s: float = 1.0
    # Maximum number of sessions or streams handled without a pause: other tasks wait 1 to 2 ms for them.
    max_batch: int = 500

    # The number of sweeps between two comparisons of the followed streams with the store.
    comparison_sweeps: int = 5
    # After an outage of the backplane, this many sweeps compare the streams: another node may reconnect 2 s later.
    comparisons_after_outage: int = 5
    # Sweeps between two reports of all users to the other nodes, where a report expires after 24 h.
    full_report_sweeps: int = 6 * 3600

    # After this many sweeps: a session whose oldest unsent frame has made no progress is closed as too slow; the
    # transport of a closed session is force-closed; an opened session that still has no transport is removed.
    stalled_after_sweeps: int = 30
    force_close_after_sweeps: int = 2
    no_transport_after_sweeps: int = 15

    # The share of a drain's time in which sessions are closed, one after the other; in the rest, the last of them end.
    # The pause between two is limited, because a node with few sessions does not need all of that time.
    drain_closing_share: float = 0.7
    max_drain_pause_s: float = 0.05
    # Clients of a closed session are requested to reconnect after a random time between these, so that they do not
    # arrive at other nodes together.
    reconnect_in_s: tuple[float, float] = (0.2, 3.0)

    # After routes were reloaded, new sessions take the place of old ones at this interval on average: each of them
    # reads its positions from the store.
    reopening_s: float = 0.0005

    buffers: BufferPolicy = BufferPolicy()
    session: SessionPolicy = SessionPolicy()
