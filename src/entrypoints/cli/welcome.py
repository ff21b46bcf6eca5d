"""The message that `herald dev` prints when it has started: addresses to open, and commands to try."""

from importlib.metadata import version

from adapters.sql.settings import MEMORY, SQLITE
from entrypoints.settings.loader import Settings

LINES = """
Herald {version} is running in development mode: {trust}, and {kept}.

  Open      {url}/
  Listen    curl -N {url}/events/stream
  Publish   echo '{{"type": "ProductCreated"}}' | {herald} publish {option}product-events -
  Mails     {mails}
  Stop      Ctrl-C
"""


def welcome(settings: Settings) -> str:
    host = f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host
    url = settings.web.public_url or f"http://{host}:{settings.server.port}"
    # `--url` can be omitted if it is the default of `herald publish`.
    option = "" if url == "http://127.0.0.1:8000" else f"--url {url} "
    trust = "callers may use any user_id" if settings.server.auth == "open" else "tokens are checked"
    where = kept_in(settings)
    kept = f"data is stored in {where}" if where else "data is kept in memory only"
    mails = f"to {settings.smtp.host}" if settings.smtp.host else f"in {settings.mail.folder}, and on the page"
    about = {"trust": trust, "kept": kept, "url": url, "option": option, "herald": ".venv/bin/herald", "mails": mails}
    return LINES.format(version=version("herald"), **about)


def kept_in(settings: Settings) -> str | None:
    """Returns where Herald stores its data, for display: the path of the SQLite file, or the database URL without
    its password. Returns None if the data is in memory only."""
    if settings.database.url == MEMORY:
        return None
    return settings.shown("database.url").removeprefix(SQLITE)
