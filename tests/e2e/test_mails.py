"""Mails from end to end: events from a real broker, a real database, and a real mail server that is stopped and
started."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.clients import connect, frame, publish, silent, token
from tests.support.kafka import RealKafka
from tests.support.rabbitmq import RealRabbit
from tests.support.server import SECRET, Server
from tests.support.smtp import Mailbox, Taken

KIM: Final = "kim@example.com"

# How often Herald is killed while it sends. Ten times were tested manually; it only takes longer.
KILLS: Final = 2

CONNECTIONS: Final = 5

STATUSES: Final = (
    *("pending", "confirmed", "paid", "processing", "shipped", "out_for_delivery", "delivered", "cancelled"),
    *("returned", "refunded", "failed"),
)


def settings(mailbox: Mailbox, **more: str) -> dict[str, str]:
    return {
        "HERALD_AUTH": "open",
        "HERALD_PROFILE": "orders",
        "HERALD_BROKER": "memory",
        "HERALD_REST_RATE": "0",
        "SMTP_HOST": mailbox.host,
        "SMTP_PORT": str(mailbox.port),
        "SMTP_FROM": "Shop <noreply@shop.example>",
        "HERALD_SMTP_CONNECTIONS": str(CONNECTIONS),
        # An outage delays a mail by a few retry intervals, or by a lease: twice the attempt timeout and 5 s.
        "HERALD_MAIL_RETRY_SECONDS": "0.5",
        "HERALD_MAIL_ATTEMPT_SECONDS": "1",
        **more,
    }


def order(number: int, **more: Any) -> dict[str, Any]:
    return {"order_id": f"o-{number}", "customer_email": KIM, "customer_name": "Kim", **more}


@pytest.fixture(scope="module")
def mail_server() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def mailbox(mail_server: Mailbox) -> Mailbox:
    """The mail server, empty and with its usual responses."""
    mail_server.mails.clear()
    mail_server.latency = 0.0
    mail_server.answer = lambda command, rest: None
    return mail_server


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates")


@pytest.fixture(scope="module")
def server(mail_server: Mailbox, templates: Path) -> Iterator[Server]:
    """One server for all tests that need no special settings."""
    server = Server(settings(mail_server, HERALD_MAIL_TEMPLATES=str(templates)), ("serve",)).start(ready=True)
    yield server
    server.kill()
    print(server.log[-20_000:])


class Log:
    """The deliveries since the start of a test."""

    def __init__(self, client: httpx.AsyncClient, since: datetime) -> None:
        self._client = client
        self._since = since.isoformat()

    async def _page(self, **query: str) -> Any:
        params = {"page_size": "100", "since": self._since, **query}
        return (await self._client.get("/api/v1/notifications", params=params)).json()

    async def items(self, **query: str) -> list[dict[str, Any]]:
        """Return the deliveries, newest first."""
        found: list[dict[str, Any]] = (await self._page(**query))["items"]
        return found

    async def total(self, **query: str) -> int:
        counted: int = (await self._page(**query))["total"]
        return counted

    async def until_total(self, status: str, count: int, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while await self.total(status=status) != count:
                await asyncio.sleep(0.02)


@pytest.fixture
def since() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture
def log(client: httpx.AsyncClient, since: datetime) -> Log:
    return Log(client, since)


@asynccontextmanager
async def log_of(server: Server, since: datetime) -> AsyncIterator[Log]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield Log(client, since)


async def mails(mailbox: Mailbox, count: int, seconds: float = 20) -> list[Taken]:
    return await asyncio.to_thread(mailbox.wait_for, count, seconds)


def subjects(taken: list[Taken]) -> list[str]:
    return [str(mail.message["subject"]) for mail in taken]


@pytest.mark.parametrize(("broker", "statuses"), [("rabbitmq", STATUSES), ("kafka", STATUSES[:2])])
async def test_every_event_of_an_order_is_mailed_logged_and_pushed(
    broker: str,
    statuses: Sequence[str],
    request: pytest.FixtureRequest,
    postgres_url: str,
    mailbox: Mailbox,
    start_server: Any,
    since: datetime,
) -> None:
    """Checked in the mailbox, in the delivery log, in `/health` and on `/ws`, for each broker."""
    name = f"orders-{uuid.uuid4().hex}"
    env = settings(mailbox, HERALD_BROKER=broker, DATABASE_URL=postgres_url)
    if broker == "rabbitmq":
        rabbit: RealRabbit = request.getfixturevalue("real_rabbit")
        env |= {"RABBITMQ_HOST": "127.0.0.1", "HERALD_RABBITMQ_PORT": str(rabbit.port)}
        env |= {"RABBITMQ_EXCHANGE": name, "RABBITMQ_QUEUE": name}
    else:
        kafka: RealKafka = request.getfixturevalue("real_kafka")
        for topic in ("order.created", "order.status.updated"):
            kafka.ensure_topic(topic)
        env |= {"KAFKA_BROKERS": kafka.servers, "HERALD_KAFKA_GROUP": name}
    server: Server = start_server(env, ("serve",))

    async def send(source: str, payload: dict[str, Any]) -> None:
        body = json.dumps(payload).encode()
        if broker == "kafka":
            await asyncio.to_thread(kafka.produce, source, [body])
            return
        address = ["--server", "127.0.0.1", "--port", str(rabbit.port)]
        command = ["amqp-publish", *address, "-e", name, "-r", source, "-p", "-b", body.decode()]
        publishing = await asyncio.create_subprocess_exec(*command)
        assert await publishing.wait() == 0

    seen = []
    async with connect(f"{server.ws_url}/ws") as socket, httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/health")).json()["checks"]["mail"]["detail"].endswith(": not tried yet")
        await send("order.created", order(1, total=42.5))
        seen.append(await frame(socket, 20))
        for number, status in enumerate(statuses, 2):
            await send("order.status.updated", order(1, status=status))
            seen.append(await frame(socket, 20))
            await mails(mailbox, number)
        log = Log(client, since)
        await log.until_total("sent", 1 + len(statuses))
        logged = (await log.items(order_id="o-1", recipient=KIM))[::-1]
        one = (await client.get(f"/api/v1/notifications/{logged[0]['id']}")).json()
        check = (await client.get("/health")).json()["checks"]["mail"]
        assert (check["ok"], "not tried" in check["detail"]) == (True, False)
    expected = ["Order o-1 received", *(f"Order o-1: {status}" for status in statuses)]
    assert subjects(mailbox.mails) == [item["subject"] for item in logged] == expected
    assert [item["type"] for item in logged] == ["order.created", *["order.status.updated"] * len(statuses)]
    assert [shown["type"] for shown in seen] == ["order.created", *["order.status.updated"] * len(statuses)]
    assert [shown["data"].get("status") for shown in seen] == [None, *statuses]
    assert all(mail.recipients == (KIM,) and mail.sender == "noreply@shop.example" for mail in mailbox.mails)
    assert len({mail.message["message-id"] for mail in mailbox.mails}) == 1 + len(statuses)
    # Each mail has its own text.
    assert len({mail.body("plain").splitlines()[0] for mail in mailbox.mails}) == 1 + len(statuses)
    assert "Kim" in mailbox.mails[0].body("html")
    assert "42.5" in mailbox.mails[0].body("plain")
    assert [(attempt["result"], attempt["code"]) for attempt in one["attempt_log"]] == [("sent", 250)]


async def test_an_unavailable_mail_server_delays_mails_without_loss(
    server: Server, client: httpx.AsyncClient, log: Log, mailbox: Mailbox
) -> None:
    await publish(server, "order.created", order(0))
    await mails(mailbox, 1)
    mailbox.stop()
    async with connect(f"{server.ws_url}/ws") as socket:
        await publish(server, "order.created", *(order(number) for number in range(1, 11)))
        # Live clients receive them immediately.
        assert [(await frame(socket))["data"]["order_id"] for _ in range(10)] == [f"o-{n}" for n in range(1, 11)]
    async with asyncio.timeout(10):
        while (health := (await client.get("/health")).json())["status"] != "degraded":
            await asyncio.sleep(0.02)
    assert f"{mailbox.host}:{mailbox.port}" in health["checks"]["mail"]["detail"]
    assert (await client.get("/health/ready")).status_code == 200
    assert (await log.total(status="pending"), await log.total(status="sent")) == (10, 1)
    mailbox.start()
    await log.until_total("sent", 11)
    assert sorted(subjects(mailbox.mails)) == sorted(f"Order o-{number} received" for number in range(11))
    assert (await client.get("/health")).json()["status"] == "healthy"


async def test_killing_herald_while_it_sends_loses_no_mail(
    start_server: Any, postgres_url: str, mailbox: Mailbox, since: datetime
) -> None:
    """Every mail is sent. At most the mails in progress are sent twice, with the same Message-ID."""
    count = 60 * KILLS
    mailbox.latency = 0.01
    server: Server = start_server(settings(mailbox, DATABASE_URL=postgres_url), ("serve",))
    await publish(server, "order.created", *(order(number) for number in range(count)))
    for _ in range(KILLS):
        await mails(mailbox, len(mailbox.mails) + 30)
        server.kill()
        await asyncio.to_thread(server.start, True)
    async with log_of(server, since) as log:
        await log.until_total("sent", count, 60)
    times = Counter(subjects(mailbox.mails))
    assert times.keys() == {f"Order o-{number} received" for number in range(count)}
    assert len(mailbox.mails) - count <= KILLS * 2 * CONNECTIONS
    ids = {(str(mail.message["subject"]), mail.message["message-id"]) for mail in mailbox.mails}
    assert len(ids) == count


async def test_nodes_share_the_deliveries_without_duplicates(
    start_server: Any, postgres_url: str, mailbox: Mailbox, since: datetime
) -> None:
    mailbox.latency = 0.01
    servers: list[Server] = [start_server(settings(mailbox, DATABASE_URL=postgres_url), ("serve",)) for _ in range(2)]
    await publish(servers[0], "order.created", *(order(number) for number in range(100)))
    async with log_of(servers[0], since) as log:
        await log.until_total("sent", 100)
    assert sorted(Counter(subjects(mailbox.mails)).values()) == [1] * 100
    async with httpx.AsyncClient() as client:
        counts = [(await client.get(f"{server.url}/metrics")).json() for server in servers]
    shares = [count["mailAttempts"].get("sent", 0) for count in counts]
    assert sum(shares) == 100
    assert min(shares) > 0


async def test_a_shutdown_finishes_mails_in_progress(
    start_server: Any, postgres_url: str, mailbox: Mailbox, since: datetime
) -> None:
    mailbox.latency = 0.05
    env = settings(mailbox, DATABASE_URL=postgres_url, HERALD_DRAIN_SECONDS="4")
    server: Server = start_server(env, ("serve",))
    await publish(server, "order.created", *(order(number) for number in range(30)))
    await mails(mailbox, 5)
    assert server.stop() == 0
    server.start(True)
    # Immediately, because no delivery was left leased.
    await mails(mailbox, 30, 6)
    async with log_of(server, since) as log:
        await log.until_total("sent", 30)
    assert sorted(Counter(subjects(mailbox.mails)).values()) == [1] * 30


async def test_invalid_events_fail_separately(
    server: Server, client: httpx.AsyncClient, log: Log, mailbox: Mailbox
) -> None:
    async with connect(f"{server.ws_url}/ws") as socket:
        nobody = order(1)
        del nobody["customer_email"]
        await publish(server, "order.created", nobody)
        assert (await frame(socket))["data"]["order_id"] == "o-1"
        await publish(server, "order.created", order(2) | {"customer_email": "a@b\r\nBcc: victim@example.com"})
        await publish(server, "order.created", order(3) | {"customer_name": "<script>alert(1)</script>"})
        await publish(server, "order.status.updated", order(4, status="teleported\r\nBcc: victim@example.com"))
        everyone = [f"a{number}@example.com" for number in range(100)]
        await publish(server, "order.created", order(5) | {"customer_email": everyone})
        await publish(server, "order.status.updated", order(6))
        await publish(server, "order.created", order(7) | {"customer_email": "jörg@bücher.example"})
    too_many = {"source": "order.created", "payload": order(8) | {"customer_email": [*everyone, KIM]}}
    refused = await client.post("/api/v1/events", json=too_many)
    assert (refused.status_code, "more than 100 deliveries" in refused.text) == (422, True)
    huge = {"source": "order.created", "payload": order(9) | {"note": "x" * 5_000_000}}
    assert (await client.post("/api/v1/events", json=huge)).status_code == 422

    taken = await mails(mailbox, 103)
    await log.until_total("sent", 103)
    by_order = {str(mail.message["subject"]): mail for mail in taken if mail.recipients[0] != "a0@example.com"}
    html = by_order["Order o-3 received"].body("html")
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    strange = by_order["Order o-4: teleported Bcc: victim@example.com"]
    assert (strange.recipients, strange.message["bcc"]) == ((KIM,), None)
    assert "Teleported" in strange.body("plain")
    assert by_order["Order o-7 received"].recipients == ("jörg@xn--bcher-kva.example",)
    assert sorted(mail.recipients[0] for mail in taken if "o-5" in str(mail.message["subject"])) == sorted(everyone)
    assert not [mail for mail in taken if any("victim" in one for one in mail.recipients)]
    failed = {item["order_id"]: item for item in await log.items(status="failed")}
    assert {number: item["error_message"] for number, item in failed.items()} == {
        "o-2": failed["o-2"]["error_message"],
        "o-6": "the event lacks what the subject is made of",
    }
    assert "before the @" in failed["o-2"]["error_message"]
    skipped = await log.items(status="skipped")
    assert [(item["order_id"], item["error_message"]) for item in skipped] == [("o-1", "no_address")]


async def test_concurrent_retries_of_a_failed_mail_send_it_once(
    server: Server, client: httpx.AsyncClient, log: Log, mailbox: Mailbox
) -> None:
    mailbox.answer = lambda command, rest: "550 5.1.1 no such user" if command == "RCPT" else None
    await publish(server, "order.created", order(1))
    await log.until_total("failed", 1)
    (item,) = await log.items()
    assert item["error_message"] == "550 5.1.1 no such user"
    mailbox.answer = lambda command, rest: None
    answers = await asyncio.gather(*(client.post(f"/api/v1/notifications/retry/{item['id']}") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    await log.until_total("sent", 1)
    one = (await client.get(f"/api/v1/notifications/{item['id']}")).json()
    assert [attempt["result"] for attempt in one["attempt_log"]] == ["refused", "sent"]
    assert len(mailbox.mails) == 1
    assert (await client.post(f"/api/v1/notifications/retry/{item['id']}")).status_code == 409


async def test_addresses_are_masked_in_logs(server: Server, log: Log, mailbox: Mailbox) -> None:
    def answer(command: str, rest: str) -> str | None:
        return f"550 5.1.1 <{KIM}> is unknown" if command == "RCPT" else None

    mailbox.answer = answer
    await publish(server, "order.created", order(1))
    await log.until_total("failed", 1)
    assert "k***@example.com" in server.log
    assert KIM not in server.log


async def test_own_templates_override_the_shipped_ones(
    server: Server, log: Log, mailbox: Mailbox, templates: Path
) -> None:
    own = templates / "order_created.html"
    own.write_text("<p>Moin {{ customer_name }}, {{ order_id }} is here</p>")
    try:
        await publish(server, "order.created", order(1))
        (mail,) = await mails(mailbox, 1)
        assert mail.body("html").strip() == "<p>Moin Kim, o-1 is here</p>"
        own.write_text("{{ nothing }}")
        await publish(server, "order.created", order(2))
        await log.until_total("failed", 1)
        (item,) = await log.items(status="failed")
        assert "order_created.html" in item["error_message"]
    finally:
        own.unlink()


async def test_with_private_routes_each_customer_sees_only_their_own_orders(
    start_server: Any, mailbox: Mailbox
) -> None:
    example = Path(__file__).parents[2] / "docs/examples/orders-private.toml"
    env = settings(mailbox, HERALD_AUTH="jwt", HERALD_JWT_SECRET=SECRET, HERALD_ROUTES=str(example))
    server: Server = start_server(env, ("serve",))
    publisher = token("shop", scope="events:publish")

    def ws(user: str, **claims: Any) -> str:
        return f"{server.ws_url}/ws?token={token(user, **claims)}"

    async with connect(ws("kim")) as kim, connect(ws("lee")) as lee, connect(ws("staff", scope="orders:read")) as staff:
        for number, customer in enumerate(["kim", "lee", "kim"]):
            await publish(server, "order.created", order(number, customer_id=customer), token=publisher)
        assert [(await frame(kim))["data"]["order_id"] for _ in range(2)] == ["o-0", "o-2"]
        assert (await frame(lee))["data"]["order_id"] == "o-1"
        assert [(await frame(staff))["data"]["order_id"] for _ in range(3)] == ["o-0", "o-1", "o-2"]
        await silent(kim)
        await silent(lee)
    assert sorted(subjects(await mails(mailbox, 3))) == [f"Order o-{number} received" for number in range(3)]


async def test_an_invalid_order_payload_is_refused_without_a_delivery(client: httpx.AsyncClient, log: Log) -> None:
    for payload in ("no JSON", [1]):
        refused = await client.post("/api/v1/events", json={"source": "order.created", "payload": payload})
        assert refused.status_code == 422
    assert await log.total() == 0
