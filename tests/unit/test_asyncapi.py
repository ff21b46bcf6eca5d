"""The AsyncAPI document: its structure is valid, and it describes what is really sent."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from adapters.http.openapi.asyncapi import SENT, asyncapi_document
from domain.protocol import herald_v1 as protocol
from domain.protocol.entry_kinds import protocol_text
from domain.protocol.herald_v1 import CloseCode, CloseReason
from domain.public_url import PublicUrl
from domain.streams import Seen
from tests.support.core import NOW, entry, shipped_table

TABLE = shipped_table("all")
DOCUMENT = asyncapi_document(PublicUrl(), TABLE)
PUBLIC = asyncapi_document(PublicUrl("https://shop.example:8443/herald"), TABLE)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _at(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def _validator(message: str) -> Any:
    payload = DOCUMENT["components"]["messages"][message]["payload"]
    return jsonschema_rs.validator_for({**payload, "components": DOCUMENT["components"]})


def test_it_has_the_structure_of_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    assert DOCUMENT.keys() <= {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    for channel in DOCUMENT["channels"].values():
        assert channel.keys() <= {"address", "description", "messages", "parameters", "bindings"}
        in_path = {part.strip("{}") for part in channel["address"].split("/") if part.startswith("{")}
        assert channel.get("parameters", {}).keys() == in_path
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        # The messages of an operation must be messages of its channel.
        place = operation["channel"]["$ref"]
        assert all(one["$ref"].startswith(f"{place}/messages/") for one in operation["messages"])
    assert msgspec.json.decode(msgspec.json.encode(DOCUMENT)) == DOCUMENT


def test_servers_are_those_of_the_public_url() -> None:
    assert PUBLIC["servers"] == {
        "ws": {"host": "shop.example:8443", "protocol": "wss", "pathname": "/herald"},
        "sse": {"host": "shop.example:8443", "protocol": "https", "pathname": "/herald"},
    }
    for endpoint in TABLE.endpoints:
        assert PUBLIC["channels"][endpoint.name]["servers"] == [{"$ref": f"#/servers/{endpoint.transport}"}]
    assert "pathname" not in str(DOCUMENT)


def test_every_reference_resolves() -> None:
    references = set(_references(DOCUMENT))
    assert references
    for reference in references:
        assert _at(reference)


def test_every_endpoint_is_a_channel_at_its_address() -> None:
    addresses = {name: channel["address"] for name, channel in DOCUMENT["channels"].items()}
    assert addresses == {
        "signals": "/ws/notifications",
        "trading": "/ws",
        "groups": "/ws/v2/notification-service/notifications/users/{user_id}",
        "orders": "/ws",
        "products": "/events/stream",
    }
    assert addresses == {endpoint.name: endpoint.path for endpoint in TABLE.endpoints}


FRAMES = {
    "hello": [
        protocol.hello("s", "e", {"inbox": 3}, "c", 30.0, True, ("news",), 2, 1),
        protocol.hello("s", "e", {}, "c", 30.0, False, (), None, None),
    ],
    "notification": [
        protocol_text(entry(stream="inbox:ada", title="t", message="m", unread=1)),
        protocol_text(entry(stream="inbox:ada", title="t", message="", unread=1, unseen=1, changed=9, read=True)),
    ],
    "broadcast": [protocol_text(entry()), protocol_text(entry("text", envelope="raw"))],
    **{
        kind: [protocol_text(entry(stream="inbox:ada", changed=9, kind=kind))]
        for kind in ("read", "unread", "archived")
    },
    "seen": [protocol_text(Seen("inbox:ada", 5, 9, 2))],
    "gap": [protocol.gap("news", 1, 5)],
    "heartbeat": [protocol.heartbeat(NOW, "c")],
    "pong": [protocol.pong(msgspec.Raw(b"null")), protocol.pong(msgspec.Raw(b'{"n": 1}'))],
    "auth": [protocol.authenticated(None), protocol.authenticated(1.5)],
    "error": [protocol.error("invalid_input", "what?")],
    "bye": [protocol.bye(CloseReason(code, "go")) for code in CloseCode]
    + [protocol.bye(CloseReason(CloseCode.RESTARTING, "x", 2.5))],
}


@pytest.mark.parametrize("kind", SENT)
def test_sent_messages_match_their_schema(kind: str) -> None:
    validator = _validator(kind)
    for text in FRAMES[kind]:
        validator.validate(msgspec.json.decode(text))
        for name in DOCUMENT["components"]["messages"][kind]["payload"]["required"]:
            without = {key: value for key, value in msgspec.json.decode(text).items() if key != name}
            assert not validator.is_valid(without)


@pytest.mark.parametrize("kind", SENT)
def test_schemas_of_sent_messages_allow_new_fields(kind: str) -> None:
    for text in FRAMES[kind]:
        _validator(kind).validate({**msgspec.json.decode(text), "of_a_later_version": [1]})
    payload = DOCUMENT["components"]["messages"][kind]["payload"]
    schemas = [payload, *payload["properties"].values()]
    assert [schema for schema in schemas if "enum" in schema or schema.get("additionalProperties") is False] == []


def test_a_close_code_of_a_later_version_is_valid() -> None:
    _validator("bye").validate({"kind": "bye", "code": 4999, "reason": "go"})


@pytest.mark.parametrize(
    ("command", "sound"),
    [
        ({"resume": {"cursor": "c"}}, True),
        ({"resume": {"cursor": "c", "positions": {"inbox": 57}}}, True),
        ({"resume": {"epoch": "e", "positions": {"inbox": 57}}, "auth": "t"}, True),
        ({"ping": 1}, True),
        ({"resume": {"positions": {"inbox": -1}}}, False),
        ({"auth": 5}, False),
        ({"auth": None}, False),
        ({"auth": None, "resume": {"cursor": "c"}}, False),
        ({"nope": 1}, False),
    ],
)
def test_accepted_commands_match_their_schema(command: Any, sound: bool) -> None:
    assert _validator("command").is_valid(command) is sound
