"""`herald token`: making tokens, and checking them."""

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from adapters.jwt.key_set import read_key_set
from adapters.jwt.keys import KEY_ALGORITHMS
from entrypoints.cli.main import main
from entrypoints.settings.loader import NAMES
from tests.support.tokens import EC_KEYS, ED_KEY, OTHER_RSA_KEY, RSA_KEY, SECRET, pem, private_pem

KEYS = {"RS256": RSA_KEY, **EC_KEYS, "EdDSA": ED_KEY}
WITH_SECRET = {"HERALD_JWT_SECRET": SECRET}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES & os.environ.keys():
        monkeypatch.delenv(name)


def herald(*arguments: str, input: str | bytes | None = None, **environ: str) -> Result:
    result = CliRunner().invoke(main, ("token", *arguments), input=input, env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert SECRET not in result.output
    return result


def made(*arguments: str, **environ: str) -> str:
    result = herald(*arguments, **environ)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout.removesuffix("\n")


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def file_with(folder: Path, content: str | bytes) -> str:
    path = folder / "key.pem"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


class TestMaking:
    def test_a_token_has_the_configured_issuer_and_audience(self) -> None:
        before = int(time.time())
        token = made(
            "ada", "--scope", "events:publish", "--scope", "admin", "--minutes", "5",
            **WITH_SECRET, HERALD_JWT_ISSUER="https://id.example/", HERALD_JWT_AUDIENCE="herald",
        )  # fmt: skip
        claims = claims_of(token)
        issued = claims.pop("iat")
        assert before <= issued <= time.time()
        assert claims == {
            "sub": "ada", "iss": "https://id.example/", "aud": "herald", "scope": "events:publish admin",
            "exp": issued + 300,
        }  # fmt: skip
        assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}

    def test_without_options_it_has_only_the_user_and_an_hour(self) -> None:
        claims = claims_of(made("ada", **WITH_SECRET))
        assert claims == {"sub": "ada", "iat": claims["iat"], "exp": claims["iat"] + 3600}

    def test_the_user_is_in_the_configured_claim(self) -> None:
        settings = {**WITH_SECRET, "HERALD_JWT_USER_CLAIM": "https://shop.example/user_id"}
        token = made("ada", "--claim", "sub=auth0|7", **settings)
        claims = claims_of(token)
        assert (claims["https://shop.example/user_id"], claims["sub"]) == ("ada", "auth0|7")
        assert "user:     ada\n" in herald("--check", input=token, **settings).stdout

    def test_additional_claims_are_text_or_json(self) -> None:
        token = made(
            "ada", "--claim", "n=7", "--claim", "roles:=[\"a\", 1]", "--claim", "a.b=c=d", "--claim", "empty=",
            "--claim", "https://x.example/n:=null", **WITH_SECRET,
        )  # fmt: skip
        claims = claims_of(token)
        more = {"n": "7", "roles": ["a", 1], "a.b": "c=d", "empty": "", "https://x.example/n": None}
        assert claims == {**more, "sub": "ada", "iat": claims["iat"], "exp": claims["exp"]}

    def test_a_secret_signs_by_an_accepted_algorithm_without_a_warning(self) -> None:
        token = made("ada", **WITH_SECRET, HERALD_JWT_ALGORITHMS="HS512")
        assert jwt.get_unverified_header(token)["alg"] == "HS512"

    @pytest.mark.parametrize("algorithm", KEYS)
    def test_a_private_key_signs_by_the_algorithm_of_its_kind(self, algorithm: str, tmp_path: Path) -> None:
        key = KEYS[algorithm]
        path = file_with(tmp_path, private_pem(key))
        token = made("ada", "--key", path, "--kid", "2026-11", HERALD_JWT_PUBLIC_KEY=pem(key))
        assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": "2026-11", "typ": "JWT"}
        assert claims_of(made("ada", "--key", path))["sub"] == "ada"

    def test_the_algorithm_is_one_that_the_settings_accept(self, tmp_path: Path) -> None:
        path = file_with(tmp_path, private_pem(RSA_KEY))
        token = made("ada", "--key", path, HERALD_JWT_ALGORITHMS="ES256,PS384")
        assert jwt.get_unverified_header(token)["alg"] == "PS384"
        result = herald("ada", "--key", path, HERALD_JWT_ALGORITHMS="ES256")
        assert result.exit_code == 1
        assert "HERALD_JWT_ALGORITHMS is ES256; the key can sign by RS256" in result.stderr

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ("rubbish", "not a private key in PEM"),
            (b"\xff\x00", "not a private key in PEM"),
            ("", "not a private key in PEM"),
            (pem(RSA_KEY), "not a private key in PEM"),
            (private_pem(RSA_KEY)[:-90], "not a private key in PEM"),
            (private_pem(rsa.generate_private_key(65537, 1024)), "RSA of at least 2048 bits"),
            (private_pem(ec.generate_private_key(ec.SECP256K1())), "of a kind that is not accepted"),
            (
                RSA_KEY.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.BestAvailableEncryption(b"pw"),
                ),
                "The key is encrypted",
            ),
        ],
        ids=["text", "bytes", "empty", "public", "cut", "short", "curve", "encrypted"],
    )
    def test_unusable_keys_are_refused(self, content: str | bytes, says: str, tmp_path: Path) -> None:
        result = herald("ada", "--key", file_with(tmp_path, content))
        assert (result.exit_code, result.stdout) == (1, "")
        assert says in result.stderr

    def test_a_missing_key_file(self, tmp_path: Path) -> None:
        result = herald("ada", "--key", str(tmp_path / "none.pem"))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "none.pem" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "environ", "says"),
        [
            (["ada"], {}, "set HERALD_JWT_SECRET, or name a private key with --key"),
            (["ada"], {"HERALD_JWT_JWKS_URL": "https://id.example/keys"}, "set HERALD_JWT_SECRET, or name"),
            (["ada"], {"HERALD_JWT_SECRET": "short"}, "HERALD_JWT_SECRET has 5 bytes"),
            (["a\nb"], WITH_SECRET, "The user is not a valid user id"),
            (["u" * 256], WITH_SECRET, "The user is not a valid user id"),
            ([""], WITH_SECRET, "The user is not a valid user id"),
            (["ada", "--scope", "a b"], WITH_SECRET, "'a b' is not a scope"),
            (["ada", "--scope", ""], WITH_SECRET, "'' is not a scope"),
            (["ada", "--scope", "a\x1bb"], WITH_SECRET, "is not a scope"),
            (["ada", "--claim", "exp:=5"], WITH_SECRET, "The claim exp is set by this command"),
            (["ada", "--claim", "iss:=5"], WITH_SECRET, "The claim iss must be text"),
            (["ada", "--claim", "sub=bob"], WITH_SECRET, "The claim sub is set by this command"),
            (["ada", "--claim", f"x={'x' * 20_000}"], WITH_SECRET, "at most 16384 are accepted"),
            (["ada", "--claim", "nbf:=99999999999"], WITH_SECRET, "would refuse this token. The token is valid only"),
            (["ada", "--claim", "scp:=1", "--claim", "aud=x"], {**WITH_SECRET, "HERALD_JWT_AUDIENCE": "herald"},
             'The token\'s `aud` is "x"; HERALD_JWT_AUDIENCE is "herald"'),
        ],
    )  # fmt: skip
    def test_what_cannot_be_made_is_refused(self, arguments: list[str], environ: dict[str, str], says: str) -> None:
        result = herald(*arguments, **environ)
        assert (result.exit_code, result.stdout) == (1, "")
        assert says in result.stderr
        assert all(line.isprintable() for line in result.stderr.splitlines())

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ([], "Name the user"),
            (["ada", "--minutes", "0"], "--minutes"),
            (["ada", "--minutes", "99999999"], "--minutes"),
            (["ada", "--claim", "novalue"], "not NAME=TEXT or NAME:=JSON"),
            (["ada", "--claim", "=x"], "not NAME=TEXT or NAME:=JSON"),
            (["ada", "--claim", "a:=b"], "--claim a: the value is not JSON"),
            (["ada", "--claim", "a=1", "--claim", "a=2"], "--claim a is given twice"),
            (["--check", "x", "--scope", "a"], "--check takes no other options"),
            (["--check", "x", "--minutes", "60"], "--check takes no other options"),
        ],
    )
    def test_misused_options(self, arguments: list[str], says: str) -> None:
        result = herald(*arguments, **WITH_SECRET)
        assert result.exit_code == 2
        assert says in result.stderr

    def test_the_private_key_must_fit_the_configured_public_key(self, tmp_path: Path) -> None:
        path = file_with(tmp_path, private_pem(OTHER_RSA_KEY))
        result = herald("ada", "--key", path, HERALD_JWT_PUBLIC_KEY=pem(RSA_KEY))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "would refuse this token. The signature is not that of the configured key." in result.stderr
        result = herald("ada", "--key", path, **WITH_SECRET)
        assert 'The token is signed by the algorithm "RS256"; accepted are HS256' in result.stderr

    def test_a_long_lifetime_is_made_with_a_warning(self) -> None:
        assert herald("ada", "--minutes", "1440", **WITH_SECRET).stderr == ""
        result = herald("ada", "--minutes", "1441", **WITH_SECRET)
        assert result.exit_code == 0
        assert result.stderr.startswith("warning: this token is valid for ")
        assert claims_of(result.stdout.strip())["sub"] == "ada"


