"""The settings, declared once: from here they are loaded, shown by `herald config` and checked against the README."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_type_hints

from adapters.jwt.settings import JwtSettings
from entrypoints.settings import parsers
from entrypoints.settings.field import Mode, Setting
from entrypoints.settings.parsers import choice, seconds, text, whole
from entrypoints.settings.sections.mail import MailSettings


class Settings(MailSettings, frozen=True, kw_only=True):
    """All that a process of Herald is told from outside. What a field means is said by its declaration.

    `came_from` says of each field who set it: `default`, the name of an environment variable, or `--option`.
    """

    mode: Mode
    came_from: Mapping[str, str]

    drain_seconds: Annotated[
        float, Setting("HERALD_DRAIN_SECONDS", seconds, "How long clients are told to leave before we do.", "10")
    ]
    heartbeat_seconds: Annotated[
        float, Setting("HERALD_HEARTBEAT_SECONDS", seconds, "How often a quiet client hears from us.", "30")
    ]
    max_event_bytes: Annotated[
        int, Setting("HERALD_MAX_EVENT_BYTES", whole(), "Larger events become dead letters.", "1048576")
    ]
    max_recipients: Annotated[
        int,
        Setting(
            "HERALD_MAX_RECIPIENTS",
            whole(10_000_000),
            "How many users one event may be for; one for more becomes a dead letter.",
            "100000",
        ),
    ]
    max_fanout_bytes: Annotated[
        int,
        Setting(
            "HERALD_MAX_FANOUT_BYTES",
            whole(),
            "How many bytes one event may store for all of its users together; one that stores more becomes a dead"
            " letter. A route's `omit` keeps the list of users out of what each of them stores.",
            "268435456",
        ),
    ]
    max_sessions_per_user: Annotated[
        int, Setting("HERALD_MAX_SESSIONS_PER_USER", whole(), "How many connections one user may have.", "100")
    ]
    max_anonymous_sessions: Annotated[
        int | None,
        Setting(
            "HERALD_MAX_ANONYMOUS_SESSIONS",
            whole(),
            "How many sessions without a user one node may have; beyond it 503, with `Retry-After`.",
            unset="no limit",
        ),
    ]
    max_pending_sockets: Annotated[
        int,
        Setting(
            "HERALD_MAX_PENDING_SOCKETS",
            whole(),
            "How many sockets of one node may have yet to show a token in their first frame, for which each has 5 s;"
            " beyond it 503, with `Retry-After`.",
            "1000",
        ),
    ]
    rest_rate: Annotated[
        float,
        Setting(
            "HERALD_REST_RATE",
            parsers.per_second,
            "How many requests a second one user, or one token, may make in the long run; `0` is no limit.",
            "50",
        ),
    ]
    publish_rate: Annotated[
        float,
        Setting(
            "HERALD_PUBLISH_RATE",
            parsers.per_second,
            "How many events a second one user, or one token, may publish over HTTP; `0` is no limit.",
            "5000",
        ),
    ]
    connect_rate: Annotated[
        float,
        Setting(
            "HERALD_CONNECT_RATE",
            parsers.per_second,
            "How many connections a second one user, or one token, may open in the long run; `0` is no limit.",
            "50",
        ),
    ]

    log_format: Annotated[
        Literal["console", "json"],
        Setting("HERALD_LOG_FORMAT", choice("console", "json"), "console or json.", "json", in_dev="console"),
    ]
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        Setting(
            "LOG_LEVEL",
            choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
            "The least important lines to log.",
            "INFO",
        ),
    ]
    service_name: Annotated[
        str, Setting("SERVICE_NAME", text, "What /health and the logs call this service.", "herald")
    ]

    url: Annotated[
        str,
        Setting(
            "HERALD_URL",
            parsers.http_url,
            "The service that `herald publish`, `listen`, `dead-letters` and `deliveries` talk to.",
            "http://127.0.0.1:{port}",
        ),
    ]
    token: Annotated[str | None, Setting("HERALD_TOKEN", text, "The token that they show it.", secret=True)]

    @property
    def jwt(self) -> JwtSettings:
        return JwtSettings(
            secret=self.jwt_secret,
            public_key=self.jwt_public_key,
            jwks_url=self.jwt_jwks_url,
            cafile=self.jwt_cafile,
            algorithms=self.jwt_algorithms,
            audience=self.jwt_audience,
            issuer=self.jwt_issuer,
            scope_claims=self.jwt_scope_claims,
        )

    def shown(self, field: str) -> str:
        """The value as people may see it."""
        return SETTINGS[field].shown(getattr(self, field))

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Settings find their way into logs and tracebacks; secrets must not."""
        return [("mode", self.mode), *((field, self.shown(field)) for field in SETTINGS)]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def _declarations() -> dict[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    return {field: hint.__metadata__[0] for field, hint in hints.items() if hasattr(hint, "__metadata__")}


SETTINGS: Final[Mapping[str, Setting]] = _declarations()
