"""A mistake in a routes file is answered with its place, the nearest right key or value, and what is possible."""

import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.input_faults import find_fault
from domain.routes import RoutesInvalid
from domain.routes_file import make_profile, read_profile
from entrypoints.brokers import BROKER_NAMES
from entrypoints.profiles.backward_compatibility import with_references
from entrypoints.profiles.loader import read_file, written_format
from tests.support.core import ROUTE_CHANNELS

TOP = 'profile = "mine"\n%s\n[[routes]]\nsource = "a"\nusers = ["to"]\n'
ROUTE = (TOP % "").replace('"a"', '"first"') + '[[routes]]\nsource = "shop.#"\nusers = ["to"]\n%s\n'
FEED = TOP % "[feeds.news]\n%s"
ENDPOINT = TOP % '[[endpoints]]\nname = "shop"\npath = "/shop"\ntransport = "ws"\ninbox = "all"\n%s'
SAMPLE = TOP % '[[samples]]\ntitle = "A book"\nsource = "a"\npayload = 1\n%s'
EMAIL = '[routes.email]\nto = "e"\nsubject = "s"\ntemplate = "t.html"\n'

# What is written where, and how the error begins after the name of the file.
FAULTS = [
    (TOP, "brocker = 'kafka'", "brocker: is not a key here; did you mean broker? Possible keys: profile, routes, "),
    (TOP, "source = 'a'", "source: is not a key here; it is a key of routes. Possible keys: "),
    (TOP, "feeds = 1", "feeds: must be a table, not the number 1"),
    (TOP, "samples = {}", "samples: must be a list of tables, not a table: write [[samples]]"),
    (TOP, "broker = 'kafak'", "broker: 'kafak' is not possible; did you mean 'kafka'? Possible values: 'kafka', 'me"),
    (TOP, "broker = 3", 'broker: must be "kafka", "memory" or "rabbitmq", not the number 3'),
    (FEED, "acces = 'public'", "feeds.news.acces: is not a key here; did you mean access? Possible keys: access"),
    (
        FEED,
        "broker = 'kafka'",
        "feeds.news.broker: is not a key here; it is a key of the file: put it before the first ",
    ),
    (
        ROUTE,
        "user = ['to']",
        "route 2 ('shop.#'): user: is not a key here; did you mean users? Possible keys: source, ",
    ),
    (ROUTE, "subject = 's'", "route 2 ('shop.#'): subject: is not a key here; it is a key of routes.email. Possible "),
    (ROUTE, "channels = []", "route 2 ('shop.#'): channels: is not a key here; did you mean "),
    (ROUTE, "envelope = 'plain'", "route 2 ('shop.#'): envelope: 'plain' is not possible; did you mean '"),
    (
        ROUTE,
        "otherwise = 'Drop'",
        "route 2 ('shop.#'): otherwise: 'Drop' is not possible; did you mean 'drop'? Possible",
    ),
    (ROUTE, "omit = 'to'", "route 2 ('shop.#'): omit: must be a list of paths, not the text 'to': put it in brackets"),
    (ROUTE, "omit = ['to', 5]", "route 2 ('shop.#'): omit, element 2: must be a path, not the number 5"),
    (ROUTE, "type = true", "route 2 ('shop.#'): type: must be text, not true"),
    (ROUTE, "type = 2026-01-01", "route 2 ('shop.#'): type: must be text, not a date or time"),
    (ROUTE, "inbox = 'x'", "route 2 ('shop.#'): inbox: must be a table, not the text 'x'"),
    (ROUTE, "inbox = {}", "route 2 ('shop.#'): inbox.title: is missing: it must be a template"),
    (
        ROUTE,
        "inbox = { titel = 'x' }",
        "route 2 ('shop.#'): inbox.titel: is not a key here; did you mean title? Possible",
    ),
    (ROUTE, EMAIL + "form = 'x'", "route 2 ('shop.#'): email.form: is not a key here; did you mean "),
    (ROUTE, EMAIL + "user = ['x']", "route 2 ('shop.#'): email.user: must be a path, not a list"),
    (ROUTE, "[[routes]]\nusers = ['a']", "route 3: source: is missing: it must be a pattern"),
    (ROUTE, "[[routes]]\nsource = 5", "route 3: source: must be a pattern, not the number 5"),
    (
        ROUTE,
        "when = { 'a.b' = { mni = 1 } }",
        "route 2 ('shop.#'): when.\"a.b\".mni: is not a key here; did you mean min?",
    ),
    (
        ROUTE,
        "when = { a = 'x' }",
        "route 2 ('shop.#'): when.a: must be a list of values or a table, not the text 'x': put",
    ),
    (ROUTE, "when = { a = [1, {}] }", "route 2 ('shop.#'): when.a, element 2: must be a value, not a table"),
    (
        ENDPOINT,
        "heartbeats = {}",
        "endpoint 1 ('shop'): heartbeats: is not a key here; did you mean heartbeat? Possible",
    ),
    (ENDPOINT, "feeds = 'yes'", "endpoint 1 ('shop'): feeds: must be true or false, not the text 'yes'"),
    (SAMPLE, "event = 1", "sample 1 ('A book'): event: is not a key here; did you mean "),
    (SAMPLE, "[[samples]]", "sample 2: title: is missing: it must be text"),
]


