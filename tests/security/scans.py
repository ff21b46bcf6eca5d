"""Measuring the CPU time of the current thread, and texts that are expensive for careless parsers."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

RUNS: Final = 5

# Four times the text takes four times the time, plus a margin for a busy machine.
FACTOR: Final = 7
NOISE_MS: Final = 2.0
ATTEMPTS: Final = 3


@contextmanager
def garbage_as_in_a_server() -> Iterator[None]:
    """Exclude existing objects from garbage collection and set the thresholds of a server."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def cpu_ms(act: Callable[[], Any]) -> float:
    """Return the CPU time of the thread in ms, as the median of RUNS."""
    return statistics.median(_once(act) for _ in range(RUNS))


def _once(act: Callable[[], Any]) -> float:
    # Otherwise it depends on the tests before whether a collection of all objects falls into the measurement.
    gc.collect()
    began = time.thread_time()
    act()
    return (time.thread_time() - began) * 1000


def assert_linear(act: Callable[[str], Any], make: Callable[[int], str], size: int) -> None:
    """Compare the CPU time for a text and for four times the text. Quadratic code takes 16 times as long and fails each
    attempt."""
    for _ in range(ATTEMPTS):
        short, long = make(size), make(4 * size)
        once, four = cpu_ms(lambda text=short: act(text)), cpu_ms(lambda text=long: act(text))
        if four < FACTOR * once + NOISE_MS:
            return
    raise AssertionError(f"{once:.1f} ms, and {four:.1f} ms for four times as much")


# (begin, pattern): `pattern` is repeated up to the length.
SHAPES: Final[dict[str, tuple[str, str]]] = {
    "escaped quotes that never end": ("[" * 129 + '"', '\\"'),
    "quotes": ("[" * 129, '"'),
    "strings": ("[" * 129, '"a",'),
    "strings with brackets": ("[", '"[",'),
    "brackets in pairs": ("[", "[],"),
    "brackets in groups": ("[", "[[[[]]]],"),
    "opening brackets": ("", "["),
    "closing brackets": ("", "]"),
    "objects": ("[", '{"a":1},'),
    "fields": ('{"to":1', ',"a":1'),
    "backslashes": ('{"to":"ada","x":"', "\\"),
    "escaped U+0000": ('{"to":"ada","x":"', "\\\\u0000"),
    "letters beyond ASCII": ('{"to":"ada","x":"', "é😀"),
    "digits": ('{"to":', "9"),
    "blanks": ("{", " "),
    "line breaks": ("{", "\n"),
    "recipients": ('{"to":[', "[],"),
    "recipients of text": ('{"to":["', 'a","'),
    "addresses": ('{"to":"ada","mail":["', 'a@b.cd","'),
    "no addresses": ('{"to":"ada","mail":[', "{},"),
    "a long address": ('{"to":"ada","mail":"', "@"),
    "a title": ('{"to":"ada","title":"', "\u200b "),
    "a long fraction": ('{"to":"ada","title":0.', "0"),
    "numbers": ('{"to":"ada","title":1.50,"x":[', "1.5,"),
    "objects of numbers": ('{"to":"ada","data":{"title":1.50,"x":[', '{"title":1.5},'),
    "deep data": ('{"to":"ada","data":{"x":[', "[[]],"),
}


def hostile(shape: str, length: int) -> str:
    begin, pattern = SHAPES[shape]
    return begin + pattern * ((length - len(begin)) // len(pattern))


def closed(shape: str, length: int) -> str:
    """Return the hostile text, completed to valid JSON if closing its brackets and quotes achieves that."""
    text = hostile(shape, length).rstrip(",")
    for end in ("", "]", '"]', "]}", '"]}', '"}', "}", "]}}", ":1}"):
        if _is_json(text + end):
            return text + end
    return text


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
