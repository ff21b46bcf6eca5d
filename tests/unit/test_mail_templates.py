"""The shipped mail templates, and those of an operator."""

import json
import os
import re
import tracemalloc
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from adapters.mail.jinja_rendering import MAX_MAIL_CHARS, Templates, fault_in_templates
from adapters.mail.mailer import Unrenderable
from adapters.mail.render_protocol import Request
from adapters.mail.shipped_templates import CHANNEL_TEMPLATES, is_shipped
from adapters.mail.template_filters import FILTERS
from application.ports.mail_folder import RenderedMail
from entrypoints.profiles.loader import shipped
from entrypoints.profiles.shipped_files import PROFILE_TEMPLATES

CREATED, UPDATED = "order_created.html", "order_status_updated.html"
ROUTED = [table.template for route in shipped(["all"])[1].routes for table in route.channels]
STATUSES = ["pending", "confirmed", "paid", "processing", "shipped", "out_for_delivery", "delivered"]
STATUSES += ["cancelled", "canceled", "returned", "refunded", "failed"]
OTHER_STATUS = "There is news of your order"

ORDER = {
    "order_id": "o-1042",
    "customer_email": "kim@example.com",
    "customer_name": "Kim Lee",
    "items": [{"name": "Teapot", "quantity": 2, "price": 21.25}, {"product_name": "Cup", "unit_price": "9.00"}],
    "total": 1142.5,
    "currency": "EUR",
    "status": "shipped",
    "tracking_number": "JD0003456789",
    "tracking_url": "https://carrier.example/JD0003456789?a=1&b=2",
}
FIELDS = sorted({*ORDER, "new_status", "total_amount", "data", "event", "range", "loop", "self"})

SCRIPT = "<script>alert('1')</script>\"><img src=x onerror=alert(1)>"
HOSTILE = [
    SCRIPT,
    "{{ 7 * 7 }}{% include 'base.html' %}",
    "مرحبا بالعالم \u202e reversed",
    "😀 Łukasz Ωμέγα",
    "x" * 5_000,
    "line\r\nbreak\u2028and\x1b[31mmore",
    "",
    0,
    -1,
    1e308,
    2**63,
    True,
    None,
    [],
    [None],
    {},
    {"a": {"b": "c"}},
    [["x"], {"name": ["y"]}, "a string", 7, {"name": None, "price": {}, "quantity": []}],
]
NO_LINKS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "//carrier.example/1",
    "http://",
    "http://[",
    "https://carrier.example/a b",
    "/relative",
]

SHIPPED_TEMPLATES = Templates(None, [PROFILE_TEMPLATES])
SHIPPED = [*os.listdir(PROFILE_TEMPLATES), *os.listdir(CHANNEL_TEMPLATES)]

# Values that JSON can hold where a field is expected.
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "price", "x"]), inner),
    max_leaves=8,
)


def request(template: str, payload: Any) -> Request:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return Request(template, text, "e-1", "order.created", "order.created", datetime(2026, 3, 7, 10, tzinfo=UTC))


def render(template: str, payload: Any, templates: Templates = SHIPPED_TEMPLATES) -> RenderedMail:
    return templates.render(request(template, payload))


def refusal(template: str, payload: Any, templates: Templates = SHIPPED_TEMPLATES) -> str:
    with pytest.raises(Unrenderable) as caught:
        render(template, payload, templates)
    text = str(caught.value)
    assert "\n" not in text
    return text


