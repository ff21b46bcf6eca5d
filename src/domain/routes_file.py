"""Reader of routes files.

A routes file is TOML. An unknown key, a value of the wrong type, and a pattern or template that is invalid are errors.
The error text names the file, the route or endpoint, and the key.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from domain.channel_tables import ChannelTable
from domain.conditions import fault_in_conditions, unquoted_path
from domain.endpoint_checks import validate_endpoint, validate_together
from domain.input_faults import find_fault
from domain.notification_urls import validate_url_template
from domain.payload_paths import fault_in_path, fault_in_single_path
from domain.preferences import MAX_TYPE_LENGTH
from domain.profiles import PUBLIC, SCOPE, SIGNED_IN, Profile
from domain.routes import Route, RoutesInvalid, route_templates
from domain.routes_file_format import file_format
from domain.routes_file_places import fault_of, place_of
from domain.source_patterns import validate_pattern
from domain.streams import validate_feed_name
from domain.text_templates import validate_template
from domain.titles import unquoted_type, validate_type_title
from domain.toml_documents import NotToml, parse_toml

# The keys of a routes file that are lists of tables.
_LISTS: Final = ("routes", "endpoints", "samples")


def read_profile(
    text: str, file: str, channels: Sequence[type[ChannelTable]] = (), brokers: Collection[str] | None = None
) -> Profile:
    """Reads and checks a routes file. Raises RoutesInvalid if it is invalid. `text` is its content, and `file` its
    name, for error texts. `channels` are the table classes of the outbound channels that routes may use. `brokers` are
    the values that `broker` may have; None allows any value.
    """
    return make_profile(parse_document(text, file), file, channels, brokers)


def parse_document(text: str, file: str) -> dict[str, Any]:
    """Parses the text of a routes file as TOML. Raises RoutesInvalid, with the name `file` in its text, if it is not
    TOML.
    """
    try:
        return parse_toml(text, _LISTS)
    except NotToml as error:
        raise RoutesInvalid(f"{file}: {error}") from None


def make_profile(
    document: dict[str, Any],
    file: str,
    channels: Sequence[type[ChannelTable]] = (),
    brokers: Collection[str] | None = None,
) -> Profile:
    """Converts a routes file that is parsed from TOML to a profile, and checks it. Raises RoutesInvalid if it is
    invalid. The parameters are those of `read_profile`.
    """
    for index, written in enumerate(_tables(document, "routes")):
        if fault := unquoted_path(written.get("when")):
            raise RoutesInvalid(f"{file}: {place_of(('routes', index), document)}: {fault}")
    if fault := unquoted_type(document.get("types")):
        raise RoutesInvalid(f"{file}: {fault}")
    try:
        profile = _convert(document, {table.channel: table for table in channels})
        if brokers is not None and profile.broker not in brokers:
            raise msgspec.ValidationError(f"Invalid value {profile.broker!r} - at `$.broker`")
    except msgspec.ValidationError as error:
        format_ = file_format(tuple(channels), None if brokers is None else tuple(brokers))
        found = find_fault(document, format_) or fault_of(error)
        raise RoutesInvalid(f"{file}: {place_of(found.path, document)}: {found.reason}") from None
    for name in profile.feeds:
        if fault := validate_feed_name(name) or _validate_access(profile.feeds[name].access):
            raise RoutesInvalid(f"{file}: feeds.{name}: {fault}")
    for type_, declared in profile.types.items():
        if fault := validate_type_title(type_, declared):
            raise RoutesInvalid(f"{file}: types.{type_}: {fault}")
    if not profile.routes:
        raise RoutesInvalid(f"{file}: routes: at least one is needed")
    for number, route in enumerate(profile.routes, 1):
        if fault := _validate_route(route, profile):
            raise RoutesInvalid(f"{file}: route {number} ({route.source!r}): {fault}")
    _check_endpoints(profile, file)
    return msgspec.structs.replace(
        profile,
        routes=tuple(msgspec.structs.replace(route, profile=profile.profile) for route in profile.routes),
        endpoints=tuple(msgspec.structs.replace(endpoint, profile=profile.profile) for endpoint in profile.endpoints),
    )


def _tables(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Returns the tables `[[key]]` of a parsed routes file; an empty list if the value of the key is something else."""
    tables = document.get(key)
    return tables if isinstance(tables, list) and all(isinstance(table, dict) for table in tables) else []


