"""Every scan of text from outside takes linear time, and none blocks the event loop for more than 50 ms of CPU time."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from domain.caller_errors import HeraldError
from domain.email_addresses import as_address, fault_in_address, masked_in
from domain.event_limits import Limits
from domain.events import decode_json
from domain.nesting_limit import too_deep
from domain.notifications import read_page_cursor
from domain.payload_paths import fault_in_path, steps_of
from domain.planning import plan
from domain.positions import read_cursor
from domain.protocol.commands import read_command
from domain.protocol.herald_v1 import sse_block
from domain.protocol.plain_envelopes import data_text
from domain.safe_text import one_line
from domain.setting_declarations import masked
from domain.source_patterns import as_regex
from domain.streams import Content
from domain.text_templates import fill, validate_template
from domain.verbatim_fields import VerbatimFields
from herald_client.addresses import without_secrets
from tests.security.scans import SHAPES, assert_linear, closed, cpu_ms, garbage_as_in_a_server, hostile
from tests.support.core import NOW, message, table

ROUTES: Final = table(
    """
profile = "trading"
[feeds.news]
access = "public"
[[routes]]
source = "direct"
users = ["to"]
inbox = { title = "{title}", message = "{title} {to|x|mail}" }
email = { to = "mail", subject = "{title} of {x}", template = "order.html" }
[[routes]]
source = "direct"
feed = "news"
envelope = "flat"
omit = ["to"]
[[routes]]
source = "raw"
feed = "news"
envelope = "raw"
[[routes]]
source = "conditional"
when = { "to" = ["ada", 9, true], "to[][]" = { present = true } }
users = ["to"]
exclude = ["x[]", "data.x[].title"]
[[routes]]
source = "conditional"
when = { "x[].a.b.c.d" = { min = 1 }, "data.x[][]" = { present = false } }
users = ["x[].title", "to[]"]
exclude = ["to", "mail"]
email = { to = "mail", subject = "{title}", template = "order.html" }
"""
)

# The default of HERALD_MAX_EVENT_BYTES, and the size limit of a frame.
EVENT: Final = 1_048_576
FRAME: Final = 64 * 1024
PARAMETER: Final = 64 * 1024

BUDGET_MS: Final = 50.0


@pytest.fixture(autouse=True, scope="module")
def _garbage() -> Iterator[None]:
    with garbage_as_in_a_server():
        yield


def content(body: str) -> Content:
    return Content("news", "e", "raw", "raw", "trading", "raw", body, NOW)


def refusing(act: Callable[[str], Any]) -> Callable[[str], Any]:
    def refuse(text: str) -> None:
        with contextlib.suppress(HeraldError, ValueError):
            act(text)

    return refuse


# Functions that read JSON or text of events, and functions that read short text.
EVENTS: Final[dict[str, Callable[[str], Any]]] = {
    "too_deep": too_deep,
    "data_text": lambda text: data_text(content(text)),
    "sse_block": sse_block,
    "one_line": lambda text: one_line(text, 255),
    "address": lambda text: fault_in_address(as_address(text)),
}
PLANS: Final[dict[str, Callable[[str], Any]]] = {
    "plan": lambda text: plan(message("direct", text), ROUTES, Limits(EVENT)),
    "plan by conditions": lambda text: plan(message("conditional", text), ROUTES, Limits(EVENT)),
    "plan of raw": lambda text: plan(message("raw", text), ROUTES, Limits(EVENT)),
    "decode_json": decode_json,
}
COMMANDS: Final[dict[str, Callable[[str], Any]]] = {"read_command": refusing(read_command)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("read", [*EVENTS, *PLANS, *COMMANDS])
def test_reading_text_takes_linear_time(read: str, shape: str) -> None:
    act = (EVENTS | PLANS | COMMANDS)[read]
    for make in (hostile, closed):
        assert_linear(act, lambda size, make=make: make(shape, size), 20_000)


@pytest.mark.parametrize("path", ["to[].id", "to[].a[].id", "to[]"])
def test_conditions_and_exclusions_of_many_elements_take_linear_time(path: str) -> None:
    routes = table(f"""
profile = "p"
[[routes]]
source = "t"
when = {{ "{path}" = [{", ".join(map(str, range(1000)))}] }}
users = ["{path}"]
exclude = ["by[].id", "by[]"]
""")

    def event(elements: int) -> str:
        people = ",".join(f'{{"id":"u{number}","a":[{{"id":{number}}},[]]}}' for number in range(elements))
        return f'{{"to":[{people},999],"by":[{people}]}}'

    assert_linear(lambda text: plan(message("t", text), routes, Limits(EVENT * 100)), event, 5_000)


@pytest.mark.parametrize(
    ("read", "begin", "pattern"),
    [
        (re.compile(as_regex("#.a.#.b.#.c")).match, "", "a."),
        (re.compile(as_regex("#.#.*.#.a")).match, "", "a."),
        (refusing(lambda text: read_page_cursor("ada", text)), "p1.", "0"),
        (read_cursor, "1.a..", "a:1,"),
        (masked, "", "://a:"),
        (masked, "", "?passpass"),
        (masked, "?", "pass"),
        (masked, "", "?"),
        (without_secrets, "http://", "//"),
        (validate_template, "", "{a"),
        (validate_template, "{", "a."),
        (lambda text: fill(text, VerbatimFields({"a": 1.5}, '{"a":1.5}')), "", "{a"),
        (lambda text: masked_in(text, "a@b.c"), "", "a@"),
        (steps_of, "", "[]"),
        (steps_of, "", "[]a."),
        (fault_in_path, "", "a[]."),
        (lambda text: masked_in(text, "aaaaaaaaaaaaaaaaaaaa@b.c"), "", "a"),
    ],
)
def test_regular_expressions_and_parsers_take_linear_time(read: Callable[[str], Any], begin: str, pattern: str) -> None:
    assert_linear(read, lambda size: begin + pattern * size, 10_000)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("read", EVENTS)
def test_scanning_an_event_stays_within_the_loop_budget(read: str, shape: str) -> None:
    for make in (hostile, closed):
        text = make(shape, EVENT)
        assert cpu_ms(lambda text=text: EVENTS[read](text)) < BUDGET_MS


@pytest.mark.parametrize("shape", SHAPES)
def test_reading_a_frame_stays_within_the_loop_budget(shape: str) -> None:
    for make in (hostile, closed):
        for text in (make(shape, FRAME), f'{{"ping":{make(shape, FRAME)}}}'):
            assert cpu_ms(lambda text=text: COMMANDS["read_command"](text)) < BUDGET_MS


def test_nesting_depth_is_counted_outside_of_strings_only() -> None:
    assert not too_deep("[" * 128 + "]" * 128)
    assert too_deep("[" * 129)
    assert too_deep('{"a":' * 129)
    assert not too_deep('["' + "[" * 1000 + '"]')
    assert not too_deep('["\\"' + "[" * 1000 + '"]')
    assert not too_deep('["\\\\\\"' + "[" * 1000 + '"]')
    assert too_deep('["\\\\",' + "[" * 1000)
    assert not too_deep("[[]," * 100 + "[]" + "]" * 100)
    assert too_deep("[[]," * 128 + "[]" + "]" * 128)
