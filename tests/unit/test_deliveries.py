"""The rules of deliveries."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.deliveries import (
    LONGEST_DELAY,
    LONGEST_SUBJECT,
    Addressee,
    Mail,
    delay_after,
    first_status,
    subject_line,
)
from domain.preferences import DEFAULT, Preferences

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def addressee(address: str = "kim@example.com", *, subject: str | None = "Hello", user: str | None = None) -> Addressee:
    return Addressee(Mail("o", "e", "s", "news", "p", "{}", NOW, subject, "t.html", user), address)


def test_a_sound_mail_is_to_be_sent() -> None:
    assert first_status(addressee(), DEFAULT) == ("pending", None)
    assert addressee().fault is None


def test_what_is_wrong_with_it_is_said_before_anything_is_sent() -> None:
    assert first_status(addressee(""), DEFAULT) == ("skipped", "no_address")
    status, why = first_status(addressee("kim"), DEFAULT)
    assert (status, why) == (
        "failed",
        "no mail can be sent to 'kim': it has no name before an @, or no domain behind it",
    )
    assert first_status(addressee(subject=None), DEFAULT) == ("failed", "the event lacks what the subject is made of")


def test_wishes_bind_where_the_route_names_whose_they_are() -> None:
    none, muted = Preferences(email_notifications=False), Preferences(muted_types=("news",))
    assert first_status(addressee(user="kim"), none) == ("skipped", "kim wants no e-mail")
    assert first_status(addressee(user="kim"), muted) == ("skipped", "kim has muted news")
    assert first_status(addressee(user="kim"), Preferences(websocket_notifications=False))[0] == "pending"
    assert first_status(addressee(), none)[0] == "pending"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Order 7", "Order 7"),
        ("a\r\nBcc: victim@example.com", "a Bcc: victim@example.com"),
        ("  a\t\u2028 b\x0b\x85c\0 ", "a b c"),
        ("Grüße 🎁", "Grüße 🎁"),
        ("می\u200cخواهم 👩\u200d🚀", "می\u200cخواهم 👩\u200d🚀"),
        ("", ""),
    ],
)
def test_a_subject_is_one_line(text: str, line: str) -> None:
    assert subject_line(text) == line


@given(st.text(max_size=600))
def test_whatever_a_subject_is_made_of_it_begins_no_other_header(text: str) -> None:
    line = subject_line(text)
    assert line.replace("\u200c", "").replace("\u200d", "").isprintable()
    assert len(line) <= LONGEST_SUBJECT
    assert subject_line(line) == line


def test_attempts_are_twice_as_far_apart_each_time() -> None:
    assert [delay_after(strikes, 10, 1) for strikes in range(1, 6)] == [10, 20, 40, 80, 160]
    assert [delay_after(strikes, 10, 0) for strikes in range(1, 4)] == [5, 10, 20]
    assert delay_after(1_000_000, 10, 1) == LONGEST_DELAY
    assert delay_after(1, 100_000, 1) == LONGEST_DELAY
