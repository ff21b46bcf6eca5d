"""Mail templates are rendered in a separate process; what hostile templates can do to it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import uvloop

from adapters.mail.mailer import Unrenderable
from adapters.mail.render_client import MAX_BATCH_SIZE, ProcessRenderer
from adapters.mail.render_process import LIFETIME_FACTOR
from application.ports.mail_folder import RenderedMail
from domain.deliveries import Item
from domain.public_url import PublicUrl
from entrypoints.profiles.shipped_files import PROFILE_TEMPLATES
from tests.support.reading import until

NOW = datetime(2026, 3, 7, 10, tzinfo=UTC)
ORDER = {"order_id": 7, "status": "shipped"}

# Seconds of computing time, so that a test does not wait for the default of 2 s; and slack for a busy machine.
LIMIT = 0.15
SLACK = 10.0

# Timeout in seconds for a template that does not react to signals, in the tests of such templates.
PATIENCE = 1.5

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}x"
# One call into C that copies gigabytes: signals are not handled until it returns, after more than a minute.
DEAF = "{{ ([[1]] * 10**6)|sum(start=[])|length }}"


def renderer_of(folder: str | None, limit: float, timeout_s: float) -> ProcessRenderer:
    return ProcessRenderer(folder, limit, timeout_s, profile_templates=[PROFILE_TEMPLATES])


class Site:
    """A renderer with its own folder of templates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.renderer = renderer_of(str(folder), LIMIT, SLACK)

    def hurry(self) -> None:
        """Use a short timeout for templates that do not react to signals."""
        self.renderer = renderer_of(str(self.folder), LIMIT, PATIENCE)

    def put(self, name: str, html: str) -> None:
        (self.folder / f"{name}.html").write_text(html)
        (self.folder / f"{name}.txt").write_text("words")

    async def render(self, template: str = "order_status_updated.html", payload: Any = ORDER) -> RenderedMail:
        return await self.renderer.render(item(template, payload))

    async def refusal(self, template: str) -> str:
        with pytest.raises(Unrenderable) as caught:
            await self.render(template)
        return str(caught.value)

    async def works(self) -> None:
        assert "on its way" in (await self.render()).text


def item(template: str, payload: Any) -> Item:
    return Item("s", "e-1", "s", "t", "orders", json.dumps(payload), NOW, "Subject", template)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    yield site
    await site.renderer.close()
    assert not children()


def children() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children():
        try:
            if "adapters.mail.render_process" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def child() -> psutil.Process:
    (found,) = children()
    return found


async def until_busy() -> None:
    """Wait until the running process has used 0.1 s more of CPU time."""
    before = child().cpu_times().user
    await until(lambda: child().cpu_times().user > before + 0.1)


