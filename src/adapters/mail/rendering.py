"""Renders templates in a sandbox, and reports errors as one line of text.

The limits of time and memory are enforced by the process in which this code runs: see render_process.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateNotFound, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing, object_type_repr

from adapters.mail.mailer import TemplateUnavailable, Unrenderable
from adapters.mail.render_protocol import Request
from adapters.mail.shipped_templates import HTML, TEXT, plain_text_name
from adapters.mail.template_files import TemplateFiles
from adapters.mail.template_filters import FILTERS
from adapters.mail.template_numbers import SentNumber, decode
from application.ports.mail_folder import RenderedMail
from domain.events import decode_json
from domain.text import one_line

# Maximum size of the HTML of a mail, and of its plain text, in bytes. Mail clients cut messages of a tenth of that
# size.
MAX_MAIL_CHARS: Final = 1_000_000

# Maximum length of an error text, which is displayed in lists of deliveries.
MAX_ERROR_LENGTH: Final = 500


class _Missing(StrictUndefined):
    """The value of a field that a template uses and the event does not have."""

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
        """Returns a field of an object in the event, even if dict has a method of that name, such as `items` or
        `values`."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


@pass_context
def _finalize(_: Context, value: Any) -> Any:
    # Jinja calls this for each value in a template. Because it takes the context, Jinja does not evaluate constants
    # such as {{ "a" * 10**10 }} when it compiles a template. The server compiles templates when it starts, without
    # limits of memory and time.
    return "" if value is None else value


class Templates:
    """The templates in the operator's folder and the shipped templates. A file that was changed is read again."""

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

    def render(self, request: Request) -> RenderedMail:
        """Returns the mail, rendered from the HTML template and its plain-text counterpart. Raises TemplateUnavailable
        if a template is missing or does not compile, and Unrenderable for other errors.
        """
        context = _context(request)
        return RenderedMail(
            self._fill(request.template, context), self._fill(plain_text_name(request.template), context)
        )

    def fault_in(self, name: str) -> str | None:
        """Checks a template, its plain-text counterpart, and the templates that they include. Returns None if all exist
        and compile, otherwise a text that says what is wrong.
        """
        seen: set[str] = set()
        for own in (name, plain_text_name(name)):
            if self._files.find(own) is None:
                return f"{own} is neither shipped nor in HERALD_MAIL_TEMPLATES"
            try:
                self._compile(own, seen)
            except Exception as error:
                return self._in_words(error, own)
        return None

    def _compile(self, name: str, seen: set[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        source, path, _ = self._files.get_source(self._environment, name)
        tree = self._environment.parse(source, name, path)
        self._environment.compile(source, name, path)
        for node in tree.find_all((nodes.Extends, nodes.Import, nodes.FromImport, nodes.Include)):
            named = getattr(node, "template")  # noqa: B009 - find_all knows the types, mypy does not
            if isinstance(named, nodes.Const) and not getattr(node, "ignore_missing", False):
                self._compile(named.value, seen)

    def _fill(self, name: str, context: dict[str, Any]) -> str:
        try:
            return _within_bounds(self._environment.get_template(name), context)
        except Unrenderable as fault:
            raise Unrenderable(f"{name}: {fault}") from None
        except (TemplateNotFound, TemplateSyntaxError) as error:
            raise TemplateUnavailable(self._in_words(error, name)) from None
        except Exception as error:
            raise Unrenderable(self._in_words(error, name)) from None

    def _in_words(self, error: Exception, name: str) -> str:
        match error:
            case TemplateSyntaxError():
                words = f"{error.name or name}, line {error.lineno}: {error.message}"
            case TemplateNotFound():
                words = f"{name}: there is no template {error.name}"
            case SecurityError():
                words = f"{self._place(error, name)}: this is not allowed: {error}"
            case UndefinedError():
                words = f"{name}: {error}"
            case RecursionError():
                words = f"{self._place(error, name)}: it calls itself endlessly, or is nested too deeply"
            case MemoryError():
                words = f"{self._place(error, name)}: it exceeds the memory limit"
            case _:
                words = f"{self._place(error, name)}: {type(error).__name__}: {error}"
        return one_line(words, MAX_ERROR_LENGTH)

    def _place(self, error: Exception, name: str) -> str:
        """Returns the name of the innermost template in the traceback of an error, and the line in it."""
        place = name
        trace = error.__traceback__
        while trace is not None:
            if own := self._files.name_of(trace.tb_frame.f_code.co_filename):
                place = f"{own}, line {trace.tb_lineno}"
            trace = trace.tb_next
        return place


def fault_in_templates(folder: str | None, name: str, profile_templates: Sequence[Path] = ()) -> str | None:
    """Checks the template of a route: compiles it, its plain-text counterpart and the templates that they include,
    without rendering them. Returns None if all are valid, otherwise a text that says what is wrong.
    """
    if not name.endswith(HTML):
        return f"{name} is not the name of an {HTML} file: the plain text beside it has the same name with {TEXT}"
    return Templates(folder, profile_templates).fault_in(name)


def _context(request: Request) -> dict[str, Any]:
    """Returns the variables of the templates: the fields of the event's payload, and `event` with the metadata of the
    event.

    If the payload has an object `data`, the fields of that object are variables too; outer fields take precedence, as
    with dotted paths. Fields that are null are left out, so that no mail contains "None". Numbers are displayed as they
    were sent.
    """
    payload = _without_nulls(decode_json(request.payload, decode))
    fields = payload if type(payload) is dict else {}
    inner = fields.get("data")
    about = {"id": request.id, "type": request.type, "source": request.source, "time": request.time}
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
