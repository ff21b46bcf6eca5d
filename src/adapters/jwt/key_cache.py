"""Fetches and caches the public keys that an issuer publishes at a URL (HERALD_JWT_JWKS_URL)."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from itertools import islice
from typing import Final

import httpx
import msgspec
import structlog

from adapters.jwt.key_set import NotKeys, read_key_set
from adapters.jwt.keys import KEY_ALGORITHMS, Key, narrowed
from adapters.jwt.settings import JwtSettings
from application.log_context import start_detached
from domain.errors import TokenInvalid, Unavailable

log = structlog.get_logger(__name__)

# Maximum size of a JWK set in bytes. Usual sets have a few kilobytes.
MAX_KEY_SET_BYTES: Final = 1_000_000

# Maximum number of keys that are tried for one token. Each attempt blocks the event loop (for 0.1 ms with an RSA key of
# 4096 bits).
MAX_CANDIDATES: Final = 16


class Pace(msgspec.Struct, frozen=True):
    """The intervals at which keys are fetched, and the timeout of a fetch, in seconds.

    `refresh`: the interval of regular fetches. While the server is available, a key that the issuer has withdrawn is
    accepted for at most this time.
    `unknown`: the minimum interval of fetches that are caused by tokens with an unknown key.
    `retry`: the minimum interval of attempts before the first successful fetch.
    `timeout`: the maximum duration of a fetch, from the first byte sent to the last byte received.
    """

    refresh: float = 600.0
    unknown: float = 30.0
    retry: float = 1.0
    timeout: float = 5.0


PACE: Final = Pace()


def checked_url(url: str | None) -> httpx.URL:
    """Returns the parsed URL. Raises ValueError if it is not an http or https URL. Plain http is safe only in a network
    that an attacker can't access."""
    with contextlib.suppress(httpx.InvalidURL):
        parsed = httpx.URL(url or "")
        if parsed.scheme in ("https", "http") and parsed.host:
            return parsed
    raise ValueError("HERALD_JWT_JWKS_URL is not a URL of the form https://host/path.")


class KeyServer:
    """Finds the keys that may have signed a token. Fetches them from the issuer's server, at most as often as `pace`
    allows.

    Concurrent calls share one fetch. If a fetch fails, the keys that were fetched before stay in use. A fetch fails if
    the server is unavailable, is too slow, redirects, or sends anything but a JWK set of at most 1 MB. Only the first
    of several failures in a row is logged. An instance belongs to the event loop of its first call.
    """

    def __init__(self, settings: JwtSettings, monotonic: Callable[[], float], pace: Pace) -> None:
        self._url = checked_url(settings.jwks_url)
        self._algorithms = narrowed(KEY_ALGORITHMS, settings.algorithms, "HERALD_JWT_JWKS_URL")
        self._monotonic = monotonic
        self._pace = pace
        # Responses are requested uncompressed, because the size limit is checked before decompression.
        self._client = httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=settings.cafile) if settings.cafile else True,
            timeout=pace.timeout,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
        )
        self._keys: tuple[Key, ...] = ()
        self._error: str | None = None
        self._closed = False
        self._fetches_begun = self._last_answered = 0
        self._next_attempt = self._next_for_unknown = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to fetch keys in the background, and retries until a fetch succeeds. If this is not called, the first
        token causes the first fetch."""
        self._starting = asyncio.create_task(self._fetch_first())

    @property
    def fault(self) -> str | None:
        """Says why no token can be verified: no keys have been fetched yet. None as soon as keys have been fetched."""
        if self._keys:
            return None
        return f"there are no keys of {self._url.host} yet: {self._error or 'they are being fetched'}"

    async def find(self, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        """Returns the keys that may have signed a token with this header: keys for `algorithm` whose id is `kid`, or
        keys with any id if `kid` is None. Returns at least one and at most MAX_CANDIDATES keys.

        If no such key was fetched before, it may be a new key, so the keys are fetched again. Raises TokenInvalid if
        the new keys do not contain it either, or if the algorithm is not accepted. Raises Unavailable if the server is
        unavailable, or the interval between two fetches has not passed yet.
        """
        if algorithm not in self._algorithms:
            raise TokenInvalid
        if self._refreshing is None and not self._closed:
            self._refreshing = start_detached(self._refresh())
        fetches_before = self._fetches_begun
        while not (found := self._fitting(algorithm, kid)):
            if self._last_answered > fetches_before:
                raise TokenInvalid
            if not self._may_fetch():
                raise Unavailable("The key of this token can't be looked up right now: try again.")
            await self._fetch()
        return found

    async def close(self) -> None:
        """Ends background fetches. The keys that were fetched before stay in use, but no further keys are fetched."""
        self._closed = True
        tasks = [task for task in (self._starting, self._refreshing, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    def _fitting(self, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        fitting = (key for key in self._keys if algorithm in key.algorithms and kid in (None, key.kid))
        return tuple(islice(fitting, MAX_CANDIDATES))

    def _may_fetch(self) -> bool:
        """Returns whether a fetch is running, or a new one is allowed now. If it allows one because of an unknown key,
        the interval `unknown` starts."""
        if self._closed:
            return False
        if self._fetching is not None:
            return True
        now = self._monotonic()
        if not self._keys:
            return now >= self._next_attempt
        if now < self._next_for_unknown:
            return False
        self._next_for_unknown = now + self._pace.unknown
        return True

    async def _fetch(self) -> None:
        if self._fetching is None:
            self._fetching = start_detached(self._fetch_once())
        # wait() does not cancel the shared fetch when one of its callers is cancelled.
        await asyncio.wait({self._fetching})

    async def _fetch_once(self) -> None:
        self._fetches_begun += 1
        number = self._fetches_begun
        try:
            async with asyncio.timeout(self._pace.timeout):
                self._keys = read_key_set(await self._download(), self._algorithms)
        except Exception as error:  # After a failure of any kind, the old keys stay in use.
            known, self._error = self._error, self._words(error)
            if known is None:
                log.warning("jwks_unavailable", server=self._url.host, error=self._error, keys=len(self._keys))
        else:
            if self._error is not None:
                log.info("jwks_available", server=self._url.host, keys=len(self._keys))
            self._error = None
            self._last_answered = number
        finally:
            self._next_attempt = self._monotonic() + self._pace.retry
            self._fetching = None

    def _words(self, error: Exception) -> str:
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return f"no answer within {self._pace.timeout:g} s"
        if isinstance(error, NotKeys | httpx.HTTPError | OSError):
            return str(error) or type(error).__name__
        return type(error).__name__

    async def _fetch_first(self) -> None:
        while not self._keys:
            await self._fetch()
            if not self._keys:
                await asyncio.sleep(self._pace.retry)

    async def _download(self) -> bytes:
        async with self._client.stream("GET", self._url) as response:
            if response.status_code != httpx.codes.OK:
                raise NotKeys(f"the answer has status {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_KEY_SET_BYTES:
                    raise NotKeys("the answer exceeds 1 MB")
            return bytes(body)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self._pace.refresh)
            await self._fetch()
