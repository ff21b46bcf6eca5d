"""The format of routes files as one struct type: the keys of a profile with everything in it, as they are written."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from domain.channel_tables import ChannelTable
from domain.endpoints import Endpoint
from domain.profiles import Profile
from domain.routes import Route
from domain.routes_file_keys import INTERNAL


@cache
def file_format(channels: Sequence[type[ChannelTable]], brokers: Sequence[str] | None) -> type[msgspec.Struct]:
    """Returns the struct type of a routes file. It differs from `Profile` in three points: a route has a key for the
    table of each of the `channels`; the fields that are no keys of the file are missing; `broker` is one of `brokers`,
    if they are given.
    """
    tables = [(table.channel, Annotated[table | None, msgspec.Meta(description=table.help)]) for table in channels]
    replaced: dict[str, Any] = {
        "routes": tuple[_written(Route, {}, tables), ...],  # type: ignore[misc]
        "endpoints": tuple[_written(Endpoint, {}), ...],  # type: ignore[misc]
    }
    if brokers is not None:
        replaced["broker"] = Literal[tuple(brokers)]
    return _written(Profile, replaced)


def _written(
    struct: type[msgspec.Struct], replaced: dict[str, Any], added: Sequence[tuple[str, Any]] = ()
) -> type[msgspec.Struct]:
    """Returns a struct type with the keys of `struct`: without its internal fields, with other types for the keys in
    `replaced`, and with the optional keys `added`. Descriptions and defaults are kept.
    """
    hints = get_type_hints(struct, include_extras=True)
    fields: list[Any] = []
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        notes = getattr(hint, "__metadata__", ())
        if INTERNAL in notes:
            continue
        if field.name in replaced:
            hint = Annotated[(replaced[field.name], *notes)]
        if field.required:
            fields.append((field.name, hint))
        elif field.default is not msgspec.NODEFAULT:
            fields.append((field.name, hint, field.default))
        else:
            fields.append((field.name, hint, msgspec.field(default_factory=field.default_factory)))
    fields += [(name, hint, None) for name, hint in added]
    return msgspec.defstruct(
        struct.__name__,
        fields,
        # The first paragraph: others are about fields that are no keys of the file.
        namespace={"__doc__": (struct.__doc__ or "").split("\n\n")[0]},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
