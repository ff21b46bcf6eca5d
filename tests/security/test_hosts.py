"""The Host names that Herald accepts, against DNS rebinding."""

import httpx
import pytest
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus

from adapters.web.origins_and_hosts import host_of
from entrypoints.settings.loader import SettingsInvalid, load
from entrypoints.wiring.web_access import allowed_hosts
from tests.support.app import IN_MEMORY, in_process
from tests.support.clients import connect, frame
from tests.support.server import Server

INBOX = "/api/v2/notifications?user_id=alice"


def refused(answer: httpx.Response) -> bool:
    if answer.status_code != 421:
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "host_refused"
    return True


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example", "127.0.0.1.nip.io", "127.0.0.2"])
async def test_dev_refuses_other_host_names(host: str) -> None:
    async with in_process() as client:
        for path in (INBOX, "/", "/schema", "/metrics", "/nowhere", "/healthy"):
            assert refused(await client.get(path, headers={"host": f"{host}:8000"}))
        assert refused(await client.post("/api/v1/events", json={}, headers={"host": host}))
        with capture_logs() as lines:
            await client.get("/", headers={"host": host})
        assert [line["host"] for line in lines if line["event"] == "host_refused"] == [host]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LocalHost.:8000", "127.0.0.1:1", "[::1]:8000", "[0:0:0:0:0:0:0:1]"]
)
async def test_dev_accepts_names_of_this_machine(host: str) -> None:
    async with in_process() as client:
        assert (await client.get(INBOX, headers={"host": host})).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_health_checks_are_exempt(path: str) -> None:
    async with in_process() as client:
        assert not refused(await client.get(path, headers={"host": "10.1.2.3:8000"}))


async def test_serve_accepts_every_host_until_hosts_are_set() -> None:
    open_mode = {"HERALD_AUTH": "open"}
    async with in_process("serve", **open_mode) as client:
        assert (await client.get(INBOX, headers={"host": "anything.example"})).status_code == 200
    async with in_process("serve", **open_mode, HERALD_HOSTS="Herald.example, ::1, 10.0.0.1") as client:
        for host in ("herald.example", "HERALD.example.:443", "[::1]:8000", "10.0.0.1"):
            assert (await client.get(INBOX, headers={"host": host})).status_code == 200
        for host in ("attacker.example", "localhost", "x.herald.example", "herald.example@attacker.example"):
            assert (await client.get(INBOX, headers={"host": host})).status_code in (400, 421)


def test_allowed_hosts_come_from_the_settings() -> None:
    def hosts(mode: str = "serve", **environ: str) -> frozenset[str] | None:
        return allowed_hosts(load({**IN_MEMORY, "HERALD_AUTH": "open", **environ}, mode, {})).allowed

    loopback = {"localhost", "127.0.0.1", "[::1]"}
    assert hosts("dev") == loopback
    assert hosts("dev", HERALD_HOSTS="*") is None
    assert hosts("dev", HERALD_HOST="0.0.0.0") == loopback
    assert hosts("dev", HERALD_HOST="192.168.1.5") == loopback | {"192.168.1.5"}
    assert hosts("dev", HERALD_PUBLIC_URL="https://Tunnel.example:8443/x") == loopback | {"tunnel.example"}
    assert hosts("dev", HERALD_ORIGINS="loopback,https://shop.example") is None
    assert hosts() is None
    assert hosts(HERALD_ORIGINS="loopback") == loopback
    assert hosts(HERALD_HOSTS="a.example,loopback") == loopback | {"a.example"}
    assert hosts(HERALD_HOSTS="a.example", HERALD_PUBLIC_URL="https://b.example") == {"a.example", "b.example"}


@pytest.mark.parametrize("value", ["a:80", "[::1]:80", "http://a", "a b", "*.a", "*,a", "a/b", "."])
def test_an_invalid_host_refuses_the_start(value: str) -> None:
    with pytest.raises(SettingsInvalid, match="HERALD_HOSTS must be"):
        load({"HERALD_HOSTS": value}, "dev", {})


def test_hosts_are_compared_without_port_case_and_final_dot() -> None:
    assert host_of("A.Example.:80") == "a.example"
    assert host_of("[2001:DB8:0::1]") == "[2001:db8::1]"
    for none in ("", "a:b:c", "::1", "a/b", "a@b", "[::1", "a b"):
        assert host_of(none) is None


async def test_the_host_check_applies_to_sockets_and_event_streams(dev_server: Server) -> None:
    rebound = "attacker.example"
    for path in ("/ws/notifications", "/ws?user_id=alice", "/ws/v2/notification-service/notifications/users/alice"):
        with pytest.raises(InvalidStatus) as refusal:
            # This name resolves to this machine.
            await connect(f"ws://{rebound}:{dev_server.port}{path}", host="127.0.0.1", port=dev_server.port)
        assert refusal.value.response.status_code == 421
        assert b'"code":"host_refused"' in (refusal.value.response.body or b"")
    async with httpx.AsyncClient(base_url=dev_server.url, timeout=10) as client:
        assert refused(await client.get("/events/stream", headers={"host": rebound}))
    async with connect(f"ws://localhost:{dev_server.port}/ws?user_id=alice", subprotocols=["herald.v1"]) as socket:
        assert (await frame(socket))["kind"] == "hello"