class TestRendering:
    async def test_a_url_is_absolute_under_the_public_url(self, site: Site) -> None:
        site.put("link", '<a href="{{ event.url }}">{% if event.url %}link{% endif %}</a>')
        linked = msgspec.structs.replace(item("link.html", ORDER), url="/orders/7?a=1&b=2")
        elsewhere = msgspec.structs.replace(linked, url="https://other.example/7")
        assert (await site.renderer.render(linked)).html == '<a href="/orders/7?a=1&amp;b=2">link</a>'
        assert (await site.render("link.html")).html == '<a href=""></a>'
        public = ProcessRenderer(str(site.folder), public_url=PublicUrl("https://shop.example/herald"))
        try:
            html = (await public.render(linked)).html
            assert html == '<a href="https://shop.example/orders/7?a=1&amp;b=2">link</a>'
            assert (await public.render(elsewhere)).html == '<a href="https://other.example/7">link</a>'
        finally:
            await public.close()

    async def test_concurrent_mails_each_get_their_own_text(self, site: Site) -> None:
        site.put("own", "number {{ order_id }}")
        letters = await asyncio.gather(*(site.render("own.html", {"order_id": n}) for n in range(200)))
        assert [letter.html for letter in letters] == [f"number {n}" for n in range(200)]

    async def test_event_values_reach_the_template_unchanged(self, site: Site) -> None:
        site.put("own", "{{ x|safe }} {{ event.time.isoformat() }} {{ event.id }}")
        x = "€ 😀 <\0>" + "x" * 300_000
        assert (await site.render("own.html", {"x": x})).html == f"{x} {NOW.isoformat()} e-1"

    async def test_one_process_renders_all_mails_and_sees_edited_templates(self, site: Site) -> None:
        site.put("own", "first")
        assert (await site.render("own.html")).html == "first"
        pid = child().pid
        site.put("own", "second")
        assert (await site.render("own.html")).html == "second"
        assert child().pid == pid

    async def test_missing_templates_and_fields_are_named_in_the_error(self, site: Site) -> None:
        assert await site.refusal("nosuch.html") == "nosuch.html: there is no template nosuch.html"
        with pytest.raises(Unrenderable, match="the event has no 'order_id'"):
            await site.render("order_created.html", {})
        await site.works()

    def test_it_works_on_uvloop(self, tmp_path: Path) -> None:
        async def main() -> None:
            site = Site(tmp_path)
            site.put("endless", ENDLESS)
            assert "still not rendered" in await site.refusal("endless.html")
            await site.works()
            child().kill()
            await site.works()
            child().kill()
            # Long enough for the event loop to notice that the process ended and to close its pipes.
            await asyncio.sleep(0.2)
            await site.works()
            await site.renderer.close()

        uvloop.run(main())
        assert not children()