def _convert(document: dict[str, Any], channels: Mapping[str, type[ChannelTable]]) -> Profile:
    """Converts a parsed routes file to a profile, without further checks. The table of each outbound channel is
    converted by the class in `channels`, which is keyed by channel name; everything else is converted by msgspec.
    Raises msgspec.ValidationError.
    """
    if not (routes := _tables(document, "routes")):
        return msgspec.convert(document, Profile)
    tables: list[tuple[ChannelTable, ...]] = []
    for index, route in enumerate(routes):
        if "channels" in route:
            raise msgspec.ValidationError(f"`channels` is not a key - at `$.routes[{index}]`")
        used = [key for key in route if key in channels]
        tables.append(tuple(_read_table(channels[key], route[key], f"routes[{index}].{key}") for key in used))
    own = [{key: value for key, value in route.items() if key not in channels} for route in routes]
    profile = msgspec.convert({**document, "routes": own}, Profile)
    pairs = zip(profile.routes, tables, strict=True)
    return msgspec.structs.replace(
        profile, routes=tuple(msgspec.structs.replace(route, channels=used) for route, used in pairs)
    )


def _read_table(channel: type[ChannelTable], value: object, path: str) -> ChannelTable:
    try:
        return channel.read(value)
    except msgspec.ValidationError as error:
        text, _, within = str(error).partition(" - at `$")
        raise msgspec.ValidationError(f"{text} - at `$.{path}{within.rstrip('`')}`") from None


def _check_endpoints(profile: Profile, file: str) -> None:
    """Raises RoutesInvalid if an endpoint of the profile is invalid, or two of them can't be served together."""
    for number, endpoint in enumerate(profile.endpoints, 1):
        if fault := validate_endpoint(endpoint, bool(profile.feeds)):
            raise RoutesInvalid(f"{file}: endpoint {number} ({endpoint.name!r}): {fault}")
    if conflict := validate_together(profile.endpoints):
        endpoint = conflict.endpoint
        number = next(number for number, one in enumerate(profile.endpoints, 1) if one is endpoint)
        raise RoutesInvalid(f"{file}: endpoint {number} ({endpoint.name!r}): {conflict.fault}")


def _validate_route(route: Route, profile: Profile) -> str | None:
    """Checks a route. Returns its first fault as `<key>: <reason>`; None if the route is valid."""
    if fault := validate_pattern(route.source):
        return f"source: {fault}"
    if route.profile:
        return "profile: set it once, at the top of the file"
    for key, text in _stored_texts(route).items():
        if "\0" in text:
            return f"{key}: contains U+0000, which can't be stored"
    if len(route.as_type or "") > MAX_TYPE_LENGTH:
        return f"as_type: has more than {MAX_TYPE_LENGTH} characters"
    if fault := fault_in_conditions(route.when) or _validate_paths(route):
        return fault
    if not (route.users or route.feed or route.channels or route.sign_out):
        return "it has no effect: set users, feed, sign_out, or an outbound channel such as email"
    if route.feed is not None and route.feed not in profile.feeds:
        return f"feed: {route.feed!r} is not declared: add the table [feeds.{route.feed}]"
    if route.otherwise == "broadcast" and not (route.users and route.feed):
        return "otherwise: 'broadcast' sends events without a recipient to the feed: set users and feed"
    if route.reference is not None and not route.channels:
        return "reference: it is a search key for deliveries, and this route has no outbound channel such as email"
    for key, template in route_templates(route).items():
        validate = validate_url_template if key == "inbox.url" else validate_template
        if fault := validate(template):
            return f"{key}: {fault}"
    return None


def _validate_paths(route: Route) -> str | None:
    single = {"id": route.id, "reference": route.reference}
    for key, path in single.items():
        if path is not None and (fault := fault_in_single_path(path)):
            return f"{key}: {path!r} {fault}"
    for path in route.exclude:
        if fault := fault_in_path(path):
            return f"exclude: {path!r} {fault}"
    if route.exclude and not (route.users or route.channels):
        return (
            "exclude: it leaves out users of `users` and destinations of channels such as email, and this route has"
            " neither; subscribers of a feed can't be left out"
        )
    if route.users and not set(route.users).difference(route.exclude):
        return "exclude: it has all paths of users, so that no user would ever be notified"
    return None


def _stored_texts(route: Route) -> dict[str, str]:
    """Returns the texts of a route that can be stored with events, by key, such as `as_type` or `inbox.title`."""
    texts = {f"{table.channel}.template": table.template for table in route.channels}
    if route.as_type is not None:
        texts["as_type"] = route.as_type
    return route_templates(route) | texts


def _validate_access(access: str) -> str | None:
    if access in (PUBLIC, SIGNED_IN) or (access.startswith(SCOPE) and access != SCOPE):
        return None
    return f"access: {access!r} is not 'public', 'signed-in' or 'scope:<scope>'"
