"""PostgreSQL over TLS: a real server with a certificate of a private certificate authority."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from entrypoints.prepare_database import StartRefused, prepare
from entrypoints.settings.loader import Settings, load
from tests.support.certificates import Authority
from tests.support.service import PATIENCE, Service, free_port, real_is_required


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="herald-tls-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


class TlsPostgres(Service):
    """Debian's PostgreSQL, because the one in the wheel has no TLS. `certificate` is a file that also contains its
    key."""

    GENTLY = signal.SIGINT

    def __init__(self, directory: Path, certificate: Path) -> None:
        super().__init__(directory / "log.txt")
        self._bin = max(Path("/usr/lib/postgresql").glob("*/bin"))
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._data = directory / "data"
        self._certificate = certificate
        self.port = free_port()
        certificate.chmod(0o600)
        if self._user is not None:
            for owned in (certificate, directory):
                shutil.chown(owned, self._user)
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-N")

    def launch(self) -> None:
        options = {"ssl": "on", "ssl_cert_file": self._certificate, "ssl_key_file": self._certificate, "fsync": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [
            self._bin / "postgres",
            "-D",
            self._data,
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            "",
            *settings,
        ]
        self._spawn(command, user=self._user, cwd="/")

    def create(self) -> str:
        """Create a database. Returns its URL."""
        name = f"test_{uuid.uuid4().hex}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name)
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{name}"

    def _answers(self) -> bool:
        command = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._bin / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE, user=self._user, cwd="/")


@contextmanager
def serving(directory: Path, certificate: Path) -> Iterator[TlsPostgres]:
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        (pytest.fail if real_is_required() else pytest.skip)("needs a PostgreSQL with TLS: install Debian's")
    directory.mkdir(mode=0o755)
    one = TlsPostgres(directory, certificate)
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def server(folder: Path, authority: Authority) -> Iterator[TlsPostgres]:
    """A PostgreSQL server whose certificate is valid for 127.0.0.1 and localhost."""
    with serving(folder / "local", authority.write()) as one:
        yield one


@pytest.fixture(autouse=True)
def _no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)


def settings(url: str) -> Settings:
    return load({"HERALD_AUTH": "open", "DATABASE_URL": url}, "dev", {})


async def refused(url: str) -> str:
    with pytest.raises(StartRefused) as caught:
        await prepare(settings(url), migrate=False)
    assert caught.value.code == 2
    return str(caught.value)


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
async def test_a_configured_certificate_authority_is_trusted(
    server: TlsPostgres, authority: Authority, mode: str
) -> None:
    url = server.create()
    await prepare(settings(f"{url}?sslmode={mode}&sslrootcert={authority.cafile}"), migrate=False)


async def test_system_authorities_are_used_when_none_is_configured(
    server: TlsPostgres, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.create()
    for root in ("", "&sslrootcert=system"):
        assert "certificate" in await refused(f"{url}?sslmode=verify-full{root}")
    # OpenSSL reads the trusted certificates of the system from here.
    monkeypatch.setenv("SSL_CERT_FILE", authority.cafile)
    for root in ("", "&sslrootcert=system"):
        await prepare(settings(f"{url}?sslmode=verify-full{root}"), migrate=False)


async def test_the_default_certificate_locations_of_libpq_are_used(
    server: TlsPostgres, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.create()
    (tmp_path / ".postgresql").mkdir()
    shutil.copy(authority.cafile, tmp_path / ".postgresql" / "root.crt")
    await prepare(settings(f"{url}?sslmode=verify-full"), migrate=False)
    shutil.rmtree(tmp_path / ".postgresql")
    monkeypatch.setenv("PGSSLROOTCERT", authority.cafile)
    await prepare(settings(f"{url}?sslmode=verify-full"), migrate=False)


async def test_an_untrusted_certificate_refuses_the_start(server: TlsPostgres, tmp_path: Path) -> None:
    url = server.create()
    other = Authority(tmp_path)
    for mode in ("verify-full", "verify-ca", "require"):
        reason = await refused(f"{url}?sslmode={mode}&sslrootcert={other.cafile}")
        assert "certificate verify failed" in reason


async def test_the_host_name_is_checked_by_verify_full_only(folder: Path, authority: Authority) -> None:
    with serving(folder / "elsewhere", authority.write("db.example")) as server:
        url = server.create()
        root = f"sslrootcert={authority.cafile}"
        assert "127.0.0.1" in await refused(f"{url}?sslmode=verify-full&{root}")
        await prepare(settings(f"{url}?sslmode=verify-ca&{root}"), migrate=False)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sslmode=verify-full&sslrootcert=/nowhere.pem", "has an sslrootcert that can't be read"),
        ("sslmode=verify-full&sslrootcert=/etc/hostname", "has an sslrootcert that holds no certificates"),
        ("sslrootcert=system", "has an sslrootcert, and no sslmode that would use it"),
        ("sslmode=prefer&sslrootcert=system", "has an sslrootcert, and no sslmode that would use it"),
    ],
)
def test_an_unusable_certificate_file_is_refused(query: str, words: str) -> None:
    with pytest.raises(Exception, match=f"DATABASE_URL {words}"):
        settings(f"postgresql://me@db/x?{query}")
