"""Rendering of templates in a sandbox, with errors reported as one line of text.

Limits of time and memory are not enforced here but by the process in which this runs: see render_process.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateNotFound, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing, object_type_repr

from adapters.mail.filters import FILTERS
from adapters.mail.mailer import TemplateUnavailable, Unrenderable
from adapters.mail.numbers import SentNumber, decode
from adapters.mail.render_messages import Request
from adapters.mail.shipped_templates import HTML, TEXT, plain_text_name
from adapters.mail.template_files import TemplateFiles
from application.ports.mail_folder import RenderedMail
from domain.events import decode_json
from domain.text import one_line

# Maximum size in bytes, of the HTML and of the text. Mail clients cut messages above a tenth of it.
MAX_MAIL_CHARS: Final = 1_000_000

# Maximum length of an error text, so that it fits in a list of deliveries.
MAX_ERROR_LENGTH: Final = 500


class _Missing(StrictUndefined):
    """A value that a template uses and the event does not have."""

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
        """In an object of the event, a field such as `items` or `values` takes precedence over the method of
        that name.
        """
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


@pass_context
def _finalize(_: Context, value: Any) -> Any:
    # With the context as parameter, Jinja evaluates no constant while it compiles. The server compiles templates when
    # it starts, without the limits of the process: {{ "a" * 10**10 }} must not be evaluated before rendering.
    return "" if value is None else value


class Templates:
    """The templates of a site's folder, with the shipped ones as fallback. A changed file is read again."""

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
        # Filler text is useless in mails, and `lipsum` is the usual first step out of a sandbox.
        del self._environment.globals["lipsum"]

    def render(self, request: Request) -> RenderedMail:
        """Render a mail. Raises Unrenderable, or its subclass TemplateUnavailable if a template is missing or does not
        compile.
        """
        context = _context(request)
        return RenderedMail(
            self._fill(request.template, context), self._fill(plain_text_name(request.template), context)
        )

    def fault_in(self, name: str) -> str | None:
        """Why a template can't be used, in words: it is missing, or it or a template that it names is invalid. None if
        it is valid.
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
                words = f"{self._place(error, name)}: it calls itself without end, or is nested too deep"
            case MemoryError():
                words = f"{self._place(error, name)}: it needs more memory than a mail may"
            case _:
                words = f"{self._place(error, name)}: {type(error).__name__}: {error}"
        return one_line(words, MAX_ERROR_LENGTH)

    def _place(self, error: Exception, name: str) -> str:
        """The innermost template that an error passed through, and its line."""
        place = name
        trace = error.__traceback__
        while trace is not None:
            if own := self._files.name_of(trace.tb_frame.f_code.co_filename):
                place = f"{own}, line {trace.tb_lineno}"
            trace = trace.tb_next
        return place


def fault_in_templates(folder: str | None, name: str, profile_templates: Sequence[Path] = ()) -> str | None:
    """Why the template of a route can't be used, in words; None if it is valid. Compiles it, its plain-text counterpart
    and the templates that they name, without rendering them.
    """
    if not name.endswith(HTML):
        return f"{name} is not the name of an {HTML} file: the plain text beside it has the same name with {TEXT}"
    return Templates(folder, profile_templates).fault_in(name)


def _context(request: Request) -> dict[str, Any]:
    """The variables of the templates: the fields of the event, and `event`. The fields of a wrapped payload's `data`
    are included, but outer fields take precedence, as with dotted paths. Nulls are left out, so that no mail contains
    "None". Numbers are displayed as they were sent.
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
            raise Unrenderable(f"it is filled to more than {MAX_MAIL_CHARS} bytes")
        pieces.append(piece)
    text = "".join(pieces).strip()
    if not text:
        raise Unrenderable("it is filled to nothing")
    return text
