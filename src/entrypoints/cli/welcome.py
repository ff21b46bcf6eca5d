"""What `herald dev` says when it is up: what to open, and what to type."""

from importlib.metadata import version

from entrypoints.settings.loader import Settings
from entrypoints.settings.parsers import MEMORY, SQLITE

LINES = """
Herald {version} is up, for trying it out: {trust}, and {kept}.

  Open      {url}/
  Listen    curl -N {url}/events/stream
  Publish   echo '{{"type": "ProductCreated"}}' | {herald} publish {option}product-events -
  Mails     {mails}
  Stop      Ctrl-C
"""


def welcome(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = settings.public_url or f"http://{host}:{settings.port}"
    # Where another `herald publish` would go by itself, it need not be told.
    option = "" if url == "http://127.0.0.1:8000" else f"--url {url} "
    trust = "every user_id is believed" if settings.auth == "open" else "tokens are checked"
    where = kept_in(settings)
    kept = f"what it keeps is in {where}" if where else "what it keeps is gone when it ends"
    mails = f"to {settings.smtp_host}" if settings.smtp_host else f"in {settings.mail_folder}, and on the page"
    about = {"trust": trust, "kept": kept, "url": url, "option": option, "herald": ".venv/bin/herald", "mails": mails}
    return LINES.format(version=version("herald"), **about)


def kept_in(settings: Settings) -> str | None:
    """The file or the database, as people may see it; None for none."""
    if settings.database_url == MEMORY:
        return None
    return settings.shown("database_url").removeprefix(SQLITE)
