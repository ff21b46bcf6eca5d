"""The examples of docs/tokens.md work: commands, settings and tokens."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from adapters.http.api import dead_letters, deliveries, events, mails
from adapters.jwt.refusal import REASONS, Refusal
from adapters.jwt.settings import JwtSettings
from adapters.jwt.verifier import Accepted, JwtVerifier
from entrypoints.settings.loader import NAMES, load
from tests.support.key_server import JwksServer, jwk, key_set
from tests.support.service import free_port
from tests.support.tokens import NOW, RSA_KEY, FakeTime

PAGE = (Path(__file__).parents[2] / "docs" / "tokens.md").read_text(encoding="utf-8")
SECTIONS = {part.split("\n", 1)[0].strip("# "): part for part in re.split(r"^(?=##)", PAGE, flags=re.MULTILINE)}
TOKEN_ROW = re.compile(r"^\| (a user|a service) \| `(\{.*\})` \| user `(.+?)`(?:, scopes `(.+)`)? \|$", re.MULTILINE)


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)


def examples() -> Iterator[Any]:
    for name, section in SECTIONS.items():
        for role, claims, user, scopes in TOKEN_ROW.findall(section.replace("\\|", "|")):
            yield pytest.param(name, json.loads(claims), user, set(scopes.split()), id=f"{name}: {role}")


EXAMPLES = list(examples())


@pytest.fixture
def key_server() -> Iterator[JwksServer]:
    server = JwksServer()
    server.body = key_set(jwk(RSA_KEY, kid="one", use="sig", alg="RS256"))
    server.start()
    yield server
    server.stop()


def settings_of(section: str) -> JwtSettings:
    environ = dict(line.split("=", 1) for line in blocks(section, "sh")[0].splitlines())
    return load({"HERALD_BROKER": "memory", **environ}, "serve", {}).jwt


async def examined(settings: JwtSettings, key_server: JwksServer, claims: dict[str, Any]) -> Accepted | Refusal:
    if settings.secret:
        token = jwt.encode(claims, settings.secret, "HS256")
    else:
        token = jwt.encode(claims, RSA_KEY, "RS256", {"kid": "one"})
        settings = msgspec.structs.replace(settings, jwks_url=key_server.url)
    verifier = JwtVerifier(settings, FakeTime())
    try:
        return await verifier.examine(token)
    finally:
        await verifier.close()


def test_every_issuer_has_a_token_of_a_user_and_one_of_a_service() -> None:
    issuers = ["A shared secret", "Keycloak", "Auth0", "Microsoft Entra ID", "Okta"]
    assert [parameters.id for parameters in EXAMPLES] == [
        f"{issuer}: {role}" for issuer in issuers for role in ("a user", "a service")
    ]


@pytest.mark.parametrize(("section", "claims", "user", "scopes"), EXAMPLES)
async def test_the_token_of_an_issuer(
    key_server: JwksServer, section: str, claims: dict[str, Any], user: str, scopes: set[str]
) -> None:
    settings = settings_of(section)
    accepted = await examined(settings, key_server, claims)
    assert isinstance(accepted, Accepted), accepted
    assert (accepted.identity.user, accepted.identity.scopes) == (user, scopes)
    assert accepted.identity.issued_at is not None
    assert (accepted.identity.expires_at or 0) > NOW
    for changed, code in (
        ({"aud": "another"}, "wrong_audience"),
        ({"iss": f"{claims['iss']}x"}, "wrong_issuer"),
        ({settings.user_claim: None}, "missing_claim"),
    ):
        refused = await examined(settings, key_server, {**claims, **changed})
        assert isinstance(refused, Refusal)
        assert refused.code == code


def executed(script: str, folder: Path) -> str:
    herald = str(Path(sys.executable).parent)
    environ = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**environ, "PATH": f"{herald}:{environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    variable = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d+ (?:s|min)\b")
    output = executed(blocks("Try it", "sh")[0], tmp_path)
    assert variable.sub("…", output) == variable.sub("…", blocks("Try it", "text")[0])


def test_the_commands_for_a_key_pair(tmp_path: Path) -> None:
    output = executed(blocks("Your own key pair", "sh")[0], tmp_path)
    assert output.startswith("accepted\nuser:     ada\n")


def test_the_commands_for_a_jwk_set(tmp_path: Path) -> None:
    script = blocks("Your own key pair", "sh")[1].replace("8099", str(free_port()))
    assert executed(script, tmp_path).startswith("accepted\nuser:     ada\n")
    shown, made = (
        json.loads(blocks("Your own key pair", "json")[0]),
        json.loads((tmp_path / "fetched.json").read_text()),
    )
    assert [{**key, "x": ""} for key in made["keys"]] == [{**key, "x": ""} for key in shown["keys"]]


async def test_the_function_for_a_backend(key_server: JwksServer) -> None:
    namespace: dict[str, Any] = {}
    exec(blocks("A shared secret", "python")[0], namespace)
    settings = settings_of("A shared secret")
    verifier = JwtVerifier(settings)
    identity = await verifier.verify(namespace["token_for"]("ada", settings.secret))
    assert identity.user == "ada"
    assert identity.expires_at
    assert identity.expires_at > time.time()


def test_all_scopes_of_the_code_are_on_the_page() -> None:
    needed = {events.SCOPE, deliveries.READ, deliveries.RETRY, dead_letters.SCOPE, mails.SCOPE}
    named = set(re.findall(r"the scope `([a-z:]+)`", SECTIONS["What each role needs"]))
    assert named == needed


def test_all_reasons_are_on_the_page() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", SECTIONS["Why a token is refused"], re.MULTILINE)
    assert rows == [(code, reason.advice) for code, reason in REASONS.items()]


def test_settings_on_the_page_exist() -> None:
    assert set(re.findall(r"\bHERALD_[A-Z_]+", PAGE)) <= NAMES
