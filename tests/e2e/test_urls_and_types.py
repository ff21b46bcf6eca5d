"""A routes file with titles of types and URLs of notifications: on sockets, event streams, REST, the page, in mails."""

from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import StartServer
from tests.support.clients import connect, frame, objects, publish, stream, until_http
from tests.support.pages import IN_BROWSER_LOOP, SOON, Watch, open_page
from tests.support.server import Server

MARKUP = "<img src=x onerror=document.title='hit'>"
ROUTES = f"""
profile = "helpdesk"
broker = "memory"

[types.ticket_commented]
title = "Comments {MARKUP}"

[[routes]]
source = "ticket.commented"
users = ["watcher"]
as_type = "ticket_commented"
inbox = {{ title = "{{author}} commented", url = "/tickets/{{ticket}}#comment" }}
email = {{ to = "mail", subject = "A comment", template = "comment.html" }}

[[routes]]
source = "ticket.linked"
users = ["watcher"]
as_type = "ticket_linked"
inbox = {{ title = "A link", url = "{{link}}" }}
"""


def environment(folder: Path) -> dict[str, str]:
    """Write the routes and the templates to the folder. Returns the settings that name them."""
    (folder / "helpdesk.toml").write_text(ROUTES)
    (folder / "comment.html").write_text('<a href="{{ event.url }}">Open</a>')
    (folder / "comment.txt").write_text("Open {{ event.url }}")
    return {"HERALD_ROUTES": str(folder / "helpdesk.toml"), "HERALD_MAIL_TEMPLATES": str(folder)}


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return start_shared_server(environment(tmp_path_factory.mktemp("helpdesk")))


async def test_sockets_event_streams_and_rest_have_the_url(server: Server) -> None:
    async with (
        connect(f"{server.ws_url}/ws?user_id=ada", subprotocols=["herald.v1"]) as socket,
        stream(server, "?user_id=ada&protocol=1") as events,
        connect(f"{server.ws_url}/ws?user_id=ada") as plain,
    ):
        await socket.send('{"resume": {}}')
        assert [one["kind"] for one in await objects(socket, 1)] == ["hello"]
        assert (await events.next())[1]["kind"] == "hello"
        await publish(server, "ticket.commented", {"watcher": "ada", "author": "kim", "ticket": "7/8"})
        await publish(server, "ticket.linked", {"watcher": "ada", "link": "javascript:alert(1)"})
        linked, unlinked = await objects(socket, 2)
        assert (linked["title"], linked["url"]) == ("kim commented", "/tickets/7%2F8#comment")
        assert "url" not in unlinked
        assert [(await events.next())[1] for _ in range(2)] == [linked, unlinked]
        assert set(await frame(plain)) == {"event_type", "data"}
    async with httpx.AsyncClient(base_url=server.url) as client:
        listed = (await client.get("/api/v2/notifications?user_id=ada")).json()["data"]
        assert [one["url"] for one in listed] == [None, "/tickets/7%2F8#comment"]
        metrics = (await client.get("/metrics", headers={"accept": "text/plain"})).text
    assert 'herald_refused_urls_total{route="helpdesk/2"} 1.0' in metrics
    assert "notification_url_refused" in server.log


async def test_a_mail_has_the_url_under_the_public_url(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server({**environment(tmp_path), "HERALD_PUBLIC_URL": "https://desk.example"})
    event = {"watcher": "bob", "author": "kim", "ticket": 9, "mail": "bob@desk.example"}
    await publish(server, "ticket.commented", event)
    mails = await until_http(server, "/api/v1/mails", lambda mails: bool(mails["items"]), 20)
    async with httpx.AsyncClient(base_url=server.url) as client:
        html = (await client.get(f"/api/v1/mails/{mails['items'][0]['id']}")).text
    assert html.strip() == '<a href="https://desk.example/tickets/9#comment">Open</a>'


async def test_types_are_listed_with_their_titles(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/api/v2/types")).status_code == 401
        listed = (await client.get("/api/v2/types?user_id=ada")).json()
    assert listed == {
        "data": [
            {"type": "ticket_commented", "title": f"Comments {MARKUP}", "profiles": ["helpdesk"]},
            {"type": "ticket_linked", "title": "Ticket linked", "profiles": ["helpdesk"]},
        ]
    }


@IN_BROWSER_LOOP
async def test_the_page_links_to_safe_urls_and_shows_titles_as_text(server: Server, page: Page) -> None:
    watch = Watch(page)
    await open_page(page, server.url)
    events = [{"watcher": "alice", "link": link} for link in ("javascript:alert(1)", "https://desk.example/8?a=b&c")]
    await publish(server, "ticket.linked", *events)
    await publish(server, "ticket.commented", {"watcher": "alice", "author": MARKUP, "ticket": 7})
    rows = page.get_by_role("list", name="Notifications").get_by_role("listitem")
    await expect(rows).to_have_count(3, timeout=SOON)
    comment, link, refused = (rows.nth(number) for number in range(3))
    own = f"{server.url}/tickets/7#comment"
    await expect(comment.get_by_role("link", name=f"{MARKUP} commented")).to_have_attribute("href", own)
    await expect(link.get_by_role("link", name="A link")).to_have_attribute("href", "https://desk.example/8?a=b&c")
    await expect(link.get_by_role("link")).to_have_attribute("rel", "noopener")
    await expect(refused).to_contain_text("A link")
    await expect(refused.get_by_role("link")).to_have_count(0)

    await comment.get_by_role("button", name="Mute").click()
    await page.get_by_text("Preferences", exact=True).click()
    muted = page.get_by_role("list", name="Muted types").get_by_role("listitem")
    await expect(muted).to_contain_text(f"Comments {MARKUP} (ticket_commented)")
    assert await page.locator("img").count() == 0
    assert "hit" not in await page.title()
    assert watch.complaints == []


@IN_BROWSER_LOOP
@pytest.mark.parametrize("url", ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "https://"])
async def test_the_page_makes_no_link_of_a_url_that_is_not_http(server: Server, page: Page, url: str) -> None:
    """Whatever a server sends, the page does not trust it."""
    await open_page(page, server.url)
    made = await page.evaluate("async (url) => (await import('./page/dom.js')).safeUrl(url)", url)
    assert made is None
