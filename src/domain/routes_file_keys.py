"""Declarations of the keys of routes files. A key is a field of a struct, such as `Route`. Its type, default and
description are declared there once; the error texts for routes files, the reference in docs/routes.md and the JSON
Schema are made from this declaration:

    feed: Annotated[str | None, msgspec.Meta(description="The feed that the event goes to.")] = None

A `title` in the Meta names the kind of value in place of `text`, such as `path`. In its `extra`, `unset` says what
applies if the key is not set, `rule` says in words which texts match the `pattern`, and `internal` marks a field that
is not a key of the file. Descriptions are one paragraph of Markdown.
"""

from typing import Annotated, Final, TypeAlias

import msgspec

# The dotted path of a field in the payload of an event, such as `comment.author_id`.
PayloadPath: TypeAlias = Annotated[str, msgspec.Meta(title="path")]

# A text in which payload fields in braces are replaced by their values (see domain.text_templates).
TextTemplate: TypeAlias = Annotated[str, msgspec.Meta(title="template")]

# A name that is used in metrics, logs and addresses.
Name: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        title="name",
        pattern=r"^[a-z0-9_-]{1,64}\Z",
        extra={"rule": "lower-case letters, digits, '_' and '-', 1 to 64 characters"},
    ),
]

# Marks a field of a struct that is not a key of routes files: `profile: Annotated[str, INTERNAL] = ""`.
INTERNAL: Final = msgspec.Meta(extra={"internal": True})
