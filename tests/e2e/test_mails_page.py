"""The mails on the page at `/`, in a real Chromium, against a real server that writes them to a folder."""

import time
from contextlib import suppress
from pathlib import Path

import pytest
import uuid_utils.compat
from playwright.async_api import Browser, Error, Locator, Page, Route, expect

from adapters.mail.folder_mailer import FolderMailer
from adapters.mail.mailer import OutgoingMail
from application.ports.mail_folder import RenderedMail
from tests.e2e.conftest import StartServer
from tests.support.clients import publish, token
from tests.support.core import NOW
from tests.support.pages import IN_BROWSER_LOOP, SOON, Watch, both_show, open_page, send
from tests.support.reading import until
from tests.support.server import SECRET, Server

CREATED = "order.created"

pytestmark = IN_BROWSER_LOOP


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mails")


@pytest.fixture(scope="module")
def shared_server(start_shared_server: StartServer, folder: Path) -> Server:
    return start_shared_server({"HERALD_MAIL_FOLDER": str(folder)})


@pytest.fixture
def server(shared_server: Server, folder: Path) -> Server:
    """The shared server, without mails. Every test waits for the mails that it causes."""
    for mail in folder.glob("*.eml"):
        mail.unlink()
    return shared_server


def section(page: Page) -> Locator:
    return page.get_by_role("region", name="Mails", exact=True)


def mails(page: Page) -> Locator:
    return page.get_by_role("list", name="Mails", exact=True).get_by_role("listitem")


def order(id: str, customer: str = "Kim Lee") -> dict[str, str]:
    return {"order_id": id, "customer_name": customer, "customer_email": "kim@example.com"}


async def shown(page: Page, subjects: list[str], within: int = SOON) -> None:
    """Wait until the list shows exactly these mails, newest first."""
    await expect(mails(page).locator("b")).to_have_text(subjects, timeout=within)


async def connect(page: Page, user: str, token: str) -> None:
    if not token:  # which contains the name of the user
        await page.get_by_label("User ID").fill(user)
    await page.get_by_label("Token of the user").fill(token)
    await page.get_by_role("button", name="Connect", exact=True).click()


async def test_a_click_on_a_sample_shows_its_mail(server: Server, page: Page) -> None:
    watch = Watch(page)
    await open_page(page, server.url)
    await shown(page, [])
    await send(page, "An order comes in").click()
    await shown(page, ["Order o-1 received"])
    await send(page, "An order is shipped").click()
    await shown(page, ["Order o-1: shipped", "Order o-1 received"])
    await expect(mails(page).last).to_contain_text("kim@example.com")

    first = mails(page).last
    await first.get_by_text("Order o-1 received").click()
    letter = first.frame_locator("iframe")
    await expect(letter.get_by_role("heading")).to_have_text("We have your order")
    await expect(letter.get_by_text("42.50 EUR")).to_be_visible()
    await mails(page).first.get_by_text("Order o-1: shipped").click()
    await expect(mails(page).first.frame_locator("iframe").get_by_text("JD0003456789")).to_be_visible()
    await expect(first.locator("iframe")).to_have_count(0)

    assert watch.complaints == []
    own = (server.url, server.main_ws_url, "data:", "about:srcdoc")
    assert [url for url in watch.requests if not url.startswith(own)] == []


async def test_an_open_mail_stays_unchanged_when_others_arrive(server: Server, page: Page) -> None:
    await open_page(page, server.url)
    await publish(server, CREATED, order("1"))
    await shown(page, ["Order 1 received"])
    await mails(page).first.locator("summary").click()
    await expect(mails(page).first.frame_locator("iframe").get_by_role("heading")).to_be_visible()
    loaded: list[str] = []
    page.on("framenavigated", lambda frame: loaded.append(frame.url))
    await page.evaluate("window.before = document.querySelector('#written li')")

    await publish(server, CREATED, *(order(str(n)) for n in range(2, 23)))
    await expect(mails(page)).to_have_count(21, timeout=10_000)
    await expect(mails(page).last.locator("b")).to_have_text("Order 1 received")
    assert await page.evaluate("window.before === document.querySelector('#written li:last-child')")
    await expect(mails(page).last.frame_locator("iframe").get_by_role("heading")).to_be_visible()
    assert loaded == []