class TestChecking:
    def test_an_accepted_token(self) -> None:
        token = made("ada", "--scope", "b", "--scope", "a", **WITH_SECRET)
        for result in (
            herald("--check", token, **WITH_SECRET),
            herald("--check", input=f"\n Bearer {token}\r\n", **WITH_SECRET),
        ):
            assert result.exit_code == 0
            first, user, scopes, issued, expires, claims = result.stdout.splitlines()
            assert (first, user, scopes) == ("accepted", "user:     ada", "scopes:   a, b")
            assert " UTC, " in issued
            assert " UTC, in " in expires
            assert claims == "claims:   exp, iat, scope, sub"

    def test_what_an_accepted_token_lacks_is_noted(self) -> None:
        token = jwt.encode({"sub": "ada", "aud": "them"}, SECRET)
        output = herald("--check", token, **WITH_SECRET, HERALD_AUTH="open").stdout
        for words in (
            "scopes:   none",
            "never expires",
            "no `iat`",
            "HERALD_JWT_AUDIENCE is not set",
            "HERALD_AUTH is",
        ):
            assert words in output

    def test_a_refused_token(self) -> None:
        token = made("ada", **WITH_SECRET, HERALD_JWT_AUDIENCE="them")
        result = herald("--check", input=token, **WITH_SECRET, HERALD_JWT_AUDIENCE="herald")
        assert result.exit_code == 1
        assert result.stdout.splitlines() == [
            "refused: wrong_audience",
            'The token\'s `aud` is "them"; HERALD_JWT_AUDIENCE is "herald".',
            "Ask the issuer for a token for this audience, or correct HERALD_JWT_AUDIENCE.",
        ]

    @pytest.mark.parametrize(
        "garbage",
        [b"", b"\n", b"\xff" * 100, b"a.b.c", b"x" * 2_000_000, b"\x1b[2J.\x1b[2J.x", b"eyJhbGciOiJub25lIn0.e30."],
        ids=["nothing", "newline", "bytes", "dots", "huge", "control characters", "none"],
    )
    def test_garbage_is_refused(self, garbage: bytes) -> None:
        result = herald("--check", input=garbage, **WITH_SECRET)
        assert result.exit_code == 1
        assert all(line.isprintable() for line in result.stdout.splitlines())

    def test_names_of_claims_are_shown_without_control_characters(self) -> None:
        token = jwt.encode({"sub": "ada", "a\n\x1b[2J": 1, "scope": "x\x1b"}, SECRET)
        result = herald("--check", token, **WITH_SECRET)
        assert "a\\u000a\\u001b[2J" in result.stdout
        assert all(line.isprintable() for line in result.stdout.splitlines())

    @pytest.mark.parametrize(
        ("environ", "says"),
        [
            ({}, "No key to verify tokens is configured"),
            ({"HERALD_JWT_SECRET": "short"}, "HERALD_JWT_SECRET has 5 bytes"),
            ({**WITH_SECRET, "HERALD_JWT_PUBLIC_KEY": pem(RSA_KEY)}, "set one of them"),
            ({**WITH_SECRET, "HERALD_JWT_ALGORITHMS": "RS256"}, "HERALD_JWT_ALGORITHMS"),
            ({**WITH_SECRET, "HERALD_JWT_AUDIENC": "x"}, "did you mean HERALD_JWT_AUDIENCE?"),
        ],
    )
    def test_invalid_settings(self, environ: dict[str, str], says: str) -> None:
        result = herald("--check", "x", **environ)
        assert result.exit_code == 2
        assert says in result.stderr