@pytest.mark.parametrize(("file", "text", "error"), FAULTS, ids=[text for _, text, _ in FAULTS])
def test_a_fault_has_its_place_and_what_is_possible(file: str, text: str, error: str) -> None:
    with pytest.raises(RoutesInvalid) as refused:
        read_profile(file % text, "shop.toml", ROUTE_CHANNELS, BROKER_NAMES)
    assert str(refused.value).startswith(f"shop.toml: {error}")


def test_the_name_of_a_profile_has_a_rule_in_words() -> None:
    with pytest.raises(RoutesInvalid) as refused:
        read_profile((TOP % "").replace("mine", "My shop"), "shop.toml")
    rule = "lower-case letters, digits, '_' and '-', 1 to 64 characters"
    assert str(refused.value) == f"shop.toml: profile: must have {rule}, and is 'My shop'"


def test_long_texts_are_shortened() -> None:
    with pytest.raises(RoutesInvalid) as refused:
        read_profile(ROUTE % f'envelope = "{"x" * 10_000}"', "shop.toml")
    assert len(str(refused.value)) < 300


TOML_FAULTS = [
    ("a = 1\na = 2\n", "line 2, column 6: not valid TOML: the key 'a' is defined twice: remove one"),
    ("[a]\nb.c = 1\nb.c = 2", "end of the file: not valid TOML: the key 'b.c' is defined twice in [a]: remove one"),
    (
        "[[routes]]\na = [\n  1,\n]\na = [\n  2,\n]\n",
        "line 7, column 2: not valid TOML: the key 'a' is defined twice in one [[routes]]: remove one, or write"
        " [[routes]] above it to begin another",
    ),
    ("[a]\n[a]\n", "line 2, column 3: not valid TOML: the table [a] is defined twice, or is a value elsewhere"),
    (
        "[endpoint]\n[endpoint]\n",
        "line 2, column 10: not valid TOML: the table [endpoint] is defined twice: if there are several, write"
        " [[endpoints]] above each",
    ),
    (
        "[[routes]]\n[routes.email]\n[routes.email] # again\n",
        "line 3, column 14: not valid TOML: the table [routes.email] is defined twice for one [[routes]]: remove one,"
        " or write [[routes]] above it to begin another",
    ),
    ("[routes]\na = 1\n[[routes]]\n", "line 3, column 9: not valid TOML: routes is defined in another way above"),
    ("a = { b = 1, b = 2 }\n", "line 1, column 19: not valid TOML: this table has the same key twice"),
    (
        'a = "b\n',
        "line 1, column 7: not valid TOML: a text must end on its line: its closing quotation mark is missing",
    ),
    ('a = """b\n', "end of the file: not valid TOML: a text does not end: its closing quotation mark is missing"),
    ("a = b\n", "line 1, column 5: not valid TOML: a value is missing, or is a text without quotation marks"),
    ("\na\n", "line 2, column 2: not valid TOML: after a key, '=' and its value must follow"),
    ("a = 1 b = 2\n", "line 1, column 7: not valid TOML: nothing else may be on the line of a value or a table"),
    ("[[routes]\n", "line 1, column 9: not valid TOML: ']]' is missing"),
    ("a = [1 2]\n", "line 1, column 8: not valid TOML: a list does not end: a comma or ']' is missing"),
    ("a = { b = 1\n}\n", "line 1, column 12: not valid TOML: a table must end on its line: a comma or '}' is missing"),
    ("a = " + "[" * 100_000, "not valid TOML: lists or tables are nested too deeply"),
    ("a = " + "1" * 5_000, "not valid TOML: Exceeds the limit"),
    ("a = \\u0000", "line 1, column 5: not valid TOML: a value is missing, or is a text without quotation marks"),
]


@pytest.mark.parametrize(("text", "error"), TOML_FAULTS, ids=[text[:20] for text, _ in TOML_FAULTS])
def test_a_fault_of_toml_has_its_line_and_its_cause(text: str, error: str, tmp_path: Path) -> None:
    (file := tmp_path / "shop.toml").write_text(text)
    with pytest.raises(RoutesInvalid) as refused:
        read_file(str(file))
    assert str(refused.value).startswith(f"{file}: {error}")


# --- any input ------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.sampled_from(["a", "", "kafka", "/p", "ws", "raw", "none", "x.y"]) | st.booleans() | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["profile", "routes", "source", "users", "inbox", "title", "email", "to", "feeds", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)


ROUTES = st.dictionaries(st.sampled_from(["source", "users", "inbox", "email", "omit", "otherwise", "id", "x"]), VALUES)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["profile", "routes", "feeds", "samples", "endpoints", "broker", "x"]), VALUES
) | ROUTES.map(lambda route: {"profile": "mine", "routes": [route]})


def written(value: Any) -> bool:
    try:
        msgspec.convert(value, written_format())
    except msgspec.ValidationError:
        return False
    return True


@given(DOCUMENTS)
def test_exactly_what_msgspec_refuses_has_a_fault(document: dict[str, Any]) -> None:
    assert (find_fault(document, written_format()) is None) == written(document)


@given(DOCUMENTS)
def test_an_invalid_file_is_refused_and_raises_no_other_error(document: dict[str, Any]) -> None:
    with contextlib.suppress(RoutesInvalid):
        make_profile(with_references(document), "shop.toml", ROUTE_CHANNELS, BROKER_NAMES)
        assert written(with_references(document))
