"""Configures logging: coloured lines for a terminal, or JSON lines for log collectors."""

import io
import logging
import sys
from typing import TextIO

import structlog

from domain.safe_text import visible


def set_up_logs(style: str, level: str, service: str, node: str) -> None:
    """Configures the logs of Herald and of the libraries that it uses. `style` is `console` or `json`; `level` is a
    level of the logging module, such as `INFO`. `service` and `node` become fields of each JSON line. Tracebacks do
    not show local variables, because these may contain tokens."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor]
    if style == "json":
        shared.append(_named(service, node))
        traces = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        last = [structlog.processors.ExceptionRenderer(traces), structlog.processors.JSONRenderer()]
    else:
        last = [_escape, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_write_trace)]
    structlog.configure(
        # Filtered first, so that lines below the level cost little.
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Less of these libraries is logged. aiokafka logs at every reconnection what Herald logs once; alembic and Granian
    # log at every start what Herald logs itself; httpx logs URLs with their queries, which may contain tokens.
    for noisy in ("aiokafka", "alembic", "httpx", "httpcore", "_granian"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    # aiormq logs each failed attempt to connect as an error; Herald logs these failures itself.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)


def _escape(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escapes control characters in the fields of a log line, so that text from a client or a broker can't control
    the operator's terminal."""
    return {
        name: visible(value, keep="\n" if name == "stack" else "") if isinstance(value, str) else value
        for name, value in event.items()
    }


def _write_trace(target: TextIO, fault: structlog.typing.ExcInfo) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, fault)
    target.write(visible(text.getvalue(), keep="\n"))


def _named(service: str, node: str) -> structlog.typing.Processor:
    def add_names(
        _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["service"] = service
        event["node"] = node
        return event

    return add_names