class TestHostileTemplates:
    HOSTILE = (
        (ENDLESS, f"hostile.html: still not rendered after {LIMIT:g} s"),
        ("{{ 9**(9**9) }}", f"hostile.html: still not rendered after {LIMIT:g} s"),
        ("{{ 'a' * 10**10 }}", "hostile.html, line 1: it exceeds the memory limit"),
        ("{{ 'a'|center(10**10) }}", "hostile.html, line 1: it exceeds the memory limit"),
        ("{{ (['a'] * 10**10)|join }}", "hostile.html, line 1: it exceeds the memory limit"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "hostile.html, line 1: it calls itself endlessly"),
        ('{% include "hostile.html" %}', "hostile.html, line 1: it calls itself endlessly"),
        ("{{ 'a' * 2_000_000 }}", "hostile.html: the result is larger than 1000000 bytes"),
        ('{% include "/etc/passwd" %}', "hostile.html: there is no template /etc/passwd"),
        ('{% include "../../etc/passwd" %}', "hostile.html: there is no template ../../etc/passwd"),
        ("{{ ''.__class__.__mro__ }}", "hostile.html, line 1: this is not allowed: "),
    )

    async def test_a_hostile_template_fails_its_own_mail_only(self, site: Site) -> None:
        await site.works()
        pid = child().pid
        for html, words in self.HOSTILE:
            site.put("hostile", html)
            began = time.monotonic()
            assert words in await site.refusal("hostile.html"), html
            assert time.monotonic() - began < SLACK
            await site.works()
            assert child().pid == pid

    async def test_mails_queued_behind_an_endless_template_are_rendered(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        refused, *letters = await asyncio.gather(site.refusal("endless.html"), *(site.render() for _ in range(20)))
        assert "still not rendered" in refused
        assert len(letters) == 20

    async def test_a_template_that_blocks_signals_is_ended_by_killing_the_process(self, site: Site) -> None:
        site.put("deaf", DEAF)
        site.hurry()
        await site.works()
        before = child().pid
        began = time.monotonic()
        refused, letter = await asyncio.gather(site.refusal("deaf.html"), site.render())
        assert refused == "deaf.html: the process that renders it crashed or did not respond"
        assert "on its way" in letter.text
        assert time.monotonic() - began < 2 * PATIENCE + SLACK
        assert child().pid != before


class TestBatches:
    """Mails requested while the process is busy are sent to it as one batch."""

    async def asked(self, site: Site, *templates: str) -> list[asyncio.Task[RenderedMail]]:
        """Request these templates behind a slow one, so that they form one batch. Returns their tasks."""
        site.put("slow", "{% for a in range(99999) %}{% endfor %}slow {{ order_id }}")
        await site.works()
        tasks = [asyncio.create_task(site.render(f"{name}.html")) for name in ("slow", *templates)]
        await asyncio.sleep(0)
        return tasks[1:]

    async def test_a_template_that_ends_the_process_affects_no_other_mail_of_the_batch(self, site: Site) -> None:
        site.put("deaf", DEAF)
        site.put("own", "number {{ order_id }}")
        site.hurry()
        before, deaf, behind = await self.asked(site, "own", "deaf", "own")
        assert (await before).html == "number 7"
        # The first mail is returned before the batch is finished.
        assert not deaf.done()
        assert (await behind).html == "number 7"
        with pytest.raises(Unrenderable, match="crashed or did not respond"):
            await deaf

    async def test_each_result_is_returned_as_soon_as_it_is_ready(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        tasks = await self.asked(site, *["endless"] * 6)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) < 6
        for task in tasks:
            with pytest.raises(Unrenderable, match="still not rendered"):
                await task

    async def test_killing_the_process_during_a_batch_loses_no_mail(self, site: Site) -> None:
        site.put("own", "number {{ order_id }}")
        tasks = await self.asked(site, *["own"] * 10)
        await until(lambda: bool(children()))
        child().kill()
        assert [letter.html for letter in await asyncio.gather(*tasks)] == ["number 7"] * 10

    async def test_cancelled_requests_do_not_affect_the_others(self, site: Site) -> None:
        site.put("own", "number {{ order_id }}")
        tasks = await self.asked(site, *["own"] * 10)
        for task in tasks[::2]:
            task.cancel()
        assert [letter.html for letter in await asyncio.gather(*tasks[1::2])] == ["number 7"] * 5
        left = await asyncio.gather(*tasks[::2], return_exceptions=True)
        assert [type(end) for end in left] == [asyncio.CancelledError] * 5
        await site.works()

    async def test_more_mails_than_one_batch_keep_their_order(self, site: Site) -> None:
        site.put("own", "{{ n }}{{ x|length }}")
        large = "x" * 600_000
        asked = [{"n": n, "x": large if n in (3, 4, 5) else ""} for n in range(3 * MAX_BATCH_SIZE)]
        done: list[int] = []

        async def ask(n: int) -> None:
            assert (await site.render("own.html", asked[n])).html == f"{n}{len(asked[n]['x'])}"
            done.append(n)

        await asyncio.gather(*map(ask, range(len(asked))))
        assert done == sorted(done)

    async def test_closing_is_quick_while_many_mails_wait(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        site.renderer = renderer_of(str(site.folder), 60.0, 60.0)
        tasks = await self.asked(site, *["endless"] * 10)
        await until_busy()
        began = time.monotonic()
        await site.renderer.close()
        assert time.monotonic() - began < SLACK
        assert all(isinstance(end, RuntimeError) for end in await asyncio.gather(*tasks, return_exceptions=True))

    async def test_closing_during_start_up_leaves_no_process(self, site: Site) -> None:
        asked = asyncio.create_task(site.render())
        await asyncio.sleep(0.01)
        await site.renderer.close()
        with pytest.raises(RuntimeError, match="closed"):
            await asked
        assert not children()


class TestProcess:
    async def test_a_process_killed_between_mails_is_replaced(self, site: Site) -> None:
        await site.works()
        child().kill()
        await site.works()

    async def test_a_mail_whose_process_was_killed_is_rendered_again(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        site.renderer = renderer_of(str(site.folder), 0.5, 60.0)
        await site.works()
        asked = asyncio.create_task(site.refusal("endless.html"))
        await until_busy()
        child().kill()
        # This error is from the second process: the first was killed before it could report one.
        assert await asked == "endless.html: still not rendered after 0.5 s of CPU time"

    async def test_the_result_of_a_cancelled_request_is_discarded(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        await site.works()
        asked = asyncio.create_task(site.render("endless.html"))
        await asyncio.sleep(0.05)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await site.works()

    async def test_the_process_ignores_signals_sent_to_the_process_group(self, site: Site) -> None:
        await site.works()
        process = child()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        await site.works()
        assert child().pid == process.pid
        assert os.getpgid(process.pid) != os.getpgid(0)

    async def test_the_environment_of_the_process_contains_no_secrets(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HERALD_JWT_SECRET", "a-secret")
        await site.works()
        assert "a-secret" not in str(child().environ())

    async def test_no_module_is_imported_from_the_working_directory(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "jinja2.py").write_text("raise SystemExit(3)")
        monkeypatch.chdir(tmp_path)
        await site.works()

    @pytest.mark.parametrize("executable", ["/bin/false", "/no/such/python"])
    async def test_a_process_that_fails_to_start_fails_no_mail_permanently(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, executable: str
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", executable)
            with pytest.raises(OSError, match=r"does not start|No such file"):
                await site.render()
        await site.works()


class TestClosing:
    async def test_closing_is_quick_and_idempotent(self, site: Site) -> None:
        await site.works()
        began = time.monotonic()
        await site.renderer.close()
        await site.renderer.close()
        assert time.monotonic() - began < SLACK
        assert not children()
        with pytest.raises(RuntimeError, match="closed"):
            await site.render()

    async def test_closing_before_the_first_mail(self, site: Site) -> None:
        await site.renderer.close()

    async def test_closing_does_not_wait_for_a_template(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        site.renderer = renderer_of(str(site.folder), 60.0, 60.0)
        await site.works()
        asked = asyncio.gather(*(site.render("endless.html") for _ in range(3)), return_exceptions=True)
        await until_busy()
        began = time.monotonic()
        await site.renderer.close()
        assert time.monotonic() - began < SLACK
        assert [type(outcome) for outcome in await asked] == [RuntimeError] * 3


# A server that is going to be killed: it renders one template and prints the process id, then renders the others.
SERVER = """
import asyncio, sys
from adapters.mail.render_client import ProcessRenderer
from tests.integration.test_mail_renderer import item

async def main(folder, limit, patience, *templates):
    renderer = ProcessRenderer(folder, float(limit), float(patience))
    await renderer.render(item("ready.html", {}))
    print(renderer._child.pid, flush=True)
    for template in templates:
        await renderer.render(item(template, {}))
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("html", "limit", "lives"),
    [(None, LIMIT, 0), (ENDLESS, 2.0, 2.0), (DEAF, LIMIT, PATIENCE * LIFETIME_FACTOR)],
    ids=["idle", "busy", "deaf"],
)
async def test_the_process_ends_after_its_server_was_killed(
    site: Site, html: str | None, limit: float, lives: float
) -> None:
    """`lives`: the number of seconds within which the process must notice."""
    site.put("ready", "x")
    site.put("last", html or "")
    command = [
        sys.executable,
        "-c",
        SERVER,
        str(site.folder),
        str(limit),
        str(PATIENCE if html == DEAF else SLACK),
        *(["last.html"] if html else []),
    ]
    environ = {"PYTHONPATH": os.pathsep.join(("src", "."))}
    server = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env=environ)
    assert server.stdout is not None
    orphan = psutil.Process(int(await server.stdout.readline()))
    try:
        before = orphan.cpu_times().user
        if html:
            await until(lambda: orphan.cpu_times().user > before + 0.05)
        server.kill()
        await server.wait()
        await until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE, lives + SLACK)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
