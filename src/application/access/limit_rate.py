"""Rate limits of callers."""

from typing import Literal, TypeAlias

import msgspec

from application.ports.throttle import Rate, Throttle
from domain.errors import TooManyRequests
from domain.identity import Identity

# What is limited, each separately: REST requests, published events, opened connections.
Act: TypeAlias = Literal["rest", "publish", "connect"]


class Rates(msgspec.Struct, frozen=True):
    """The rate limit of each kind of request; None means no limit."""

    rest: Rate | None = None
    publish: Rate | None = None
    connect: Rate | None = None


class LimitRate:
    """Charges a request to the user and to the token of its caller.

    Raises TooManyRequests, with the time to wait. Anonymous callers are not limited: they can be distinguished only by
    their addresses, which a proxy may hide from Herald.
    """

    def __init__(self, throttle: Throttle, rates: Rates) -> None:
        self._throttle = throttle
        self._rates = rates

    async def __call__(self, act: Act, identity: Identity, cost: int = 1) -> None:
        rate: Rate | None = getattr(self._rates, act)
        if rate is None:
            return
        for key in _keys(act, identity):
            wait = await self._throttle.take(key, rate, cost)
            if wait > 0:
                raise TooManyRequests(wait)


def _keys(act: Act, identity: Identity) -> list[str]:
    """Returns the keys to charge. The token's is the first: what the limit of a token refuses is not charged to its
    user, and so not to the user's other tokens."""
    if identity.user is None:
        return []
    by_token = [f"{act}:token:{identity.user}:{identity.token_id}"] if identity.token_id is not None else []
    return [*by_token, f"{act}:user:{identity.user}"]
