"""Renders mail templates with Jinja in a sandbox, and describes errors in one line of text.

Mails are rendered in the child process of render_process, which limits their time and memory.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import StrictUndefined, Template, TemplateNotFound, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing, object_type_repr

from adapters.mail.mailer import TemplateUnavailable, Unrenderable
from adapters.mail.numbers_as_sent import SentNumber, decode
from adapters.mail.render_protocol import Request
from adapters.mail.shipped_templates import HTML, TEXT, plain_text_name
from adapters.mail.template_files import TemplateFiles
from adapters.mail.template_filters import FILTERS
from application.ports.mail_folder import RenderedMail
from domain.events import decode_json
from domain.safe_text import one_line

# Maximum size of the HTML of a mail, and of its plain text, in bytes. Mail clients cut messages of a tenth of that
# size.
MAX_MAIL_CHARS: Final = 1_000_000

# Maximum length of an error text, which is displayed in lists of deliveries.
MAX_ERROR_LENGTH: Final = 500


class _Missing(StrictUndefined):
    """The value of a name in a template for which the event has no field. Using the value raises UndefinedError,
    with a text that names the missing field."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is missing:
            return f"the event has no {self._undefined_name!r}"
        if isinstance(self._undefined_obj, dict):
            return f"an object in the event has no {self._undefined_name!r}"
        if isinstance(self._undefined_obj, SentNumber):
            return f"a number in the event has no {self._undefined_name!r}"
        return f"{object_type_repr(self._undefined_obj)} has no {self._undefined_name!r}"


