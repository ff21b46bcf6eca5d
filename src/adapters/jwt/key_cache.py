"""Fetches and caches the public keys that a token issuer publishes at a URL (HERALD_JWT_JWKS_URL)."""

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
from adapters.jwt.keys import KEY_ALGORITHMS, Key, accepted_algorithms, check_algorithm
from adapters.jwt.refusal import TokenRefused, listed, shown
from adapters.jwt.settings import JwtSettings
from application.log_context import start_detached
from domain.caller_errors import Unavailable

log = structlog.get_logger(__name__)

# Maximum size of a JWK set in bytes. Usual sets have a few kilobytes.
MAX_KEY_SET_BYTES: Final = 1_000_000

# Maximum number of keys that are tried for one token. Each attempt blocks the event loop (for 0.1 ms with an RSA key of
# 4096 bits).
MAX_CANDIDATES: Final = 16


class Pace(msgspec.Struct, frozen=True):
    """Limits how often KeyServer fetches an issuer's keys, and how long a fetch may take. All values are in seconds.

    - `refresh`: the interval of regular fetches. After the issuer has withdrawn a key, Herald accepts the key until the
      next successful fetch.
    - `unknown`: the minimum interval between two fetches for tokens whose key is not among the fetched keys.
    - `retry`: the minimum pause after a failed fetch while no fetch has succeeded yet.
    - `timeout`: the maximum duration of a fetch, from connecting to the last byte received.
    """

    refresh: float = 600.0
    unknown: float = 30.0
    retry: float = 1.0
    timeout: float = 5.0


PACE: Final = Pace()


def checked_url(url: str | None) -> httpx.URL:
    """Returns HERALD_JWT_JWKS_URL as a parsed URL. Raises ValueError if it is missing, or is not an http or https URL
    with a host."""
    # Plain http is safe only in a network that no attacker can access: whoever changes the response can sign tokens.
    with contextlib.suppress(httpx.InvalidURL):
        parsed = httpx.URL(url or "")
        if parsed.scheme in ("https", "http") and parsed.host:
            return parsed
    raise ValueError("HERALD_JWT_JWKS_URL is not a URL of the form https://host/path.")


class KeyServer:
    """The public keys of a token issuer, fetched from HERALD_JWT_JWKS_URL and cached. JwtVerifier calls `find` to get
    the keys for a token; `pace` limits how often keys are fetched.

    A fetch fails if the issuer's server is unavailable, exceeds the timeout, redirects, or sends anything other than a
    JWK set of at most 1 MB with at least one usable key. Then the keys of the last successful fetch stay in use. Only
    the first of consecutive failures is logged. Concurrent calls of `find` share one fetch. All methods must be called
    in the same event loop.
    """

    def __init__(self, settings: JwtSettings, monotonic: Callable[[], float], pace: Pace) -> None:
        self._url = checked_url(settings.jwks_url)
        # Without parts that may be secret.
        self._shown_url = self._url.copy_with(query=None, fragment=None, userinfo=b"")
        self._algorithms = accepted_algorithms(KEY_ALGORITHMS, settings.algorithms, "HERALD_JWT_JWKS_URL")
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
        """Starts fetching keys in the background, and retries until a fetch succeeds. Without this call, keys are
        fetched when `find` is called for the first time."""
        self._starting = asyncio.create_task(self._fetch_first())

    @property
    def fault(self) -> str | None:
        """The reason why no token can be verified: no fetch of keys has succeeded yet. None after the first successful
        fetch."""
        if self._keys:
            return None
        return f"there are no keys of {self._shown_url} yet: {self._error or 'they are being fetched'}"

    async def find(self, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        """Returns the keys that may have signed a token, by the header of the token: `algorithm` is its `alg`, and
        `kid` is its `kid` (the id of the key); if `kid` is None, keys with any id match. Returns at least one and at
        most MAX_CANDIDATES keys.

        If no fetched key matches, fetches the keys again, because the issuer may have added one. Raises TokenRefused if
        no key matches after this fetch, or if HERALD_JWT_ALGORITHMS excludes the algorithm. Raises Unavailable if the
        fetch fails or `pace` does not allow one yet: a later call for the same token may succeed.
        """
        check_algorithm(algorithm, self._algorithms)
        if self._refreshing is None and not self._closed:
            self._refreshing = start_detached(self._refresh())
        fetches_before = self._fetches_begun
        while not (found := self._matching(algorithm, kid)):
            if self._last_answered > fetches_before:
                raise TokenRefused("unknown_key", shown(algorithm), shown(kid), self._keys_shown())
            if not self._may_fetch():
                raise Unavailable("The key of this token can't be looked up right now: try again.")
            await self._fetch()
        return found

    async def close(self) -> None:
        """Ends background fetches and closes the HTTP client. Afterwards, `find` still returns keys that were fetched
        before, but fetches no others."""
        self._closed = True
        tasks = [task for task in (self._starting, self._refreshing, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    def _matching(self, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        matching = (key for key in self._keys if algorithm in key.algorithms and kid in (None, key.kid))
        return tuple(islice(matching, MAX_CANDIDATES))

    def _keys_shown(self) -> str:
        return listed([f"{shown(key.kid)} for {'/'.join(key.algorithms)}" for key in self._keys])

    def _may_fetch(self) -> bool:
        """Returns whether `find` may call `_fetch` now: either a running fetch can be shared, or the interval since the
        last fetch has passed (`Pace.retry` before the first success, `Pace.unknown` afterwards). In the last case, the
        interval `Pace.unknown` starts again. Always False after `close`."""
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
