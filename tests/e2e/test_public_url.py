"""Behind a gateway that strips a path prefix (a real nginx), every address that Herald returns is reachable."""

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from playwright.async_api import Page, expect
from websockets.exceptions import InvalidStatus

from adapters.http.errors.problem_catalogue import KINDS
from tests.nginx_fixtures import StartNginx
from tests.support.clients import connect, publish
from tests.support.listening import HERALD, Listen
from tests.support.pages import IN_BROWSER_LOOP, SOON, Watch, both_show, open_page, send
from tests.support.server import Server
from tests.support.service import free_port

PATIENCE: Final = 30.0

# docs/deploying.md, "Behind a path".
STRIPPED: Final = r"""
        if ($uri !~ "^/herald(/|$)") { return 404; }
        rewrite "^/herald$" / last;
        rewrite "^/herald(/.*)$" $1 last;
"""


class Site:
    """A Herald at `base`, a path of the proxy."""

    def __init__(self, base: str, server: Server) -> None:
        self.url = base
        self.server = server


@pytest.fixture(scope="module")
def site(start_shared_nginx: StartNginx) -> Iterator[Site]:
    port = free_port()
    # Herald's own host name: a Location repeats it.
    limit = "\n        limit_conn connections 2000;"
    proxy = start_shared_nginx([port, port], {limit: limit + STRIPPED})
    base = f"{proxy.url}/herald"
    server = Server({"HERALD_PUBLIC_URL": f"{base}/"}, port=port)
    try:
        server.start(ready=True)
        yield Site(base, server)
    finally:
        server.kill()
        print(server.log[-10_000:])


def get(url: str, **more: Any) -> httpx.Response:
    return httpx.get(url, timeout=PATIENCE, **more)


