"""A byte order mark at the beginning of a file is ignored in every kind of file."""

import codecs
from pathlib import Path

import pytest

from adapters.mail.jinja_rendering import fault_in_templates
from adapters.path_setting_parsers import pem
from domain.events import read_event
from entrypoints.cli.publish import as_event
from entrypoints.profiles.loader import read_file
from tests.support.core import ROUTES, message

BOM = codecs.BOM_UTF8


def test_a_routes_file_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_bytes(BOM + ROUTES.encode())
    assert read_file(str(file)).profile == "trading"


def test_a_key_file_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(BOM + b"-----BEGIN PUBLIC KEY-----")
    assert pem(str(file)).startswith("-----BEGIN")


def test_a_template_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    for name in ("order.html", "order.txt"):
        (tmp_path / name).write_bytes(BOM + b"{% include 'base.html' %}")
    assert fault_in_templates(str(tmp_path), "order.html") is None


def test_an_event_may_start_with_a_byte_order_mark() -> None:
    event = read_event(message("direct", BOM + b'{"to":"ada"}'))
    assert (event.payload, event.text) == ({"to": "ada"}, '{"to":"ada"}')
    assert as_event(BOM + b' {"n":1.50}', "direct") == b'{"source":"direct","payload":{"n":1.50}}'


@pytest.mark.parametrize("body", [b'{"a":"\xef\xbb\xbf"}'])
def test_a_byte_order_mark_elsewhere_is_a_character(body: bytes) -> None:
    assert read_event(message("direct", body)).payload == {"a": "\ufeff"}
