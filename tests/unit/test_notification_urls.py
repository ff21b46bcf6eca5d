"""URLs of notifications: which templates are valid, and that no value of a payload leads to another site."""

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import decode_json
from domain.notification_urls import MAX_URL_LENGTH, UrlRefused, fill_url, validate_url_template
from domain.verbatim_fields import VerbatimFields

# What a browser resolves the URL against.
SITE = "https://app.example/inbox"

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["..", ".", "%2e%2e", "../..", "//evil.example", "\\\\evil.example", "javascript:alert(1)", "?", "#", "a/b", "\t/"]
)


def filled(template: str, **payload: Any) -> str | None:
    text = json.dumps(payload)
    return fill_url(template, VerbatimFields(decode_json(text), text))


def refused(template: str, **payload: Any) -> str:
    with pytest.raises(UrlRefused) as caught:
        filled(template, **payload)
    return str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "/",
        "/tickets/{id}",
        "/tickets/{ticket.id|id}#comment-{comment|}",
        "/search?q={words}&page=1",
        "{link}",
        "{html_url|url|}",
        "https://help.example",
        "https://help.example/{id}",
        "HTTPS://help.example:8443?id={id}",
        "http://[::1]:8080/{id}",
        "/straße/{id}",
    ],
)
def test_valid_templates(template: str) -> None:
    assert validate_url_template(template) is None


SCHEME = "it is neither an http or https URL with a valid host nor a path that begins with exactly one slash"


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("javascript:alert(1)", SCHEME),
        ("data:text/html,x", SCHEME),
        ("mailto:{mail}", SCHEME),
        ("tickets/{id}", SCHEME),
        ("", SCHEME),
        ("//evil.example/{id}", SCHEME),
        ("https:///x", SCHEME),
        ("https:/help.example", SCHEME),
        ("https://{host}/x", SCHEME),
        ("https://help.example{path}", SCHEME),
        ("https://help.example:{port}/", SCHEME),
        ("https://help.example@evil.example/", SCHEME),
        ("https://user:secret@help.example/", SCHEME),
        ("https://hälp.example/", SCHEME),
        ("{scheme}://help.example/", SCHEME),
        ("{base}/tickets/{id}", SCHEME),
        ("/\\evil.example", "it contains a space, a control character or a backslash"),
        (" /x", "it contains a space, a control character or a backslash"),
        ("/a\nb", "it contains a space, a control character or a backslash"),
        ("/a/../b", "its path has the segment '.' or '..'"),
        ("/a/%2E%2e", "its path has the segment '.' or '..'"),
        ("/{a b}", "has the placeholder {a b}, which is not a dotted path, or several separated by |"),
        ("/{a", "has an unpaired brace"),
        ("/" + "x" * MAX_URL_LENGTH, f"it has {MAX_URL_LENGTH + 1} characters; at most {MAX_URL_LENGTH} are allowed"),
    ],
)
def test_invalid_templates(template: str, fault: str) -> None:
    assert validate_url_template(template) == fault


def test_values_are_percent_encoded() -> None:
    assert filled("/tickets/{id}", id=7) == "/tickets/7"
    assert filled("/tickets/{id}", id="a/b?c#d&e %ü") == "/tickets/a%2Fb%3Fc%23d%26e%20%25%C3%BC"
    assert filled("/search?q={q}&n={n}", q="a&n=2", n=1.50) == "/search?q=a%26n%3D2&n=1.5"
    assert filled("/straße/{id}", id=1) == "/stra%C3%9Fe/1"
    assert filled("/tickets/{id|}", other=1) == "/tickets/"


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://help.example/t/7?a=b%20c#d", "https://help.example/t/7?a=b%20c#d"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("/t/7", "/t/7"),
        ('https://help.example/ü/"<x>|{y}`', "https://help.example/%C3%BC/%22%3Cx%3E%7C%7By%7D%60"),
    ],
)
def test_a_single_placeholder_stands_for_a_whole_url(link: str, url: str) -> None:
    assert filled("{link}", link=link) == url


def test_there_is_no_url_without_a_value() -> None:
    assert filled("/tickets/{id}") is None
    assert filled("/tickets/{id}", id=["list"]) is None
    assert filled("{link}", link=None) is None
    assert filled("{link|}") is None
    assert filled("{link}", link="") is None


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "\tjavascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://help.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:\\\\evil.example",
        "/\t/evil.example",
        "https:evil.example",
        "https://help.example@evil.example",
        "https://häl.example",
        "https://",
        "t/7",
        "?x",
        7,
        True,
        "/a/../../b",
        "/a/..%2fb",
        "/a%5c..",
    ],
)
def test_a_whole_url_that_is_not_allowed_is_refused(link: Any) -> None:
    refused("{link}", link=link)


def test_values_that_change_the_path_or_are_too_long_are_refused() -> None:
    assert refused("/tickets/{id}", id="..") == "its path has the segment '.' or '..'"
    assert refused("/tickets/{id}/x", id="../..") == "its path has the segment '.' or '..'"
    assert refused("/{a|}/{b}", b="evil.example") == SCHEME
    assert refused("/{a}", a="ü" * 400) == f"it has 2401 characters; at most {MAX_URL_LENGTH} are allowed"
    assert refused("{a}", a="/" + "ü" * 400) == f"it has 2401 characters; at most {MAX_URL_LENGTH} are allowed"


@given(TEXTS, TEXTS, TEXTS)
def test_values_can_only_be_the_segments_and_parameters_that_the_template_names(a: str, b: str, c: str) -> None:
    try:
        url = filled("https://help.example/t/{a}/{b}?q={c}#end", a=a, b=b, c=c)
    except UrlRefused:
        return
    assert url is not None
    assert url.isascii()
    assert len(url) <= MAX_URL_LENGTH
    parts = urlsplit(urljoin(SITE, url))
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "help.example", "end")
    assert list(map(unquote, parts.path.split("/"))) == ["", "t", a, b]
    assert parse_qsl(parts.query, keep_blank_values=True) == [("q", c)]


@given(TEXTS, TEXTS)
def test_a_path_never_leads_to_another_site(a: str, b: str) -> None:
    for template, payload in (("/{a|}/{b|}", {"a": a, "b": b}), ("{a}", {"a": "/" + a + b})):
        try:
            url = filled(template, **payload)
        except UrlRefused:
            continue
        assert url is not None
        assert urlsplit(urljoin(SITE, url))[:2] == ("https", "app.example")


@given(TEXTS)
def test_a_whole_url_is_http_or_a_path(link: str) -> None:
    try:
        url = filled("{link}", link=link)
    except UrlRefused:
        return
    assert url is None or url.lower().startswith(("http://", "https://")) or (url[0] == "/" and url[1:2] != "/")