class TestKeySet:
    @pytest.mark.parametrize("algorithm", KEYS)
    def test_the_set_has_the_public_key_and_verifies_its_tokens(self, tmp_path: Path, algorithm: str) -> None:
        file = file_with(tmp_path, private_pem(KEYS[algorithm]))
        printed = made("--jwks", "--key", file)
        (jwk,) = json.loads(printed)["keys"]
        assert set(jwk) <= {"kty", "crv", "n", "e", "x", "y", "kid", "use"}
        (key,) = read_key_set(printed.encode(), KEY_ALGORITHMS)
        assert key.kid == jwk["kid"]
        token = made("ada", "--key", file, "--kid", jwk["kid"])
        assert jwt.decode(token, key.material, [algorithm])["sub"] == "ada"

    def test_the_id_is_given_or_the_thumbprint(self, tmp_path: Path) -> None:
        file = file_with(tmp_path, private_pem(RSA_KEY))
        assert json.loads(made("--jwks", "--key", file, "--kid", "k"))["keys"][0]["kid"] == "k"
        members = jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)
        text = f'{{"e":"{members["e"]}","kty":"RSA","n":"{members["n"]}"}}'
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        assert json.loads(made("--jwks", "--key", file))["keys"][0]["kid"] == thumbprint

    def test_several_keys_are_in_one_set(self, tmp_path: Path) -> None:
        (public := tmp_path / "public.pem").write_text(pem(ED_KEY))
        private = file_with(tmp_path, private_pem(RSA_KEY))
        printed = json.loads(made("--jwks", "--key", private, "--key", str(public)))
        assert [key["kty"] for key in printed["keys"]] == ["RSA", "OKP"]
        refused = herald("--jwks", "--key", private, "--key", private, "--kid", "k")
        assert (refused.exit_code, "--kid is the id of one key" in refused.stderr) == (2, True)

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["--jwks"], 2, "with --key"),
            (["--jwks", "ada"], 2, "takes no other options"),
            (["--jwks", "--check"], 2, "takes no other options"),
            (["ada", "--key", "a", "--key", "b"], 2, "give --key once"),
            (["--jwks", "--key", "/dev/null"], 1, "is not in PEM"),
        ],
    )
    def test_what_is_refused(self, arguments: list[str], code: int, words: str) -> None:
        result = herald(*arguments)
        assert (result.exit_code, result.stdout) == (code, "")
        assert words in result.stderr
