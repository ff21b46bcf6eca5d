"""The rules of deliveries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.deliveries import MAX_SUBJECT_LENGTH, subject_line


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
def test_no_subject_can_start_another_header(text: str) -> None:
    line = subject_line(text)
    assert line.replace("\u200c", "").replace("\u200d", "").isprintable()
    assert len(line) <= MAX_SUBJECT_LENGTH
    assert subject_line(line) == line
