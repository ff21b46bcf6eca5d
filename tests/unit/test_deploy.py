"""The files of deploy/ agree with Herald and with each other."""

import configparser
import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.http.errors.problem_catalogue import KINDS
from entrypoints.app import BODY_PER_EVENT
from entrypoints.server import STOP_TIMEOUT_S
from entrypoints.settings.loader import NAMES, load
from tests.support.tokens import RSA_KEY, pem

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

# Variables of the image and the unit that are not settings of Herald.
OTHERS = {"PATH", "PYTHONUNBUFFERED", "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_CACHE_DIR"}

DEFAULTS = load({"HERALD_AUTH": "open"}, "serve", {})

# The longest shutdown of a node in seconds: a batch in progress may take 1 s more than the setting.
LEAVING = DEFAULTS.server.drain_seconds + 1 + STOP_TIMEOUT_S


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def example() -> dict[str, str]:
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, rest in found]


def final_stage() -> list[tuple[str, str]]:
    everything = instructions()
    last = max(index for index, (name, _) in enumerate(everything) if name == "FROM")
    return everything[last:]


def test_the_image_runs_as_a_numeric_user_other_than_root() -> None:
    *_, user = [rest for name, rest in final_stage() if name == "USER"]
    assert all(int(number) > 0 for number in user.split(":"))


def test_signals_reach_herald_itself() -> None:
    stage = dict(final_stage())
    entrypoint, command = json.loads(stage["ENTRYPOINT"]), json.loads(stage["CMD"])
    assert [*entrypoint, *command] == ["herald", "serve"]
    assert json.loads(stage["HEALTHCHECK"].split("CMD", 1)[1])
    assert stage["STOPSIGNAL"] == "SIGTERM"


def test_base_images_have_a_version() -> None:
    images = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    images += [one["image"] for one in compose()["services"].values() if "build" not in one]
    assert len(images) > 5
    for image in images:
        assert re.search(r":v?\d", image), image


def test_sources_of_the_image_exist_in_the_build_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    sources = [
        source.rstrip("/")
        for name, rest in instructions()
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, one) for one in let_in), source


def test_variables_are_settings_of_herald() -> None:
    image = {word.split("=")[0] for name, rest in instructions() if name == "ENV" for word in shlex.split(rest)}
    services = compose()["services"]
    nodes = {name for node in ("migrate", "herald-1", "herald-2") for name in services[node]["environment"]}
    unit = {value.split("=")[0] for key, value in unit_lines() if key == "Environment"}
    assert image >= {"HERALD_HOST"}
    assert nodes >= {"HERALD_NODE", "DATABASE_URL"}
    assert (image | nodes | unit) - OTHERS <= NAMES


def filled(text: str, environ: dict[str, str]) -> str:
    """Substitute `${NAME}`, `${NAME:-default}` and `${NAME:?fault}` as compose does."""

    def fill(found: re.Match[str]) -> str:
        name, what, rest = found.groups()
        value = environ.get(name, "")
        assert value or what != ":?", name
        return value or (rest if what == ":-" else "")

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", fill, text)


@pytest.mark.parametrize(
    "key",
    [
        {"HERALD_JWT_SECRET": "0123456789abcdef" * 4},
        {"HERALD_JWT_PUBLIC_KEY": pem(RSA_KEY).replace("\n", "\\n")},
        {"HERALD_JWT_JWKS_URL": "https://id.example/keys", "HERALD_JWT_SCOPE_CLAIMS": "roles"},
    ],
    ids=["secret", "public key", "key server"],
)
def test_nodes_start_with_the_example_once_its_secrets_are_set(key: dict[str, str]) -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    assert asked == set(example())
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    # The operator must set every password; the example leaves them empty.
    optional = {"HERALD_SMTP_PASSWORD", "HERALD_JWT_SECRET"}
    assert {name for name in example() if re.search("SECRET|PASS", name)} - optional == needed
    assert {example()[name] for name in needed} == {""}

    filled_in = {**example(), **dict.fromkeys(needed, "0123456789abcdef" * 4), **key}
    for node in ("herald-1", "herald-2"):
        environment = compose()["services"][node]["environment"]
        settings = load({name: filled(value, filled_in) for name, value in environment.items()}, "serve", {})
        assert settings.node.name == node
        assert settings.server.auth == "jwt"
        assert settings.jwt.user_claim == "sub"
        assert (settings.database.url.split(":")[0], settings.web.origins) == ("postgresql+asyncpg", None)
        assert "@redis:" in (settings.redis.url or "")


def test_the_services_of_compose_fit_together() -> None:
    everything = compose()
    services = everything["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", [])) <= services.keys(), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in everything["volumes"], volume
    # Every service that the nodes connect to exists under that name.
    environment = services["herald-1"]["environment"]
    hosts = {environment["KAFKA_BROKERS"].split(":")[0], environment["RABBITMQ_HOST"]}
    hosts |= {re.search(r"@(\w+)", environment[url])[1] for url in ("DATABASE_URL", "REDIS_URL")}
    assert hosts == {"kafka", "rabbitmq", "postgres", "redis"}
    assert hosts <= set(services["herald-1"]["depends_on"])
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert services["migrate"]["command"] == ["db", "upgrade"]
    assert services["check"]["command"] == ["routes", "check"]
    assert services["migrate"]["depends_on"]["check"] == {"condition": "service_completed_successfully"}
    for node in ("herald-1", "herald-2"):
        assert services[node]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert float(services[node]["stop_grace_period"].removesuffix("s")) > LEAVING


