"""All settings of a process, in sections. Each section is declared by the part of Herald that uses it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, get_type_hints

import msgspec

from adapters.jwt.settings import JwtSettings
from adapters.mail.settings import MailSettings, SmtpSettings
from adapters.picows.settings import SocketListenerSettings
from adapters.redis.settings import RedisSettings
from adapters.sql.settings import DatabaseSettings
from adapters.telemetry.settings import LogSettings
from adapters.web.settings import WebSettings
from application.access.rate_settings import RateSettings
from application.hub.policy import HubPolicy, SessionPolicy
from application.operations.retention_settings import RetentionSettings
from domain.event_limits import Limits
from domain.setting_declarations import Mode, Section, Setting, settings_of
from entrypoints.brokers import BROKERS
from entrypoints.settings.entrypoint_settings import ClientSettings, NodeSettings, RoutingSettings, ServerSettings

SectionT = TypeVar("SectionT", bound=Section)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of this process, as read at the start.

    `came_from`: where the value of each setting comes from, keyed by `section.field`: `default`, the name of an
    environment variable, or a command line option such as `--port`. `brokers`: the section of each broker in the
    registry, keyed by the broker's name.
    """

    mode: Mode
    came_from: Mapping[str, str]

    routing: RoutingSettings
    server: ServerSettings
    web: WebSettings
    sockets: SocketListenerSettings
    jwt: JwtSettings
    brokers: Mapping[str, Section]
    database: DatabaseSettings
    retention: RetentionSettings
    node: NodeSettings
    redis: RedisSettings
    smtp: SmtpSettings
    mail: MailSettings
    limits: Limits
    sessions: SessionPolicy
    hub: HubPolicy
    rates: RateSettings
    logs: LogSettings
    client: ClientSettings

    def sections(self) -> Iterator[Section]:
        for name in SECTIONS:
            yield self.section(name)

    def section(self, name: str) -> Section:
        section: Section = self.brokers[name] if name in self.brokers else getattr(self, name)
        return section

    def of(self, kind: type[SectionT]) -> SectionT:
        """Returns the section that has this type."""
        return next(section for section in self.sections() if isinstance(section, kind))

    def value(self, key: str) -> Any:
        """Returns the value of a setting. `key` is `section.field`, for example `server.port`."""
        section, _, field = key.partition(".")
        return getattr(self.section(section), field)

    def shown(self, key: str) -> str:
        """Returns the value of a setting as text that may be displayed: a secret is masked. `key` is
        `section.field`."""
        return SETTINGS[key].shown(self.value(key))

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Returns the settings with masked secrets, because a `repr` may appear in logs and tracebacks."""
        return [("mode", self.mode), *((key, self.shown(key)) for key in SETTINGS)]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def _sections() -> Iterator[tuple[str, type[Section]]]:
    for name, kind in get_type_hints(Settings).items():
        if name == "brokers":
            yield from ((broker.name, broker.settings) for broker in BROKERS)
        elif isinstance(kind, type) and issubclass(kind, Section):
            yield name, kind


# All sections by name, in the order in which they are read and displayed.
SECTIONS: Final[Mapping[str, type[Section]]] = dict(_sections())

# All settings, keyed by `section.field`.
SETTINGS: Final[Mapping[str, Setting]] = {
    f"{name}.{field}": setting for name, kind in SECTIONS.items() for field, setting in settings_of(kind).items()
}