class Page(HTMLParser):
    """An HTML mail, parsed. Fails if its tags are not balanced."""

    VOID = frozenset({"meta", "br", "img", "hr", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links += [value for name, value in attrs if name in ("href", "src", "action", "background")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def sound(letter: RenderedMail, headline: str | None = None) -> Page:
    """Assert what holds for every mail, whatever the event. Returns the parsed page."""
    page = Page(letter.html)
    assert page.tags.isdisjoint({"script", "img", "iframe", "link", "object", "form"})
    assert not any(name.startswith("on") for name in page.attributes)
    assert all(link and link.startswith(("http://", "https://")) for link in page.links)
    for text in (page.words, letter.text):
        assert "None" not in text
        assert "Undefined" not in text
    assert (headline or letter.text.splitlines()[0]) in page.words
    return page


def test_each_route_with_a_mail_has_its_template() -> None:
    assert ROUTED == [CREATED, UPDATED]
    assert all(is_shipped(name, [PROFILE_TEMPLATES]) for name in ROUTED)


@pytest.mark.parametrize("name", [name for name in SHIPPED if is_shipped(name, [PROFILE_TEMPLATES])])
def test_shipped_templates_are_valid(name: str) -> None:
    """The server does not compile them when it starts."""
    fault = fault_in_templates(None, name, [PROFILE_TEMPLATES])
    # The bases are there to be extended.
    assert fault is None or (name in ("base.html", "order_base.html") and "is missing, which" in fault)


@pytest.mark.parametrize("wrapped", [False, True])
class TestOrders:
    def payload(self, wrapped: bool, **fields: Any) -> Any:
        order = {**ORDER, **fields}
        return {"event_type": "order", "data": order} if wrapped else order

    def test_a_new_order_lists_what_was_ordered(self, wrapped: bool) -> None:
        letter = render(CREATED, self.payload(wrapped))
        page = sound(letter)
        for text in (page.words, letter.text):
            for words in ("o-1042", "Kim Lee", "2 × Teapot", "21.25 EUR each", "Cup", "9.00 EUR", "1,142.50 EUR"):
                assert words in text
            assert "7 March 2026" in text
        assert len(letter.html) < 8_000

    @pytest.mark.parametrize("status", STATUSES)
    def test_each_status_has_its_own_text(self, wrapped: bool, status: str) -> None:
        letter = render(UPDATED, self.payload(wrapped, status=status))
        page = sound(letter)
        shown = status.replace("_", " ").capitalize()
        for text in (page.words, letter.text):
            assert "o-1042" in text
            assert shown in text
            assert "JD0003456789" in text
            assert OTHER_STATUS not in text
        assert page.links == [ORDER["tracking_url"]]
        assert f"Track your parcel: {ORDER['tracking_url']}" in letter.text
        assert len(letter.html) < 8_000

    def test_an_unknown_status_is_shown_with_a_neutral_text(self, wrapped: bool) -> None:
        letter = render(UPDATED, self.payload(wrapped, status="eaten_by_bears"))
        for text in (sound(letter).words, letter.text):
            assert OTHER_STATUS in text
            assert "Eaten by bears" in text

    @pytest.mark.parametrize("template", ROUTED)
    def test_only_the_order_id_is_required(self, wrapped: bool, template: str) -> None:
        bare = {"order_id": 7}
        letter = render(template, {"data": bare} if wrapped else bare)
        assert "Hello," in letter.text
        sound(letter)
        words = refusal(template, {"data": {"status": "paid"}} if wrapped else {"status": "paid"})
        assert words == f"{template}: the event has no 'order_id'"

    @pytest.mark.parametrize("template", ROUTED)
    def test_null_counts_as_missing(self, wrapped: bool, template: str) -> None:
        assert "no 'order_id'" in refusal(template, self.payload(wrapped, order_id=None))
        sound(render(template, self.payload(wrapped, **{n: None for n in ORDER if n != "order_id"})))


def test_texts_of_statuses_differ() -> None:
    headlines = {status: render(UPDATED, {**ORDER, "status": status}).text.splitlines()[0] for status in STATUSES}
    assert headlines["cancelled"] == headlines["canceled"]
    assert len(set(headlines.values())) == len(STATUSES) - 1


@pytest.mark.parametrize("status", ["SHIPPED", " shipped ", "Out For Delivery", "out-for-delivery"])
def test_a_status_is_recognised_in_any_spelling(status: str) -> None:
    assert OTHER_STATUS not in render(UPDATED, {**ORDER, "status": status}).text


def test_the_field_new_status_is_accepted() -> None:
    assert "on its way" in render(UPDATED, {"order_id": 1, "old_status": "paid", "new_status": "shipped"}).text


def test_fields_outside_of_data_take_precedence() -> None:
    text = render(UPDATED, {"order_id": "outer", "data": {"order_id": "inner", "status": "paid"}}).text
    assert "outer" in text
    assert "inner" not in text
    assert "payment" in text


@pytest.mark.parametrize("template", ROUTED)
@pytest.mark.parametrize("payload", ["no json", "[]", "7", '"text"', "", "[" * 5_000])
def test_a_payload_without_fields_fails_with_the_first_required_one(template: str, payload: str) -> None:
    assert refusal(template, payload) == f"{template}: the event has no 'order_id'"


class TestHostileValues:
    @pytest.mark.parametrize("template", ROUTED)
    @pytest.mark.parametrize("value", HOSTILE, ids=repr)
    def test_no_single_field_can_break_a_mail(self, template: str, value: Any) -> None:
        for field in FIELDS:
            if field == "order_id" and value is None:
                continue
            letter = render(template, {**ORDER, field: value})
            sound(letter)
            assert max(map(len, letter.text.splitlines())) < 1_000

    @given(st.dictionaries(st.sampled_from([field for field in FIELDS if field != "order_id"]), values, max_size=5))
    def test_no_combination_of_fields_can_break_a_mail(self, fields: dict[str, Any]) -> None:
        for template in ROUTED:
            letter = render(template, {"order_id": 1, **fields})
            page = Page(letter.html)
            assert all(link and link.startswith(("http://", "https://")) for link in page.links)

    def test_html_in_fields_is_shown_as_text(self) -> None:
        payload = {**dict.fromkeys(ORDER, SCRIPT), "items": [{"name": SCRIPT}]}
        for template in ROUTED:
            letter = render(template, payload)
            assert SCRIPT in sound(letter).words
            assert SCRIPT in letter.text

    @pytest.mark.parametrize("url", NO_LINKS)
    def test_only_web_addresses_become_links(self, url: str) -> None:
        letter = render(UPDATED, {**ORDER, "tracking_url": url})
        assert sound(letter).links == []
        assert "Track your parcel" not in letter.text

    def test_a_long_list_is_truncated_with_a_note(self) -> None:
        letter = render(CREATED, {**ORDER, "items": [{"name": "Cup"}] * 1_000})
        assert "and 950 more" in letter.text
        assert "and 950 more" in sound(letter).words


class Site:
    """An operator's folder of templates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.templates = Templates(str(folder), [PROFILE_TEMPLATES])

    def put(self, name: str, html: str, text: str = "words") -> str:
        (self.folder / f"{name}.html").write_text(html)
        (self.folder / f"{name}.txt").write_text(text)
        return f"{name}.html"

    def refusal(self, html: str, payload: Any = ORDER) -> str:
        return refusal(self.put("own", html), payload, self.templates)

    def html(self, html: str, payload: Any = ORDER) -> str:
        return render(self.put("own", html), payload, self.templates).html

    def fault(self, name: str) -> str | None:
        return fault_in_templates(str(self.folder), name, [PROFILE_TEMPLATES])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


class TestOwnTemplates:
    def test_checks_compile_each_version_of_a_file_once(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        compiled: list[str] = []
        compile_template = Environment.compile

        def counting(self: Environment, source: str, name: str, path: str) -> object:
            compiled.append(name)
            return compile_template(self, source, name, path)

        monkeypatch.setattr(Environment, "compile", counting)
        name = site.put("own", '{% include "part.html" %}')
        (site.folder / "part.html").write_text("a")
        for _ in range(2):
            assert site.fault(name) is None
        assert compiled == ["own.html", "part.html", "own.txt"]
        (site.folder / "part.html").write_text("{% if %}")
        for _ in range(2):
            assert "part.html, line 1" in str(site.fault(name))
        (site.folder / "part.html").unlink()
        assert "there is no template part.html" in str(site.fault(name))

    @pytest.mark.parametrize(
        ("blocks", "missing"),
        [
            ("", "'content'"),
            ("{% block content %}{% endblock %}", "'headline'"),
            ("{% block headline %}{% endblock %}{% if 1 %}{% block content %}{% endblock %}{% endif %}", None),
        ],
    )
    def test_a_missing_required_block_is_found_without_a_mail(
        self, site: Site, blocks: str, missing: str | None
    ) -> None:
        (site.folder / "middle.html").write_text('{% extends "base.html" %}{% block footer %}{% endblock %}')
        fault = site.fault(site.put("own", '{% extends "middle.html" %}' + blocks))
        expected = missing and f"own.html: the block {missing} is missing, which base.html requires"
        assert fault == expected

    def test_an_own_base_changes_the_frame_of_shipped_mails(self, site: Site) -> None:
        (site.folder / "base.html").write_text(
            "<p>ACME {% block headline %}{% endblock %}</p>{% block content %}{% endblock %}"
        )
        letter = render(CREATED, ORDER, site.templates)
        assert letter.html.startswith("<p>ACME We have your order</p>")
        assert letter.text == render(CREATED, ORDER).text

    def test_an_own_base_can_extend_the_shipped_one(self, site: Site) -> None:
        (site.folder / "base.html").write_text(
            '{% extends "shipped/base.html" %}{% block brand %}<b>ACME</b>{% endblock %}'
        )
        (site.folder / "base.txt").write_text('{% extends "shipped/base.txt" %}{% block brand %}ACME{% endblock %}')
        for name in ROUTED:
            letter = render(name, ORDER, site.templates)
            assert sound(letter).words.count("ACME") == 1
            assert letter.text.startswith(
                "ACME\n\nWe have your order\n\n" if name == CREATED else "ACME\n\nYour order is"
            )
            assert site.fault(name) is None

    def test_a_single_block_of_a_shipped_mail_can_be_overridden(self, site: Site) -> None:
        own = '{% extends "shipped/order_created.html" %}{% block headline %}Thanks{% endblock %}'
        (site.folder / CREATED).write_text(own)
        page = sound(render(CREATED, ORDER, site.templates), headline="Thanks")
        assert "Teapot" in page.words

    def test_the_texts_of_statuses_can_be_overridden(self, site: Site) -> None:
        (site.folder / "order_statuses.txt").write_text(
            '{% set STATUSES = {"shipped": ("Unterwegs", "Da kommt was.")} %}{% set OTHER = ("Neues", "") %}'
        )
        letter = render(UPDATED, ORDER, site.templates)
        assert "Unterwegs" in letter.html
        assert letter.text.startswith("Unterwegs")

    def test_an_edit_takes_effect_without_a_restart(self, site: Site) -> None:
        shipped_html = render(CREATED, ORDER, site.templates).html
        (own := site.folder / CREATED).write_text("first")
        assert render(CREATED, ORDER, site.templates).html == "first"
        own.write_text("second")
        assert render(CREATED, ORDER, site.templates).html == "second"
        own.unlink()
        assert render(CREATED, ORDER, site.templates).html == shipped_html

    def test_a_template_can_access_the_event(self, site: Site) -> None:
        html = site.html(
            "{{ event.id }} {{ event.type }} {{ event.source }} {{ event.time.year }} {{ event.time|day }}"
        )
        assert html == "e-1 order.created order.created 2026 7 March 2026"

    def test_a_field_named_like_a_method_is_accessible(self, site: Site) -> None:
        payload = {"basket": {"items": [1, 2], "values": "v"}}
        assert site.html("{{ basket.items|length }}{{ basket.values }}", payload) == "2v"
        assert site.html("{% for k, v in basket.items() %}{{ k }}{% endfor %}", {"basket": {"a": 1}}) == "a"

    def test_html_escapes_and_text_does_not(self, site: Site) -> None:
        name = site.put("own", "{{ x }}", "{{ x }}")
        letter = render(name, {"x": "<&>"}, site.templates)
        assert (letter.html, letter.text) == ("&lt;&amp;&gt;", "<&>")

    @pytest.mark.parametrize(
        "number", ["0", "1.50", "1.0", "0.00001", "1e-5", "1E5", "-0.0", "12345678901234567.89", "1" + "0" * 400]
    )
    def test_a_number_is_shown_as_it_was_sent(self, site: Site, number: str) -> None:
        name = site.put("own", "{{ x }} {{ x|line }} {{ x ~ '' }} {{ list }} {{ '%s'|format(inner.x) }}", "{{ x }}")
        text = f'{{"x": {number}, "list": [{number}], "data": {{"inner": {{"x": {number}}}}}}}'
        letter = render(name, text, site.templates)
        assert (
            letter.html
            == f"{number} {number if len(number) < 255 else number[:254] + '…'} {number} [{number}] {number}"
        )
        assert letter.text == number

    @pytest.mark.parametrize(
        ("html", "shown"),
        [
            ("{{ x|money }}", "1,234.50"),
            ("{{ x|money('EUR') }}", "1,234.50 EUR"),
            ("{{ x * 2 }} {{ x + 1 }} {{ -x }} {{ 1 - x }}", "2469.0 1235.5 -1234.5 -1233.5"),
            ("{{ x|round(1) }} {{ x|int }} {{ x|abs }} {{ x|float }}", "1234.5 1234 1234.5 1234.5"),
            ("{{ '%.1f'|format(x) }} {{ '{:,.3f}'.format(x) }} {{ '{}'.format(x) }}", "1234.5 1,234.500 1234.50"),
            (
                "{{ x > 1000 }} {{ x == 1234.5 }} {{ x is number }} {{ x is float }} {{ x|tojson }}",
                "True True True True 1234.5",
            ),
            (
                "{{ [x, 3]|max }} {{ [x, 3]|sum }} {{ [3, x]|sort|last }} {{ [x]|join }}",
                "1234.50 1237.5 1234.50 1234.50",
            ),
        ],
    )
    def test_a_number_can_still_be_calculated_with_and_formatted(self, site: Site, html: str, shown: str) -> None:
        assert site.html(html, '{"x": 1234.50}') == shown

    def test_a_number_has_no_fields(self, site: Site) -> None:
        assert site.refusal("{{ x.unit }}", '{"x": 1.5}') == "own.html: a number in the event has no 'unit'"
        assert "this is not allowed" in site.refusal("{{ x._text }}", '{"x": 1.5}')

    def test_a_number_beyond_the_range_of_planning_is_no_json(self, site: Site) -> None:
        assert site.refusal("{{ x }}", '{"x": 1e400}') == "own.html: the event has no 'x'"

    def test_a_missing_field_is_named(self, site: Site) -> None:
        assert site.refusal("{{ totl }}") == "own.html: the event has no 'totl'"
        assert site.refusal("{% if totl %}{% endif %}") == "own.html: the event has no 'totl'"
        assert site.refusal("{{ items[0].cost }}") == "own.html: an object in the event has no 'cost'"
        for name in ("line", "money", "link", "entries"):
            assert site.refusal(f"{{{{ totl|{name} }}}}") == "own.html: the event has no 'totl'"

    def test_a_missing_field_in_the_text_fails_the_mail_too(self, site: Site) -> None:
        name = site.put("own", "words", "{{ totl }}")
        assert refusal(name, ORDER, site.templates) == "own.txt: the event has no 'totl'"

    @pytest.mark.parametrize("html", ["", " \n", "{% if false %}x{% endif %}", "{# nothing #}"])
    def test_an_empty_mail_is_refused(self, site: Site, html: str) -> None:
        assert site.refusal(html) == "own.html: the result is empty"

    @pytest.mark.parametrize(
        ("html", "words"),
        [
            ("{% if %}", "own.html, line 1: "),
            ("\n\n{{ x|nosuchfilter }}", "own.html, line 3: No filter named 'nosuchfilter'"),
            ("{% block a %}{% endblock %}\n{% block a %}{% endblock %}", "own.html, line 2: block 'a' defined twice"),
            ('{% extends "nosuch.html" %}', "own.html: there is no template nosuch.html"),
            ('{% include "nosuch.html" %}', "own.html: there is no template nosuch.html"),
            ("\n{{ 1 / 0 }}", "own.html, line 2: ZeroDivisionError: division by zero"),
            ("{{ 1 + 'a' }}", "own.html, line 1: TypeError: "),
            ("{{ '\\ud800' }}", "own.html: UnicodeEncodeError: "),
            ("{% macro m() %}\n{{ m() }}{% endmacro %}{{ m() }}", "own.html, line 2: it calls itself endlessly"),
            ('{% include "own.html" %}', "own.html, line 1: it calls itself endlessly"),
            ("{{ " + "(" * 2_000 + "1" + ")" * 2_000 + " }}", "own.html: it calls itself endlessly, or is nested"),
            (
                "{% for _ in range(99999) %}{{ order_id * 9 }}{% endfor %}",
                f"own.html: the result is larger than {MAX_MAIL_CHARS}",
            ),
        ],
    )
    def test_errors_name_file_and_line(self, site: Site, html: str, words: str) -> None:
        assert site.refusal(html).startswith(words)

    @pytest.mark.parametrize(
        "html",
        [
            "{{ ''.__class__.__mro__ }}",
            "{{ ''['__class__'] }}",
            "{{ ''|attr('__class__') }}",
            "{{ '{0.__class__}'.format('') }}",
            "{{ event.time.__class__ }}",
            "{{ self.__init__.__globals__ }}",
            "{{ cycler.__init__.__globals__ }}",
            "{% set _ = items.append(1) %}",
            "{{ event.update({'id': 1}) }}",
        ],
    )
    def test_the_sandbox_blocks_unsafe_access(self, site: Site, html: str) -> None:
        assert "own.html, line 1: this is not allowed: " in site.refusal(html + "x")

    def test_the_lipsum_function_is_removed(self, site: Site) -> None:
        assert site.refusal("{{ lipsum() }}") == "own.html: the event has no 'lipsum'"

    @pytest.mark.parametrize(
        "path",
        ["/etc/passwd", "../secret.txt", "shipped/../secret.txt", "a/../../secret.txt", "..\\\\secret.txt", "a\\0b"],
    )
    def test_files_outside_of_the_folder_are_not_read(self, tmp_path: Path, path: str) -> None:
        (tmp_path / "secret.txt").write_text("secret")
        (tmp_path / "site" / "a").mkdir(parents=True)
        site = Site(tmp_path / "site")
        for tag in ("include", "extends", "import"):
            as_ = " as x" if tag == "import" else ""
            assert "there is no template" in site.refusal(f'{{% {tag} "{path}"{as_} %}}words')

    def test_symbolic_links_out_of_the_folder_are_followed_as_kubernetes_needs(self, tmp_path: Path) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "real.html").write_text("linked")
        (tmp_path / "site" / CREATED).symlink_to(tmp_path / "real.html")
        assert render(CREATED, ORDER, Templates(str(tmp_path / "site"), [PROFILE_TEMPLATES])).html == "linked"

    def test_a_named_pipe_is_no_template(self, site: Site) -> None:
        os.mkfifo(site.folder / CREATED)
        assert "We have your order" in render(CREATED, ORDER, site.templates).html


class TestFaults:
    """Errors in templates that refuse the start."""

    def test_a_valid_template_has_no_fault(self, site: Site) -> None:
        blocks = "{% block headline %}{% endblock %}{% block content %}{% endblock %}"
        used = '{% extends "base.html" %}{% include "maybe.html" ignore missing %}'
        assert site.fault(site.put("own", used + blocks)) is None

    def test_a_missing_template(self, site: Site) -> None:
        assert site.fault("no.html") == "no.html is neither shipped nor in HERALD_MAIL_TEMPLATES"
        (site.folder / "no.html").write_text("x")
        assert site.fault("no.html") == "no.txt is neither shipped nor in HERALD_MAIL_TEMPLATES"
        assert fault_in_templates(None, "../rendering.html") is not None

    @pytest.mark.parametrize("name", ["order_created", "order_created.txt", ""])
    def test_a_name_that_is_no_html_file(self, name: str) -> None:
        assert "is not the name of an .html file" in str(fault_in_templates(None, name))

    @pytest.mark.parametrize(
        ("html", "words"),
        [
            ("{% if %}", "own.html, line 1: "),
            ("\n{{ x|nosuchfilter }}", "own.html, line 2: No filter named 'nosuchfilter'"),
            ('{% extends "gone.html" %}', "own.html: there is no template gone.html"),
            ('{% block a %}{% include "part.html" %}{% endblock %}', "part.html, line 2: "),
        ],
    )
    def test_an_invalid_template_or_one_that_includes_an_invalid_one(self, site: Site, html: str, words: str) -> None:
        (site.folder / "part.html").write_text("\n{% for %}")
        assert str(site.fault(site.put("own", html))).startswith(words)

    def test_the_text_template_is_checked_too(self, site: Site) -> None:
        assert str(site.fault(site.put("own", "x", "{% if %}"))).startswith("own.txt, line 1: ")

    def test_a_template_that_is_not_utf8(self, site: Site) -> None:
        site.put("own", "")
        (site.folder / "own.html").write_bytes(b"caf\xe9")
        assert str(site.fault("own.html")).startswith("own.html: UnicodeDecodeError: ")

    @pytest.mark.parametrize(
        "html",
        [
            "{{ 'a' * 10**7 }}",
            "{% set x = 'a' * 10**7 %}",
            "{{ 'a'|center(10**7) }}",
            "{% if 'a' * 10**7 %}{% endif %}",
        ],
    )
    def test_checking_a_template_does_not_execute_it(self, site: Site, html: str) -> None:
        """The server checks templates at its start, without the limits of rendering."""
        name = site.put("own", html)
        tracemalloc.start()
        try:
            assert site.fault(name) is None
            assert tracemalloc.get_traced_memory()[1] < 10**7
        finally:
            tracemalloc.stop()


class TestDocument:
    DOCUMENT = (Path(__file__).parents[2] / "docs" / "mail.md").read_text(encoding="utf-8")

    def test_the_example_of_the_page_works(self, site: Site) -> None:
        examples = re.findall(r"```jinja\n(.*?)```", self.DOCUMENT, re.DOTALL)
        for name, content in zip(
            ("base.html", "base.txt", "invoice_due.html", "invoice_due.txt"), examples, strict=True
        ):
            (site.folder / name).write_text(content)
        assert site.fault("invoice_due.html") is None
        invoice = {"number": "I-7", "total": 10, "due": "1 May", "invoice_url": "https://shop.example/i-7"}
        letter = render("invoice_due.html", invoice, site.templates)
        page = sound(letter, headline="Invoice I-7 is due")
        assert page.links == ["https://shop.example/i-7"]
        for text in (page.words, letter.text):
            assert text.strip().startswith(("Invoice I-7 is due", "Teapots & Co"))
            assert "Please pay 10.00 EUR until 1 May." in text

    def test_the_page_names_each_shipped_file_and_filter(self) -> None:
        for name in (*SHIPPED, *FILTERS):
            assert f"`{name}" in self.DOCUMENT
