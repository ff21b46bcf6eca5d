"""A routes file with titles of types and URLs of notifications: on sockets, event streams, REST, the page and in mails."""

import json
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import StartServer
from tests.support.clients import connected, publish
from tests.support.pages import IN_BROWSER_LOOP, SOON, Watch, open_page
from tests.support.server import Server

MARKUP = "<img src=x onerror=document.title='hit'>"
ROUTES = f"""
profile = "helpdesk"
broker = "memory"

[types.ticket_commented]
title = "Comments {MARKUP}"

[[routes]]
source = "ticket.commented"
users = ["watcher"]
as_type = "ticket_commented"
inbox = {{ title = "{{author}} commented", url = "/tickets/{{ticket}}#comment" }}
email = {{ to = "mail", subject = "A comment", template = "comment.html" }}

[[routes]]
source = "ticket.linked"
users = ["watcher"]
as_type = "ticket_linked"
inbox = {{ title = "A link", url = "{{link}}" }}
"""


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("helpdesk")
    (folder / "helpdesk.toml").write_text(ROUTES)
    (folder / "comment.html").write_text('<a href="{{ event.url }}">Open</a>')
    (folder / "comment.txt").write_text("Open {{ event.url }}")
    return start_shared_server(
        {
            "HERALD_ROUTES": str(folder / "helpdesk.toml"),
            "HERALD_MAIL_TEMPLATES": str(folder),
            "HERALD_PUBLIC_URL": "https://desk.example",
        }
    )
