"""The reasons of dead letters: the code of each, its cause, and what an operator or a producer can do about it."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

DeadLetterReason: TypeAlias = Literal[
    "no_route",
    "no_recipient",
    "bad_recipient",
    "too_many_recipients",
    "fanout_too_large",
    "too_many_addresses",
    "not_json",
    "not_an_object",
    "not_utf8",
    "bad_encoding",
    "too_large",
    "tombstone",
    "unstorable_text",
    "refused_by_store",
    "store_timeout",
    "internal",
]


class Explanation(msgspec.Struct, frozen=True):
    """What a reason means: its `cause`, and the `remedy`. Both are sentences in Markdown."""

    cause: str
    remedy: str


REASONS: Final[Mapping[DeadLetterReason, Explanation]] = {
    "no_route": Explanation(
        "No route matches the event's topic or routing key, or those that match it have another `type`.",
        "Add a route for it, then replay the dead letters. If nobody is to be notified, publish the event elsewhere,"
        ' or add a route with `users` whose path is in no payload and `otherwise = "drop"`.',
    ),
    "no_recipient": Explanation(
        "A route has `users` or `sign_out`, and the event has no user at these paths.",
        "Compare the paths with the payload (`herald dead-letters show ID`). If events may name nobody, set"
        " `otherwise`.",
    ),
    "bad_recipient": Explanation(
        "A value at a path of `users` is not a user id: not text or a whole number, longer than 255 characters, or with"
        " characters that can't be displayed. The other users of the event are notified.",
        "Change the path, so that it leads to the id itself and not to an object; or correct the producer.",
    ),
    "too_many_recipients": Explanation(
        "The event names more users than `HERALD_MAX_RECIPIENTS`.",
        "Publish it in several events, use a feed instead of `users`, or raise the setting.",
    ),
    "fanout_too_large": Explanation(
        "The event, stored once for each of its users, has more bytes than `HERALD_MAX_FANOUT_BYTES`.",
        "Name the list of users, and other large fields, in the route's `omit`; or raise the setting.",
    ),
    "too_many_addresses": Explanation(
        "The event has more addresses than `HERALD_MAIL_ADDRESSES`. This route sends none of its mails.",
        "Publish it in several events, or raise the setting.",
    ),
    "not_json": Explanation(
        "The payload is not JSON, or is nested too deeply, and a route needs its fields.",
        'Correct the producer. Only a route with `feed` and `envelope = "raw"` accepts other payloads.',
    ),
    "not_an_object": Explanation(
        "The payload is JSON but not an object, such as a list, and a route needs its fields.",
        'Correct the producer. Only a route with `feed` and `envelope = "raw"` accepts other payloads.',
    ),
    "not_utf8": Explanation(
        "The payload is not UTF-8 text, and declares no other charset.",
        "Correct the producer, or have it declare its charset ([brokers.md](brokers.md)).",
    ),
    "bad_encoding": Explanation(
        "The body does not have the compression or charset that the producer declares in `content_encoding`.",
        "Correct the producer.",
    ),
    "too_large": Explanation(
        "The body has more bytes than `HERALD_MAX_EVENT_BYTES`, as sent or after decompression.",
        "Publish less, such as a link to the data; or raise the setting.",
    ),
    "tombstone": Explanation(
        'The Kafka record has no value, and a route for its topic has `tombstone = "dead-letter"`.',
        "If such records are expected, as in a compacted topic, remove `tombstone` from the route.",
    ),
    "unstorable_text": Explanation(
        "A text can't be stored: it has the character U+0000 or half of a surrogate pair, or the event's id, origin or"
        " type is too long.",
        "Correct the producer. If the field is not needed, name it in the route's `omit`.",
    ),
    "refused_by_store": Explanation(
        "The database refuses the event itself, while it accepts others.",
        "The detail is the database's error. This is probably a fault of Herald: report it.",
    ),
    "store_timeout": Explanation(
        "The database did not store the event in time, several times, while it stored others.",
        "Look for locks and slow disks at the database, then replay the dead letter.",
    ),
    "internal": Explanation(
        "Planning the event failed with an internal error.",
        "The error is in the log, as `event_planning_failed`. This is a fault of Herald: report it.",
    ),
}
