"""`herald token --check` with the keys of a real JWKS server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from entrypoints.cli.main import main
from tests.support.key_server import JwksServer, jwk, key_set
from tests.support.tokens import RSA_KEY, private_pem


@pytest.fixture
def key_server() -> Iterator[JwksServer]:
    server = JwksServer()
    server.body = key_set(jwk(RSA_KEY, kid="one"))
    server.start()
    yield server
    server.stop()


def herald(key_server: JwksServer, *arguments: str) -> Result:
    return CliRunner().invoke(main, ("token", *arguments), env={"HERALD_JWT_JWKS_URL": key_server.url})


def test_keys_are_fetched_for_a_check_only(key_server: JwksServer, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text(private_pem(RSA_KEY))
    token, other = (herald(key_server, "ada", "--key", str(path), "--kid", kid).stdout for kid in ("one", "two"))
    assert key_server.requests == 0
    assert herald(key_server, "--check", token).stdout.startswith("accepted\nuser:     ada\n")

    result = herald(key_server, "--check", other)
    assert result.exit_code == 1
    assert 'names the key "two" (`kid`)' in result.stdout

    key_server.status = 503
    result = herald(key_server, "--check", token)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"Error: The token can't be checked: there are no keys of {key_server.url} yet: the answer has status 503\n"
    )


def test_an_error_names_the_url_of_the_keys_without_its_query(key_server: JwksServer, tmp_path: Path) -> None:
    (path := tmp_path / "key.pem").write_text(private_pem(RSA_KEY))
    token = herald(key_server, "ada", "--key", str(path)).stdout
    key_server.status = 503
    environ = {"HERALD_JWT_JWKS_URL": f"{key_server.url}?key=hidden"}
    result = CliRunner().invoke(main, ("token", "--check", token), env=environ)
    assert f"there are no keys of {key_server.url} yet" in result.stderr
    assert "hidden" not in result.output
