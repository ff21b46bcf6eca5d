"""`/api/v1/mails`: lists and shows the mails in the mail folder, to which Herald writes mails instead of sending them
if no mail server is configured."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, Parameter
from msgspec import Meta

from adapters.http.api.list_parameters import DEFAULT_LIST, MAX_LIST_LENGTH
from adapters.http.auth import CALLER, guarded_by
from adapters.http.openapi.operation_parts import REFUSALS, also_answers, problems
from application.delivery.read_mails import ReadMails
from application.ports.mail_folder import WrittenMail
from domain.identity import Identity

SCOPE: Final = "admin"

# The content of a mail comes from an event: it must not run scripts or load anything, and its links must not send a
# referrer, which may contain a token.
_CONFINED: Final = {
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

Limit = Annotated[int, Parameter(description="The maximum number of items.", ge=1, le=MAX_LIST_LENGTH)]


class MailItem(msgspec.Struct, frozen=True):
    """A mail in the mail folder."""

    id: Annotated[UUID, Meta(description="The id of the mail, which is the id of its delivery.")]
    to: str
    subject: str
    date: Annotated[datetime, Meta(description="When the delivery was created.")]

    @classmethod
    def of(cls, mail: WrittenMail) -> "MailItem":
        return cls(mail.id, mail.to, mail.subject, mail.date)


class MailList(msgspec.Struct, frozen=True):
    """Mails in the mail folder, newest first."""

    items: list[MailItem]


@get(
    summary="List the mails in the mail folder",
    response_description="The mails, newest first.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def list_mails(
    admin: NamedDependency[Identity], read: FromDishka[ReadMails], limit: Limit = DEFAULT_LIST
) -> MailList:
    """Lists the mails in the mail folder, newest first. Herald writes mails to this folder if no mail server is
    configured. If a mail server is configured (`SMTP_HOST`), mails are sent instead, and the response is 404."""
    return MailList([MailItem.of(mail) for mail in await read.newest(limit)])


@get(
    "/{id:uuid}",
    media_type="text/html",
    summary="Show a mail",
    response_description="The text of the mail.",
    operation_class=also_answers("text/plain"),
    responses=problems(*REFUSALS, 404),
)
@inject
async def get_mail(
    request: Request[Any, Any, Any],
    admin: NamedDependency[Identity],
    id: FromPath[UUID],
    read: FromDishka[ReadMails],
) -> Response[str]:
    """Returns the HTML part of a mail. The response's Content-Security-Policy forbids a browser to run scripts in it
    and to load anything for it, such as images. If the request's `Accept` header contains `text/plain` and not
    `text/html`, returns the plain-text part."""
    rendered = (await read.one(id)).rendered
    accept = request.headers.get("accept", "")
    headers = _CONFINED | {"vary": "accept"}
    if "text/plain" in accept and "text/html" not in accept:
        return Response(rendered.text, media_type="text/plain", headers=headers)
    return Response(rendered.html, media_type="text/html", headers=headers)


@get(
    "/{id:uuid}/source",
    media_type="message/rfc822",
    summary="Download a mail",
    response_description="The mail as a file.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def get_mail_source(
    admin: NamedDependency[Identity], id: FromPath[UUID], read: FromDishka[ReadMails]
) -> Response[bytes]:
    """Returns the complete mail as an `.eml` file (RFC 5322), which mail programs can open."""
    source = (await read.one(id)).source
    headers = _CONFINED | {"content-disposition": f'attachment; filename="{id.hex}.eml"'}
    return Response(source, media_type="message/rfc822", headers=headers)


MAILS: Final = Router(
    "/api/v1/mails",
    route_handlers=[list_mails, get_mail, get_mail_source],
    dependencies={**CALLER, "admin": guarded_by(SCOPE)},
    tags=["mails"],
)
