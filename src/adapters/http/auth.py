"""Authentication of REST requests: the Litestar dependencies that identify the caller and check scopes."""

from typing import Annotated, Any, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import Parameter

from adapters.web.origins_and_hosts import Origins
from adapters.web.tokens import find_token, read_cookies
from application.access.identify import IdentifyCaller
from application.access.limit_rate import LimitRate
from application.log_context import bind_user
from domain.caller_errors import TokenMissing
from domain.identity import Identity, require_scope

UserId = Annotated[
    str | None,
    Parameter(
        description="The id of the calling user. Needed only if the server verifies no tokens (`HERALD_AUTH=open`). If"
        " you send a token, leave this parameter out, or give the token's user.",
    ),
]
Token = Annotated[
    str | None,
    Parameter(description="The token (a JWT), for clients that can't send an `Authorization` header."),
]


class Caller:
    """Identifies callers of REST requests, and counts each request towards its caller's rate limit.

    A caller is identified by a token in the `Authorization` header, in the query, or in a cookie. In open mode (the
    server verifies no tokens), a caller is identified by the query parameter `user_id`. The cookie is accepted only for
    GET requests, and only if HERALD_ORIGINS lists origins; otherwise a page of another site could make a browser send
    requests with it. Raises TooManyRequests, and what IdentifyCaller.current raises.
    """

    def __init__(self, identify: IdentifyCaller, limit_rate: LimitRate, origins: Origins) -> None:
        self._identify = identify
        self._limit_rate = limit_rate
        self._origins = origins

    async def identity(
        self, request: Request[Any, Any, Any], user_id: str | None, jwt: str | None, token: str | None
    ) -> Identity:
        counts = request.method == "GET" and self._origins.allowed is not None
        cookies = read_cookies(request.headers.getall("cookie", [])) if counts else {}
        query = {"jwt": jwt or "", "token": token or ""}
        shown = find_token(request.headers, [], cookies, query)
        identity = await self._identify.current(shown, user_id)
        bind_user(identity.user)
        await self._limit_rate("rest", identity)
        return identity


@inject
async def identity_of(
    request: Request[Any, Any, Any],
    caller: FromDishka[Caller],
    user_id: UserId = None,
    jwt: Token = None,
    token: Token = None,
) -> Identity:
    return await caller.identity(request, user_id, jwt, token)


async def user_of(identity: NamedDependency[Identity]) -> str:
    """Returns the id of the calling user, for handlers with the parameter `user`. Raises TokenMissing for an anonymous
    caller."""
    if identity.user is None:
        raise TokenMissing("A user is needed: add ?user_id= to the address." if identity.claimed else None)
    return identity.user


def guarded_by(scope: str) -> Provide:
    """Returns a Litestar dependency for operations that need the scope `scope`. It provides the identity of the caller;
    it raises TokenMissing if the caller is anonymous, and ScopeMissing if the caller lacks the scope.
    """

    async def identity_with_scope(identity: NamedDependency[Identity]) -> Identity:
        return require_scope(identity, scope)

    return Provide(identity_with_scope)


# Dependencies of routers: handlers receive the identity of the caller as the parameter `identity` (it may be
# anonymous), or the id of the calling user as the parameter `user`. A handler with one of them also has the query
# parameters `user_id`, `jwt` and `token`.
CALLER: Final = {"identity": Provide(identity_of), "user": Provide(user_of)}

User = NamedDependency[str]