def test_own_routes_and_templates_are_mounted_where_the_example_says() -> None:
    folders = {"HERALD_ROUTES": "/etc/herald/routes", "HERALD_MAIL_TEMPLATES": "/etc/herald/templates"}
    commented, unit = (DEPLOY / ".env.example").read_text(), (DEPLOY / "herald.service").read_text()
    services = compose()["services"]
    for name, folder in folders.items():
        assert f"{name}={folder}" in commented
        assert f"{name}={folder}" in unit
        for node in ("check", "migrate", "herald-1", "herald-2"):
            assert f"./{Path(folder).name}:{folder}:ro" in services[node]["volumes"]
            assert name in services[node]["environment"]
    page = (ROOT / "docs" / "deploying.md").read_text()
    pod, first = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[:2])
    assert [one["args"] for one in first["initContainers"]] == [
        services[name]["command"] for name in ("check", "migrate")
    ]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert list(mounts.values()) == list(folders.values())
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    environ = {one["name"]: one["value"].split(",")[0] for one in container["env"]}
    assert environ == folders


def unit_lines() -> list[tuple[str, str]]:
    text = (DEPLOY / "herald.service").read_text()
    return [tuple(line.split("=", 1)) for line in text.splitlines() if re.match(r"\w+=", line)]


def test_the_unit_gives_herald_time_to_drain() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "herald.service")
    service = unit["Service"]
    assert (service["KillMode"], service["KillSignal"]) == ("mixed", "SIGTERM")
    assert float(service["TimeoutStopSec"]) > LEAVING
    assert service["ExecStart"].split()[0].startswith("/")
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    assert int(service["LimitNOFILE"]) > 1024


def nginx() -> str:
    return re.sub(r"^\s*#.*\n", "", (DEPLOY / "nginx.conf").read_text(), flags=re.MULTILINE)


def location(which: str) -> str:
    return nginx().split(f"location {which} {{", 1)[1].split("\n        }", 1)[0]


def test_the_proxy_timeout_is_longer_than_heralds_silence() -> None:
    (stream,) = re.findall(r"proxy_read_timeout (\d+)s;", location("= /events/stream"))
    # One heartbeat may be late, and one lost.
    assert int(stream) >= 3 * DEFAULTS.sessions.heartbeat_s
    # Plain sockets get no heartbeats.
    assert "proxy_read_timeout 1d;" in location("@sockets")


def test_the_proxy_limits_sockets_and_connections_per_address() -> None:
    # A location with its own limit_conn inherits none.
    (most,) = re.findall(r"^        limit_conn connections (\d+);", nginx(), re.MULTILINE)
    assert f"limit_conn connections {most};" in location("@sockets")
    (sockets,) = re.findall(r"limit_conn sockets (\d+);", location("@sockets"))
    assert int(sockets) < int(most)


def test_the_proxy_does_not_compress_event_streams() -> None:
    assert "gzip off;" in location("= /events/stream")


def test_the_proxy_accepts_everything_that_herald_accepts() -> None:
    (size,) = re.findall(r"client_max_body_size (\d+)m;", nginx())
    assert int(size) * 1024 * 1024 == DEFAULTS.limits.event_bytes * BODY_PER_EVENT


def test_the_proxy_uses_the_nodes_of_compose() -> None:
    names = [name for name in compose()["services"] if name.startswith("herald-")]
    ports = [8000, compose()["services"]["herald-1"]["environment"]["HERALD_SOCKET_PORT"]]
    assert re.findall(r"server (\S+) ", nginx()) == [f"{name}:{port}" for port in ports for name in names]


def test_problems_returned_by_the_proxy_are_in_the_catalogue() -> None:
    said = re.findall(r"(?:Retry-After (\d+) always;\s*)?return (\d+) '(.*)';", nginx())
    assert {status for _, status, _ in said} == {"404", "413", "414", "429", "431", "503"}
    for retry_after, status, text in said:
        body = json.loads(text)
        kind = KINDS[body["code"]]
        assert body == {
            "type": f"/problems/{kind.code}",
            "title": kind.title,
            "status": kind.status,
            "code": kind.code,
            "detail": body["detail"],
        }
        assert kind.status == int(status)
        assert (int(retry_after) if retry_after else None) == kind.retry_after


def test_problems_returned_by_the_proxy_have_cors_headers() -> None:
    own = [part for part in re.split(r"\n {8}location ", nginx()) if re.search(r"\breturn \d+ '", part)]
    assert len(own) == 6
    for part in own:
        early = part.startswith("= /nginx/")
        headers = ("Allow-Origin *",) if early else ("Allow-Origin $http_origin", "Allow-Credentials $own_credentials")
        for header in (*headers, "Expose-Headers"):
            assert f"add_header Access-Control-{header}" in part
        assert early or "add_header Vary Origin always;" in part


def test_slow_requests_end_at_the_proxy_and_no_connection_to_a_node_is_reused() -> None:
    (head,) = re.findall(r"client_header_timeout (\d+)s;", nginx())
    assert int(head) < DEFAULTS.server.keep_alive_seconds
    # Each request has its own connection to its node.
    assert re.search(r"map \$upgrade \$connection_upgrade \{[^}]*'' close;", nginx())


def test_requests_that_are_not_idempotent_are_not_retried_on_another_node() -> None:
    assert "non_idempotent" not in nginx()
    assert "keepalive" not in re.sub("so_keepalive", "", nginx())