class _Sandbox(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        """Returns the value of `obj.attribute` in a template. For an object of the event, its field takes precedence
        over the method of dict with the same name, such as `items` or `values`."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


@pass_context
def _finalize(_: Context, value: Any) -> Any:
    # Jinja calls this for each value in a template. Because it takes the context, Jinja does not evaluate constants
    # such as {{ "a" * 10**10 }} when it compiles a template. The server compiles templates when it starts, without
    # limits of memory and time.
    return "" if value is None else value


class _Compiled(NamedTuple):
    """What is known of a template that compiled. `used` are the names of the templates that it includes, imports or
    extends, and `parent` is the one that it extends, or None. `blocks` are the blocks that it fills, `required` those
    that the templates which extend it must fill."""

    version: object
    used: tuple[str, ...]
    parent: str | None
    blocks: frozenset[str]
    required: frozenset[str]


class Templates:
    """Renders and checks mail templates: those in the operator's folder, and the shipped ones. A file that was
    changed after it was read is read again."""

    def __init__(self, folder: str | None, profile_templates: Sequence[Path] = ()) -> None:
        self._files = TemplateFiles(folder, profile_templates)
        self._environment = _Sandbox(
            loader=self._files,
            autoescape=lambda name: name is None or not name.endswith(TEXT),
            undefined=_Missing,
            finalize=_finalize,
            optimized=False,  # see _finalize
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(FILTERS)
        # `lipsum` generates filler text. It is removed, because attacks on the sandbox usually begin with it.
        del self._environment.globals["lipsum"]
        self._compiled: dict[str, _Compiled] = {}

    def render(self, request: Request) -> RenderedMail:
        """Returns the mail, rendered from the HTML template that the request names (such as `order.html`) and its
        plain-text counterpart (`order.txt`). Raises TemplateUnavailable if a template is missing or does not
        compile, and Unrenderable for any other error."""
        context = _context(request)
        return RenderedMail(
            self._rendered(request.template, context), self._rendered(plain_text_name(request.template), context)
        )

    def fault_in(self, name: str) -> str | None:
        """Checks, without rendering, that a template, its plain-text counterpart, and the templates that these
        include or extend exist and compile, and that no required block is missing. Returns None if this is so,
        otherwise a text that says what is wrong."""
        seen: set[str] = set()
        for own in (name, plain_text_name(name)):
            if self._files.find(own) is None:
                return f"{own} is neither shipped nor in HERALD_MAIL_TEMPLATES"
            try:
                self._compile(own, seen)
            except Exception as error:
                return self._error_text(error, own)
            if missing_block := self._missing_block(own):
                return missing_block
        return None

    def _missing_block(self, name: str) -> str | None:
        """Returns a text that names the first block which a compiled template must fill, because a template that it
        extends requires it, and does not fill; None if there is none."""
        filled: frozenset[str] = frozenset()
        chain: list[str] = [name]
        while True:
            template = self._compiled[chain[-1]]
            for block in sorted(template.required - filled):
                return f"{name}: the block {block!r} is missing, which {chain[-1]} requires"
            filled |= template.blocks
            if template.parent is None or template.parent in chain:
                return None
            chain.append(template.parent)

    def _compile(self, name: str, seen: set[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        version = self._files.find(name)
        template = self._compiled.get(name)
        if template is None or version is None or version != template.version:
            template = self._compiled[name] = self._compile_one(name, version)
        for other in template.used:
            self._compile(other, seen)

    def _compile_one(self, name: str, version: object) -> _Compiled:
        source, path, _ = self._files.get_source(self._environment, name)
        tree = self._environment.parse(source, name, path)
        self._environment.compile(source, name, path)
        blocks = list(tree.find_all(nodes.Block))
        # A template that is extended under a condition, or by a variable name, is known only when a mail is rendered.
        parents = [
            node.template.value
            for node in tree.body
            if isinstance(node, nodes.Extends) and isinstance(node.template, nodes.Const)
        ]
        return _Compiled(
            version,
            tuple(_used_by(tree)),
            parents[0] if parents else None,
            frozenset(block.name for block in blocks if not block.required),
            frozenset(block.name for block in blocks if block.required),
        )

    def _rendered(self, name: str, context: dict[str, Any]) -> str:
        try:
            return _within_bounds(self._environment.get_template(name), context)
        except Unrenderable as fault:
            raise Unrenderable(f"{name}: {fault}") from None
        except (TemplateNotFound, TemplateSyntaxError) as error:
            raise TemplateUnavailable(self._error_text(error, name)) from None
        except Exception as error:
            raise Unrenderable(self._error_text(error, name)) from None

    def _error_text(self, error: Exception, name: str) -> str:
        match error:
            case TemplateSyntaxError():
                words = f"{error.name or name}, line {error.lineno}: {error.message}"
            case TemplateNotFound():
                words = f"{name}: there is no template {error.name}"
            case SecurityError():
                words = f"{self._location(error, name)}: this is not allowed: {error}"
            case UndefinedError():
                words = f"{name}: {error}"
            case RecursionError():
                words = f"{self._location(error, name)}: it calls itself endlessly, or is nested too deeply"
            case MemoryError():
                words = f"{self._location(error, name)}: it exceeds the memory limit"
            case _:
                words = f"{self._location(error, name)}: {type(error).__name__}: {error}"
        return one_line(words, MAX_ERROR_LENGTH)

    def _location(self, error: Exception, name: str) -> str:
        """Returns where a template raised the error, for example `order.html, line 3`: the innermost template in the
        traceback. Returns `name` if the traceback contains no template."""
        place = name
        trace = error.__traceback__
        while trace is not None:
            if own := self._files.name_of(trace.tb_frame.f_code.co_filename):
                place = f"{own}, line {trace.tb_lineno}"
            trace = trace.tb_next
        return place


def _used_by(tree: nodes.Template) -> Iterator[str]:
    """Yields the names of the templates that a template includes, imports or extends."""
    for node in tree.find_all((nodes.Extends, nodes.Import, nodes.FromImport, nodes.Include)):
        named = getattr(node, "template")  # noqa: B009 - find_all knows the types, mypy does not
        if isinstance(named, nodes.Const) and not getattr(node, "ignore_missing", False):
            yield named.value


def fault_in_templates(folder: str | None, name: str, profile_templates: Sequence[Path] = ()) -> str | None:
    """Checks, without rendering, that the template `name` of a route, its plain-text counterpart, and the templates
    that these include or extend exist and compile, and that no required block is missing. Returns None if this is so,
    otherwise a text that says what is wrong."""
    if not name.endswith(HTML):
        return f"{name} is not the name of an {HTML} file: the plain text beside it has the same name with {TEXT}"
    return _checked_templates(folder, tuple(profile_templates)).fault_in(name)


@cache
def _checked_templates(folder: str | None, profile_templates: tuple[Path, ...]) -> Templates:
    # Shared by all checks: many routes may name one template, and routes are checked again at each reload.
    return Templates(folder, profile_templates)


def _context(request: Request) -> dict[str, Any]:
    """Returns the variables that a template can use: the fields of the event's payload, and `event` with the event's
    id, type, source, time and URL.

    If the payload has an object `data`, its fields are variables too. If a field exists both in `data` and outside of
    it, the outer one is used, as with dotted paths in routes. Fields with the value null are omitted, so that no mail
    contains "None". Numbers are displayed as they were sent, such as `1.50`.
    """
    payload = _without_nulls(decode_json(request.payload, decode))
    fields = payload if type(payload) is dict else {}
    inner = fields.get("data")
    about = {"id": request.id, "type": request.type, "source": request.source, "time": request.time, "url": request.url}
    return {**(inner if type(inner) is dict else {}), **fields, "event": about}


def _without_nulls(value: Any) -> Any:
    if type(value) is dict:
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if type(value) is list:
        return [_without_nulls(inner) for inner in value if inner is not None]
    return value


def _within_bounds(template: Template, context: dict[str, Any]) -> str:
    pieces = []
    size = 0
    for piece in template.generate(context):
        size += len(piece.encode())
        if size > MAX_MAIL_CHARS:
            raise Unrenderable(f"the result is larger than {MAX_MAIL_CHARS} bytes")
        pieces.append(piece)
    text = "".join(pieces).strip()
    if not text:
        raise Unrenderable("the result is empty")
    return text
