"""Mail templates in a process of their own, and what templates can do to it."""

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

import psutil
import pytest
import uvloop

from adapters.mail.mailer import Unrenderable
from adapters.mail.render_process import LIFETIME
from adapters.mail.renderer import TOGETHER, ProcessRenderer
from application.ports.mail_folder import RenderedMail
from domain.deliveries import Item
from tests.support.reading import until

NOW = datetime(2026, 3, 7, 10, tzinfo=UTC)
ORDER = {"order_id": 7, "status": "shipped"}

# Seconds of computing, so that a test need not wait for 2; and what the machine may add to what is waited for.
LIMIT = 0.3
SLACK = 10.0

# Seconds for a template that is deaf, where that is what is tried.
PATIENCE = 1.5

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}x"
# One call into C that copies gigabytes: no signal is heard until it is over, in more than a minute.
DEAF = "{{ ([[1]] * 10**6)|sum(start=[])|length }}"


class Site:
    """A renderer with a folder of templates of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.renderer = ProcessRenderer(str(folder), LIMIT, SLACK)

    def hurry(self) -> None:
        """Waits for no deaf template."""
        self.renderer = ProcessRenderer(str(self.folder), LIMIT, PATIENCE)

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
    """The process, which is there, has something to do that takes it a while."""
    before = child().cpu_times().user
    await until(lambda: child().cpu_times().user > before + 0.1)


class TestFilling:
    async def test_many_ask_at_once_and_each_gets_its_own(self, site: Site) -> None:
        site.put("own", "number {{ order_id }}")
        letters = await asyncio.gather(*(site.render("own.html", {"order_id": n}) for n in range(200)))
        assert [letter.html for letter in letters] == [f"number {n}" for n in range(200)]

    async def test_the_event_comes_across_as_it_was(self, site: Site) -> None:
        site.put("own", "{{ x|safe }} {{ event.time.isoformat() }} {{ event.id }}")
        x = "€ 😀 <\0>" + "x" * 300_000
        assert (await site.render("own.html", {"x": x})).html == f"{x} {NOW.isoformat()} e-1"

    async def test_one_process_serves_all_and_sees_edits(self, site: Site) -> None:
        site.put("own", "first")
        assert (await site.render("own.html")).html == "first"
        pid = child().pid
        site.put("own", "second")
        assert (await site.render("own.html")).html == "second"
        assert child().pid == pid

    async def test_what_is_missing_is_named(self, site: Site) -> None:
        assert await site.refusal("nosuch.html") == "nosuch.html: there is no template nosuch.html"
        with pytest.raises(Unrenderable, match="the event has no 'order_id'"):
            await site.render("order_created.html", {})
        await site.works()

    def test_it_works_on_the_servers_loop_too(self, tmp_path: Path) -> None:
        async def main() -> None:
            site = Site(tmp_path)
            site.put("endless", ENDLESS)
            assert "still not done" in await site.refusal("endless.html")
            await site.works()
            child().kill()
            await site.works()
            child().kill()
            # Long enough for the loop to notice: its pipes are closed then.
            await asyncio.sleep(0.2)
            await site.works()
            await site.renderer.close()

        uvloop.run(main())
        assert not children()


class TestHostileTemplates:
    @pytest.mark.parametrize(
        ("html", "words"),
        [
            (ENDLESS, f"hostile.html: still not done after {LIMIT:g} s"),
            ("{{ 9**(9**9) }}", f"hostile.html: still not done after {LIMIT:g} s"),
            ("{{ 'a' * 10**10 }}", "hostile.html, line 1: it needs more memory than a mail may"),
            ("{{ 'a'|center(10**10) }}", "hostile.html, line 1: it needs more memory than a mail may"),
            ("{{ (['a'] * 10**10)|join }}", "hostile.html, line 1: it needs more memory than a mail may"),
            ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "hostile.html, line 1: it calls itself without end"),
            ('{% include "hostile.html" %}', "hostile.html, line 1: it calls itself without end"),
            ("{{ 'a' * 2_000_000 }}", "hostile.html: it is filled to more than 1000000 bytes"),
            ('{% include "/etc/passwd" %}', "hostile.html: there is no template /etc/passwd"),
            ('{% include "../../etc/passwd" %}', "hostile.html: there is no template ../../etc/passwd"),
            ("{{ ''.__class__.__mro__ }}", "hostile.html, line 1: this is not allowed: "),
        ],
    )
    async def test_each_costs_its_own_mail_only(self, site: Site, html: str, words: str) -> None:
        await site.works()
        pid = child().pid
        site.put("hostile", html)
        began = time.monotonic()
        assert words in await site.refusal("hostile.html")
        assert time.monotonic() - began < SLACK
        await site.works()
        assert child().pid == pid

    async def test_those_who_wait_behind_one_get_their_mails(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        refused, *letters = await asyncio.gather(site.refusal("endless.html"), *(site.render() for _ in range(20)))
        assert "still not done" in refused
        assert len(letters) == 20

    async def test_one_that_hears_no_signal_is_ended_from_outside(self, site: Site) -> None:
        site.put("deaf", DEAF)
        site.hurry()
        await site.works()
        before = child().pid
        began = time.monotonic()
        refused, letter = await asyncio.gather(site.refusal("deaf.html"), site.render())
        assert refused == "deaf.html: the process that fills it dies of it, or hangs"
        assert "on its way" in letter.text
        assert time.monotonic() - began < 2 * PATIENCE + SLACK
        assert child().pid != before


class TestTogether:
    """Those who ask while others are answered go to the process together."""

    async def asked(self, site: Site, *templates: str) -> list[asyncio.Task[RenderedMail]]:
        """All behind one that is being filled, and so in one batch."""
        site.put("slow", "{% for a in range(99999) %}{% endfor %}slow {{ order_id }}")
        await site.works()
        tasks = [asyncio.create_task(site.render(f"{name}.html")) for name in ("slow", *templates)]
        await asyncio.sleep(0)
        return tasks[1:]

    async def test_one_that_ends_the_process_spoils_no_other(self, site: Site) -> None:
        site.put("deaf", DEAF)
        site.put("own", "number {{ order_id }}")
        site.hurry()
        before, deaf, behind = await self.asked(site, "own", "deaf", "own")
        assert (await before).html == "number 7"
        # It has its letter before the other is done.
        assert not deaf.done()
        assert (await behind).html == "number 7"
        with pytest.raises(Unrenderable, match="dies of it, or hangs"):
            await deaf

    async def test_each_has_its_answer_as_soon_as_it_is_there(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        tasks = await self.asked(site, *["endless"] * 6)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) < 6
        for task in tasks:
            with pytest.raises(Unrenderable, match="still not done"):
                await task

    async def test_a_process_that_is_killed_in_the_middle_costs_nobody_a_mail(self, site: Site) -> None:
        site.put("own", "number {{ order_id }}")
        tasks = await self.asked(site, *["own"] * 10)
        await until(lambda: bool(children()))
        child().kill()
        assert [letter.html for letter in await asyncio.gather(*tasks)] == ["number 7"] * 10

    async def test_those_who_leave_take_nothing_with_them(self, site: Site) -> None:
        site.put("own", "number {{ order_id }}")
        tasks = await self.asked(site, *["own"] * 10)
        for task in tasks[::2]:
            task.cancel()
        assert [letter.html for letter in await asyncio.gather(*tasks[1::2])] == ["number 7"] * 5
        left = await asyncio.gather(*tasks[::2], return_exceptions=True)
        assert [type(end) for end in left] == [asyncio.CancelledError] * 5
        await site.works()

    async def test_more_than_go_together_keep_their_order(self, site: Site) -> None:
        site.put("own", "{{ n }}{{ x|length }}")
        large = "x" * 600_000
        asked = [{"n": n, "x": large if n in (3, 4, 5) else ""} for n in range(3 * TOGETHER)]
        done: list[int] = []

        async def ask(n: int) -> None:
            assert (await site.render("own.html", asked[n])).html == f"{n}{len(asked[n]['x'])}"
            done.append(n)

        await asyncio.gather(*map(ask, range(len(asked))))
        assert done == sorted(done)

    async def test_closing_while_many_wait_is_quick(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        site.renderer = ProcessRenderer(str(site.folder), 60.0, 60.0)
        tasks = await self.asked(site, *["endless"] * 10)
        await until_busy()
        began = time.monotonic()
        await site.renderer.close()
        assert time.monotonic() - began < SLACK
        assert all(isinstance(end, RuntimeError) for end in await asyncio.gather(*tasks, return_exceptions=True))

    async def test_closing_while_the_process_starts_starts_none(self, site: Site) -> None:
        asked = asyncio.create_task(site.render())
        await asyncio.sleep(0.01)
        await site.renderer.close()
        with pytest.raises(RuntimeError, match="closed"):
            await asked
        assert not children()


class TestTheProcess:
    async def test_one_that_was_killed_between_mails_is_missed_by_nobody(self, site: Site) -> None:
        await site.works()
        child().kill()
        await site.works()

    async def test_what_one_was_killed_at_is_tried_again(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        site.renderer = ProcessRenderer(str(site.folder), 2.0, 60.0)
        await site.works()
        asked = asyncio.create_task(site.refusal("endless.html"))
        await until_busy()
        child().kill()
        # Said by the second process: the first has said nothing.
        assert await asked == "endless.html: still not done after 2 s"

    async def test_an_answer_that_nobody_waits_for_goes_to_nobody(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        await site.works()
        asked = asyncio.create_task(site.render("endless.html"))
        await asyncio.sleep(0.05)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await site.works()

    async def test_it_goes_on_when_all_are_told_to_end(self, site: Site) -> None:
        await site.works()
        process = child()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        await site.works()
        assert child().pid == process.pid
        assert os.getpgid(process.pid) != os.getpgid(0)

    async def test_it_is_told_no_secrets(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HERALD_JWT_SECRET", "a-secret")
        await site.works()
        assert "a-secret" not in str(child().environ())

    async def test_no_module_comes_from_the_working_directory(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "jinja2.py").write_text("raise SystemExit(3)")
        monkeypatch.chdir(tmp_path)
        await site.works()

    @pytest.mark.parametrize("executable", ["/bin/false", "/no/such/python"])
    async def test_one_that_does_not_start_is_no_mails_fault(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, executable: str
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", executable)
            with pytest.raises(OSError, match=r"does not start|No such file"):
                await site.render()
        await site.works()


class TestClosing:
    async def test_it_is_quick_and_can_be_done_twice(self, site: Site) -> None:
        await site.works()
        began = time.monotonic()
        await site.renderer.close()
        await site.renderer.close()
        assert time.monotonic() - began < SLACK
        assert not children()
        with pytest.raises(RuntimeError, match="closed"):
            await site.render()

    async def test_before_any_mail(self, site: Site) -> None:
        await site.renderer.close()

    async def test_it_waits_for_no_template(self, site: Site) -> None:
        site.put("endless", ENDLESS)
        site.renderer = ProcessRenderer(str(site.folder), 60.0, 60.0)
        await site.works()
        asked = asyncio.gather(*(site.render("endless.html") for _ in range(3)), return_exceptions=True)
        await until_busy()
        began = time.monotonic()
        await site.renderer.close()
        assert time.monotonic() - began < SLACK
        assert [type(outcome) for outcome in await asked] == [RuntimeError] * 3


# A server that is killed: it fills a template of the folder, after one that tells that the process is there.
SERVER = """
import asyncio, sys
from adapters.mail.renderer import ProcessRenderer
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
    [(None, LIMIT, 0), (ENDLESS, 5.0, 5.0), (DEAF, LIMIT, PATIENCE * LIFETIME)],
    ids=["idle", "busy", "deaf"],
)
async def test_the_process_outlives_no_server(site: Site, html: str | None, limit: float, lives: float) -> None:
    """`lives` is how many seconds it may take until it notices."""
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
