"""Limits of a single event, which protect other events, users and the store from a very large one."""

from typing import Annotated, Final

from domain.setting_declarations import Section, Setting
from domain.setting_parsers import whole


class Limits(Section, frozen=True):
    """Limits of one event: the size of its body, the number of destinations in each outbound channel, the number of
    users that it notifies or signs out, and the number of bytes that it stores for all these users together. If an
    event exceeds a limit, it is stored as a dead letter. 0 means no limit, except for `addresses`.
    """

    event_bytes: Annotated[
        int,
        Setting(
            "HERALD_MAX_EVENT_BYTES",
            whole(),
            "The maximum size of an event's body. A larger event becomes a dead letter.",
            "1048576",
            unit="bytes",
        ),
    ] = 0
    addresses: Annotated[
        int,
        Setting(
            "HERALD_MAIL_ADDRESSES",
            whole(10_000),
            "The maximum number of addresses to which one event sends mails. An event with more becomes a dead letter.",
        ),
    ] = 100
    recipients: Annotated[
        int,
        Setting(
            "HERALD_MAX_RECIPIENTS",
            whole(10_000_000),
            "The maximum number of users that one event is for. An event with more becomes a dead letter.",
            "100000",
        ),
    ] = 0
    fanout_bytes: Annotated[
        int,
        Setting(
            "HERALD_MAX_FANOUT_BYTES",
            whole(),
            "The maximum number of bytes that one event stores for all of its users together. An event with more"
            " becomes"
            " a dead letter. To store less, name the list of users in the route's `omit`: it is then not stored for"
            " each user.",
            "268435456",
            unit="bytes",
        ),
    ] = 0


NO_LIMITS: Final = Limits()
