"""Authentication of REST requests."""

from typing import Annotated, Any, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import Parameter

from adapters.web.origins import Origins
from adapters.web.tokens import find_token, read_cookies
from application.access.identify import IdentifyCaller
from application.access.limit_rate import LimitRate
from application.log_context import bind_user
from domain.errors import TokenMissing
from domain.identity import Identity, require_scope

UserId = Annotated[
    str | None,
    Parameter(
        description="The user to act for. Needed only if the server verifies no tokens (`HERALD_AUTH=open`). With a"
        " token it can be left out; if it is given, it must be the token's user (`sub`).",
    ),
]
Token = Annotated[
    str | None,
    Parameter(description="The token, if the client can't send an `Authorization` header."),
]


class Caller:
    """Identifies the caller of a REST request by its token (docs/protocol.md, "Authentication") or, in open mode, by
    `user_id`, and counts the request towards that caller's rate limit.

    A token in the cookie is accepted only for GET requests, and only if HERALD_ORIGINS is a list of origins: otherwise
    a page of another site could make requests with it. Raises the errors of IdentifyCaller.current, and
    TooManyRequests.
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
    """Returns the id of the calling user. Raises TokenMissing for an anonymous caller."""
    if identity.user is None:
        raise TokenMissing("A user is needed: add ?user_id= to the address." if identity.claimed else None)
    return identity.user


def guarded_by(scope: str) -> Provide:
    """Returns a dependency that provides the caller's identity to operations that need this scope. The dependency
    raises TokenMissing for an anonymous caller, and ScopeMissing for one without the scope.
    """

    async def identity_with_scope(identity: NamedDependency[Identity]) -> Identity:
        return require_scope(identity, scope)

    return Provide(identity_with_scope)


# Dependencies of routers: handlers receive the identity of the caller as the parameter `identity` (it may be
# anonymous), or the id of the calling user as the parameter `user`. A handler with one of them also has the query
# parameters `user_id`, `jwt` and `token`.
CALLER: Final = {"identity": Provide(identity_of), "user": Provide(user_of)}

User = NamedDependency[str]