def addresses(value: Any) -> Iterator[str]:
    """Yield every string of a JSON document that a client could use as an address of this service."""
    if isinstance(value, dict):
        for name, inner in value.items():
            # OpenAPI paths and AsyncAPI channel addresses are relative to their servers.
            if name not in ("paths", "address", "channels", "examples", "example"):
                yield from addresses(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from addresses(inner)
    elif isinstance(value, str):
        yield from re.findall(r"https?://[^\s)`\"'>]+|(?<=\()/[^\s)]*", value)


def test_every_problem_type_is_reachable(site: Site) -> None:
    answers = [
        get(site.url + "/api/v2/nowhere"),
        get(site.url + "/api/v2/notifications"),
        get(site.url + "/api/v2/notifications?user_id=ada&nonsense=1"),
        get(site.url + "/api/v2/notifications?user_id=ada&start_date=x"),
        httpx.post(site.url + "/health/live", timeout=PATIENCE),
        get(site.url + "/events/stream?cursor=x&feeds=nowhere"),
    ]
    assert {answer.status_code for answer in answers} >= {404, 401, 400, 422, 405}
    for answer in answers:
        body = answer.json()
        assert body["type"] == f"{site.url}/problems/{body['code']}"
        described = get(body["type"])
        assert (described.status_code, described.json()["type"]) == (200, body["type"])
    page = get(site.url + "/problems", headers={"accept": "text/html"}).text
    assert re.findall('href="([^"]+)"', page) == [f"{site.url}/problems/{code}" for code in KINDS]
    one = get(f"{site.url}/problems/not_found", headers={"accept": "text/html"}).text
    assert re.findall('href="([^"]+)"', one) == [f"{site.url}/problems"]
    assert {kind["type"] for kind in get(site.url + "/problems").json()} == {
        f"{site.url}/problems/{code}" for code in KINDS
    }


async def test_the_problem_type_of_a_refused_handshake_is_reachable(site: Site) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(site.url.replace("http", "ws") + "/ws", origin="https://evil.example")
    assert f'"type":"{site.url}/problems/origin_refused"'.encode() in bytes(refused.value.response.body or b"")


async def test_link_headers_are_reachable(site: Site) -> None:
    event = {"event_type": "group_user_added", "receivers": ["ada"]}
    await publish(site.server, "user_service.group.add_users", *({**event, "n": n} for n in range(3)))
    url: str | None = site.url + "/api/v2/notifications?user_id=ada&limit=1"
    seen = []
    while url is not None:
        answer = get(url)
        seen += [item["data"]["n"] for item in answer.json()["data"]]
        assert answer.links["first"]["url"].startswith(site.url + "/api/v2/notifications?")
        url = answer.links.get("next", {}).get("url")
    assert seen == [2, 1, 0]


def test_documents_name_the_public_server(site: Site) -> None:
    openapi = get(site.url + "/schema/openapi.json").json()
    assert openapi["servers"] == [{"url": site.url}]
    asyncapi = get(site.url + "/schema/asyncapi.json").json()
    host = urlsplit(site.url).netloc
    assert asyncapi["servers"]["ws"] == {"host": host, "protocol": "ws", "pathname": "/herald"}
    found = [*addresses(openapi), *addresses(asyncapi)]
    assert all(url.startswith(site.url) for url in found), found
    assert f"{site.url}/problems" in found
    for endpoint in get(site.url, headers={"accept": "application/json"}).json()["endpoints"]:
        assert endpoint["url"].replace("ws://", "http://").startswith(site.url + endpoint["path"]), endpoint
        if endpoint["for"] in ("documents", "operations") and not endpoint["path"].startswith(("/health", "/metrics")):
            assert get(endpoint["url"]).status_code in (200, 401), endpoint


@pytest.mark.parametrize("path", ["", "/schema"])
def test_addresses_in_pages_do_not_depend_on_a_trailing_slash(site: Site, path: str) -> None:
    texts = set()
    for address in (site.url + path, site.url + path + "/"):
        answer = get(address, headers={"accept": "text/html"})
        assert answer.status_code == 200
        texts.add(answer.text)
        base = urljoin(address, "".join(re.findall('<base href="([^"]+)"', answer.text)))
        linked = [urljoin(base, url) for url in re.findall('(?:src|href)="([^"]+)"', answer.text)]
        assert len(linked) > 2
        assert all(url.startswith((site.url + "/", "data:")) for url in linked), linked
    assert len(texts) == 1


@IN_BROWSER_LOOP
async def test_the_schema_page_works(site: Site, page: Page) -> None:
    watch = Watch(page)
    await page.goto(site.url + "/schema")
    operation = page.locator("#operations-notifications-unread_count")
    await operation.click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()
    await expect(operation.locator(".request-url")).to_contain_text(site.url + "/api/v2/notifications/unread-count")
    assert all(url.startswith((site.url + "/", "data:")) for url in watch.requests), watch.requests


@IN_BROWSER_LOOP
async def test_the_front_page_works_below_the_base(site: Site, page: Page) -> None:
    watch = Watch(page)
    await open_page(page, site.url)
    await send(page, "A product is created").click()
    await both_show(page, ["ProductCreated"], SOON)
    await expect(page.locator("#command")).to_contain_text(f"curl {site.url}/api/v1/events")
    for client in ("WebSocket", "SSE"):
        address = page.get_by_role("region", name=client, exact=True).locator(".address")
        await expect(address).to_contain_text("/herald/")
    base = site.url.removeprefix("http")
    requests = [url for url in watch.requests if not url.startswith("data:")]
    assert all(url.removeprefix("http").removeprefix("ws").startswith(base) for url in requests), requests
    assert watch.complaints == []


async def test_one_public_url_works_for_all_commands(site: Site, tmp_path: Path) -> None:
    listening = Listen(tmp_path, "--user", "ada", env={"HERALD_URL": site.url}).start()
    try:
        await listening.until_news("connected")
        run = await asyncio.to_thread(
            subprocess.run,
            [HERALD, "publish", "trading_signals", "-"],
            input=b'{"symbol": "ACME"}',
            env={**os.environ, "HERALD_URL": site.url},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        await listening.until_printed(1)
        assert listening.objects[0]["data"] == {"symbol": "ACME"}
    finally:
        listening.stop()


def test_dev_prints_the_public_url(site: Site) -> None:
    assert f"Open      {site.url}/" in site.server.log
    assert f"curl -N {site.url}/events/stream" in site.server.log
    assert f"publish --url {site.url} " in site.server.log
