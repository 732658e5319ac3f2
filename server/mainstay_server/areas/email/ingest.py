"""The door by which an app sends mail with its DSN, where its project lets it."""

from collections.abc import Mapping

import msgspec
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mainstay_server.kernel.area import Door
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Forbidden, Invalid, MethodNotAllowed
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.tenancy.senders import Sender, find_sender
from mainstay_server.tenancy.subjects import ProjectRef

from .schemas.api import AcceptedAnswer, AcceptedEmail, EmailBody
from .service import looks, sending

MOST_BYTES = 1 << 20
KEY_HEADER = b"idempotency-key"


async def receive_email(scope: Scope, receive: Receive, send: Send, number: int) -> None:
    """Store a mail for each address; 202 means stored."""
    if scope["method"] != "POST":
        raise MethodNotAllowed("Mails are sent with POST.")
    sender = find_sender(scope, number)
    body = await read_incoming(scope, receive, most_bytes=MOST_BYTES)
    given = dict(scope["headers"])
    answer = await run_in_threadpool(_take, sender, body, given)
    told = answer.model_dump_json(by_alias=True).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(told)).encode()),
    ]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": told})


def _take(sender: Sender, body: bytes, headers: Mapping[bytes, bytes]) -> AcceptedAnswer:
    with reading() as session:
        if not looks.may_send_by_dsn(session, sender.project_id):
            raise Forbidden(
                "This project sends no mail by its DSN, which is no secret where a browser has it;"
                " send an access token to /api/emails, or allow it on the page E-mail, Setup.",
                code="dsn-sends-no-mail",
            )
    project = ProjectRef(
        id=sender.project_id,
        number=sender.project_number,
        slug=sender.project_slug,
        name=sender.project_name,
        organization_id=sender.organization_id,
    )
    key = headers.get(KEY_HEADER, b"").decode("latin-1")
    emails = sending.accept(project, _read(body), key=key, made_by="DSN", now=utc_now())
    stored = [AcceptedEmail.model_validate(email) for email in emails]
    return AcceptedAnswer(id=stored[0].id, emails=stored)


def _read(body: bytes) -> EmailBody:
    try:
        return EmailBody.model_validate(msgspec.json.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The body is not JSON: {error}.") from None
    except ValidationError as error:
        faults = [
            {"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]}
            for fault in error.errors(include_url=False)[:20]
        ]
        raise Invalid("The mail is not one that can be sent.", errors=faults) from None


door = Door(path="emails/", app=receive_email)
