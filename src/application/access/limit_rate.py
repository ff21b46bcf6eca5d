"""Rate limits of callers."""

from typing import Literal, TypeAlias

import msgspec

from application.ports.throttle import Rate, Throttle
from domain.caller_errors import TooManyRequests
from domain.identity import Identity

# What is limited, each separately: REST requests, published events, opened connections.
Act: TypeAlias = Literal["rest", "publish", "connect"]


class Rates(msgspec.Struct, frozen=True):
    """The rate limits of one user or token: of REST requests (`rest`), of events published over HTTP (`publish`) and of
    new connections (`connect`). None means no limit."""

    rest: Rate | None = None
    publish: Rate | None = None
    connect: Rate | None = None


class LimitRate:
    """Limits how often each user, and each token of a user, may send requests.

    Anonymous callers are not limited: they differ only in their IP addresses, which a proxy may hide from Herald.
    """

    def __init__(self, throttle: Throttle, rates: Rates) -> None:
        self._throttle = throttle
        self._rates = rates

    async def __call__(self, act: Act, identity: Identity, cost: int = 1) -> None:
        """Counts `cost` requests (for `publish`: events) of the kind `act` for the caller's token and user. Raises
        TooManyRequests, with the seconds to wait, if that exceeds the limit of either."""
        rate: Rate | None = getattr(self._rates, act)
        if rate is None:
            return
        for key in _keys(act, identity):
            wait = await self._throttle.take(key, rate, cost)
            if wait > 0:
                raise TooManyRequests(wait)


def _keys(act: Act, identity: Identity) -> list[str]:
    """Returns the Throttle keys of the caller's token and user, in this order: a request that the token's limit refuses
    is not counted for the user, so it does not slow down the user's other tokens. Empty for an anonymous caller."""
    if identity.user is None:
        return []
    by_token = [f"{act}:token:{identity.user}:{identity.token_id}"] if identity.token_id is not None else []
    return [*by_token, f"{act}:user:{identity.user}"]