async def test_a_mail_runs_no_script_loads_nothing_and_opens_links_in_a_new_tab(
    server: Server, page: Page, folder: Path
) -> None:
    asked: list[str] = []

    async def answer(route: Route) -> None:
        asked.append(route.request.url)
        await route.abort()

    # The browser reports requests that the page's policy then blocks; this list has those that are really sent.
    await page.route("http://outside.invalid/**", answer)
    html = f"""<!doctype html><html><head><base href="http://outside.invalid/" target="_self">
        <meta http-equiv="refresh" content="0; url=http://outside.invalid/refresh">
        <link rel="stylesheet" href="http://outside.invalid/style.css"></head>
        <body onload="parent.caught = 1"><script>parent.caught = 1; top.location = "/caught"</script>
        <img src="http://outside.invalid/image.png" onerror="parent.caught = 1">
        <p style="color: rgb(1, 2, 3); background: url(http://outside.invalid/p.png)">The text</p>
        <iframe src="http://outside.invalid/frame"></iframe>
        <a href="{server.url}/health/live">Track it</a></body></html>"""
    markup = "<img src=/x onerror='window.caught=1'>"
    mail = OutgoingMail(uuid_utils.compat.uuid7().hex, "kim@example.com", markup, NOW, RenderedMail(html, "text"))
    await FolderMailer(str(folder), "herald@localhost").send(mail, time.monotonic() + 20)
    await open_page(page, server.url)
    await shown(page, [markup])
    await mails(page).locator("summary").click()
    letter = mails(page).frame_locator("iframe")
    await expect(letter.get_by_text("The text")).to_have_css("color", "rgb(1, 2, 3)")

    beside = await clicked(page, letter.get_by_role("link"))
    await expect(beside.locator("body")).to_contain_text("alive")
    assert await beside.evaluate("[window.opener, document.referrer]") == [None, ""]
    await expect(letter.get_by_text("The text")).to_be_visible()
    assert await page.evaluate("[window.caught, location.pathname]") == [None, "/"]
    assert asked == []


async def test_mails_without_a_live_event_are_found_by_polling(server: Server, page: Page) -> None:
    sent = server.log.count("delivery_sent")
    await open_page(page, server.url)
    await page.get_by_label("orders").uncheck()
    await publish(server, CREATED, order("1"))
    await until(lambda: server.log.count("delivery_sent") == sent + 1)
    await section(page).get_by_role("button", name="Refresh").click()
    await shown(page, ["Order 1 received"])

    await publish(server, CREATED, order("2"))
    await until(lambda: server.log.count("delivery_sent") == sent + 2)
    await shown(page, ["Order 1 received"])
    await page.evaluate("dispatchEvent(new Event('focus'))")
    await shown(page, ["Order 2 received", "Order 1 received"])


async def test_without_a_mail_folder_the_section_is_hidden(start_server: StartServer, page: Page) -> None:
    server = start_server({"SMTP_HOST": "127.0.0.1", "SMTP_PORT": "1"})
    watch = Watch(page)
    async with page.expect_response(lambda response: "/api/v1/mails" in response.url) as asked:
        await open_page(page, server.url)
    assert (await asked.value).status == 404
    await expect(section(page)).to_be_hidden()
    watch.requests.clear()
    await send(page, "An order comes in").click()
    await both_show(page, [CREATED])
    await page.wait_for_timeout(1_000)
    assert not [url for url in watch.requests if "/api/v1/mails" in url]
    await expect(section(page)).to_be_hidden()


async def test_with_tokens_mails_are_visible_to_admins_only(start_server: StartServer, page: Page) -> None:
    server = start_server({"HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET})
    watch = Watch(page)
    await publish(server, CREATED, order("1"), token=token("shop", scope="events:publish"))
    await open_page(page, server.url)
    await expect(section(page)).to_be_hidden()
    assert not [url for url in watch.requests if "/api/v1/mails" in url]

    async with page.expect_response(lambda response: "/api/v1/mails" in response.url) as asked:
        await connect(page, "bob", token("bob"))
    assert (await asked.value).status == 403
    await expect(section(page)).to_be_hidden()

    admin = token("alice", scope="admin")
    await connect(page, "alice", admin)
    await shown(page, ["Order 1 received"])
    await mails(page).locator("summary").click()
    letter = mails(page).frame_locator("iframe")
    await expect(letter.get_by_role("heading")).to_have_text("We have your order")
    asked_for = [url for url in watch.requests if "/api/v1/mails" in url]
    assert len(asked_for) >= 3
    assert not [url for url in asked_for if "?" in url]

    await connect(page, "bob", token("bob"))
    await expect(section(page)).to_be_hidden()
    await expect(mails(page)).to_have_count(0)


async def test_nothing_overflows_on_a_phone(server: Server, browser: Browser) -> None:
    async with await browser.new_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True) as page:
        await open_page(page, server.url)
        await publish(server, CREATED, order("x" * 200), order("2"))
        await expect(mails(page)).to_have_count(2, timeout=SOON)
        await mails(page).last.locator("summary").click()
        await expect(mails(page).last.frame_locator("iframe").get_by_role("heading")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        box = await mails(page).first.locator("summary").bounding_box()
        assert box is not None
        assert box["height"] >= 40, "too low for a thumb"


async def clicked(page: Page, link: Locator) -> Page:
    """Return the tab that a link opens. Chromium sometimes loses a click while the frame is still loading."""
    for patience in (1_000, 3_000, 20_000):
        with suppress(Error):
            async with page.expect_popup(timeout=patience) as opening:
                await link.click()
            return await opening.value
    raise AssertionError("the link opens nothing")
