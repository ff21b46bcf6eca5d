"""Provides what the HTTP and socket adapters need: allowed origins and hosts, limits of connections, and the node's
names."""

from importlib.metadata import version
from urllib.parse import urlsplit

from dishka import Provider, Scope, provide

from adapters.http.auth import Caller
from adapters.http.monitoring import About
from adapters.sockets.event_stream import StreamGate
from adapters.web.origins_and_hosts import LOOPBACK, LOOPBACK_HOSTS, Hosts, Origins, host_of, origin_of
from adapters.web.serve_socket import SocketGate
from adapters.web.socket import SocketPolicy
from entrypoints.file_descriptors import BACKLOG, raised_limit, share_out
from entrypoints.settings.entrypoint_settings import ServerSettings
from entrypoints.settings.loader import Settings


class Web(Provider):
    scope = Scope.APP

    caller = provide(Caller)
    socket_gate = provide(SocketGate)
    stream_gate = provide(StreamGate)

    @provide
    def origins(self, settings: Settings) -> Origins:
        return allowed_origins(settings)

    @provide
    def about(self, settings: Settings) -> About:
        return About(
            version=version("herald"),
            service=settings.node.service,
            node=settings.node.name,
            auth=settings.server.auth,
            user_claim=settings.jwt.user_claim,
        )

    @provide
    def socket_policy(self, settings: Settings) -> SocketPolicy:
        return SocketPolicy(
            max_sockets=share_out(raised_limit(), settings, BACKLOG).sockets,
            max_unauthenticated=settings.web.max_unauthenticated,
        )


def allowed_origins(settings: Settings) -> Origins:
    web = settings.web
    return Origins(web.origins, origin_of(web.public_url) if web.public_url else None)


def allowed_hosts(settings: Settings) -> Hosts:
    """Returns the host names to which requests may be sent (their header `Host`): those in HERALD_HOSTS and that of the
    public URL.

    If HERALD_HOSTS is not set, all hosts are allowed. Exception: if HERALD_ORIGINS is `loopback`, only the names of
    this machine (such as `localhost`), the address on which Herald listens, and the host of the public URL are allowed.
    """
    web = settings.web
    named = web.hosts
    if named is None:
        named = (LOOPBACK,) if web.origins == (LOOPBACK,) else ("*",)
    if named == ("*",):
        return Hosts(None)
    hosts = {name for name in named if name != LOOPBACK}
    if LOOPBACK in named:
        hosts |= {*LOOPBACK_HOSTS, *_listening(settings.server)}
    if web.public_url and (host := host_of(urlsplit(web.public_url).netloc.rpartition("@")[2])):
        hosts.add(host)
    return Hosts(frozenset(hosts))


def _listening(server: ServerSettings) -> set[str]:
    """Returns a set with the host that HERALD_HOST names; an empty set if Herald listens on all addresses."""
    host = host_of(f"[{server.host}]" if ":" in server.host else server.host)
    return set() if host is None or host in ("0.0.0.0", "[::]") else {host}  # noqa: S104 - compared, not bound
