"""The door of Alertmanager's clients: API v2 under a path of each project, before any framework.

Prometheus sends here, and amtool asks here, as they would of Alertmanager. A body may be larger
than elsewhere, and refusals are what these clients show to people: a text in JSON.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from urllib.parse import parse_qs

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mainstay_server.areas.alerts.schemas.alertmanager import (
    MOST_ALERTS,
    RESOLVE_TIMEOUT,
    WEBHOOK_TIMEOUT,
    PostedAlert,
    PostedSilence,
    Webhook,
    moment,
    read_posted,
    said_of,
)
from mainstay_server.areas.alerts.service import alertmanager, receiving
from mainstay_server.kernel.batching import batched
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import spoken_by
from mainstay_server.kernel.matchers import compiled
from mainstay_server.kernel.problems import (
    Invalid,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooManyRequests,
    UnsupportedMedia,
)
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.kernel.web.problems import problem_headers
from mainstay_server.tenancy.senders import instance_for
from mainstay_server.tenancy.subjects import ProjectRef, find_default_instance

from .asking import Asking, find_asking

PREFIX = "/alertmanager/"
MOST_BYTES = 8 << 20
AT_ONCE = 500
MOST_ENVIRONMENTS = 100
MOST_FIELDS = 100
TRY_AGAIN_SECONDS = 60
ENVIRONMENT_LABELS = ("environment", "instance_environment")
YES, NO = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
STARTED_AT = utc_now()
Shape = TypeVar("Shape")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, with who asks and what they sent; `rest` is what follows the collection."""

    asking: Asking
    query: Mapping[str, Sequence[str]]
    body: bytes
    rest: str
    now: datetime

    @property
    def project(self) -> ProjectRef:
        """The project that it is about."""
        return self.asking.project


@dataclass(frozen=True)
class Operation:
    """What is done with a request, and what it takes to ask for it."""

    answer: Callable[[Asked], object]
    writes: bool = False
    sends: bool = False


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request, with JSON or with nothing, as Alertmanager does."""
    try:
        slug, _, path = scope["path"].removeprefix(PREFIX).partition("/")
        operation, rest = _operation_at(scope["method"], path)
        asking = await run_in_threadpool(_who_asks, scope, slug, operation)
        body = b""
        if scope["method"] == "POST":
            _require_json(scope)
            body = await read_incoming(scope, receive, most_bytes=MOST_BYTES)
        asked = Asked(
            asking=asking,
            query=_query_of(scope),
            body=body,
            rest=rest,
            now=utc_now(),
        )
        with spoken_by(asking.origin):
            found = await run_in_threadpool(operation.answer, asked)
    except Problem as problem:
        await _send(send, problem.status, problem.detail, problem_headers(problem))
    else:
        await _send(send, 200, found)


def take_alerts(asked: Asked) -> None:
    """Take alerts as Prometheus sends them."""
    posted = _decoded(asked.body, list[PostedAlert])
    if len(posted) > MOST_ALERTS:
        raise Invalid(f"There are more than {MOST_ALERTS} alerts; send them in several requests.")
    _record(asked, posted, is_webhook=False)


def take_webhook(asked: Asked) -> None:
    """Take alerts as Alertmanager tells a webhook of them."""
    _record(asked, list(_decoded(asked.body, Webhook).alerts), is_webhook=True)


def list_alerts(asked: Asked) -> object:
    """The active alerts that are asked for."""
    with reading() as session:
        return alertmanager.list_alerts(session, asked.project, _chosen(asked), now=asked.now)


def list_groups(asked: Asked) -> object:
    """The same alerts, by receiver and name."""
    with reading() as session:
        found = alertmanager.list_alerts(session, asked.project, _chosen(asked), now=asked.now)
    return alertmanager.group_alerts(found)


def list_receivers(asked: Asked) -> object:
    """The channels that alerts go to."""
    with reading() as session:
        return alertmanager.list_receivers(session, asked.project)


def tell_status(asked: Asked) -> object:
    """How Alertmanager's clients see the server: on its own, with a route to one receiver."""
    timeout = f"{int(RESOLVE_TIMEOUT.total_seconds())}s"
    name = alertmanager.NOBODY
    original = (
        f"global:\n  resolve_timeout: {timeout}\n"
        f"route:\n  receiver: {name}\n  group_by:\n  - alertname\n"
        f"receivers:\n- name: {name}\ntemplates: []\n"
    )
    return {
        "cluster": {"status": "disabled", "peers": []},
        "config": {"original": original},
        "uptime": moment(STARTED_AT),
        "versionInfo": {
            "branch": "mainstay",
            "buildDate": "",
            "buildUser": "",
            "goVersion": "",
            "revision": f"project {asked.project.slug}",
            "version": "0.25.0",
        },
    }


def list_silences(asked: Asked) -> object:
    """The silences that reach the project."""
    filters = alertmanager.filters_of(asked.query.get("filter", ()))
    with reading() as session:
        return alertmanager.list_silences(session, asked.project, filters, now=asked.now)


def put_silence(asked: Asked) -> object:
    """Make or change a silence."""
    posted = _decoded(asked.body, PostedSilence)
    with transaction() as session:
        silence_id = alertmanager.put_silence(
            session,
            asked.project,
            posted,
            administers=asked.asking.administers,
            now=asked.now,
        )
    return {"silenceID": silence_id}


def get_silence(asked: Asked) -> object:
    """One silence."""
    with reading() as session:
        return alertmanager.get_silence(session, asked.project, asked.rest, now=asked.now)


def expire_silence(asked: Asked) -> None:
    """End one silence."""
    with transaction() as session:
        alertmanager.expire_silence(
            session,
            asked.project,
            asked.rest,
            administers=asked.asking.administers,
            now=asked.now,
        )


OPERATIONS = {
    "api/v2/status": {"GET": Operation(tell_status)},
    "api/v2/receivers": {"GET": Operation(list_receivers)},
    "api/v2/alerts": {
        "GET": Operation(list_alerts),
        "POST": Operation(take_alerts, writes=True, sends=True),
    },
    "api/v2/alerts/groups": {"GET": Operation(list_groups)},
    "api/v2/silences": {
        "GET": Operation(list_silences),
        "POST": Operation(put_silence, writes=True),
    },
    "api/v2/silence/": {
        "GET": Operation(get_silence),
        "DELETE": Operation(expire_silence, writes=True),
    },
    "webhook": {"POST": Operation(take_webhook, writes=True, sends=True)},
}


def _operation_at(method: str, path: str) -> tuple[Operation, str]:
    place, rest = path.removesuffix("/"), ""
    if place.startswith("api/v2/silence/"):
        place, rest = "api/v2/silence/", place.removeprefix("api/v2/silence/")
    operations = OPERATIONS.get(place)
    if operations is None or "/" in rest:
        raise NotFound(
            "This is no path of Alertmanager's API v2; the prefix is /alertmanager/ and the"
            " project's slug, and clients add the rest."
        )
    if method not in operations:
        allowed = ", ".join(operations)
        raise MethodNotAllowed(f"Here is only {allowed}.", headers={"allow": allowed})
    return operations[method], rest


def _who_asks(scope: Scope, slug: str, operation: Operation) -> Asking:
    with reading() as session:
        return find_asking(session, scope, slug, writes=operation.writes, sends=operation.sends)


def _require_json(scope: Scope) -> None:
    """Refuse what a page of another origin could send with a password that a browser remembers."""
    for name, value in scope["headers"]:
        if name == b"content-type" and value.split(b";")[0].strip().lower() == b"application/json":
            return
    raise UnsupportedMedia("The body is JSON; send it with Content-Type: application/json.")


def _query_of(scope: Scope) -> Mapping[str, Sequence[str]]:
    try:
        return parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Invalid(f"The query has more than {MOST_FIELDS} fields; send fewer.") from None


def _decoded(body: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid(f"The body is not what this takes: {str(error)[:200]}") from None


def _record(asked: Asked, posted: list[PostedAlert], *, is_webhook: bool) -> None:
    """Take what makes sense, some at a time so that nobody else waits long; refuse the rest.

    What was taken stays taken when later ones are refused: sending it again changes nothing.
    """
    timeout = WEBHOOK_TIMEOUT if is_webhook else RESOLVE_TIMEOUT
    sent, faults = read_posted(posted, timeout=timeout, now=asked.now)
    places = _Places(asked.project)
    arrived = [(each, places.of(each.labels)) for each in sent]
    missing = 0
    for some in batched(arrived, AT_ONCE):
        with transaction() as session:
            missing += receiving.record_sent(session, asked.project.id, some, now=asked.now)
    if faults:
        raise Invalid(said_of(faults))
    if missing:
        raise TooManyRequests(
            f"{missing} new alerts were left out: the project has {receiving.MOST_LIVE} alerts of"
            " other systems that are not over.",
            retry_after_seconds=TRY_AGAIN_SECONDS,
        )


class _Places:
    """The instances that alerts belong to, by their labels; looked up once per environment.

    An environment that was never seen makes an instance, as everywhere; beyond a hundred in one
    request, what names others belongs to the default instance.
    """

    def __init__(self, project: ProjectRef) -> None:
        self._project = project
        self._known: dict[str, InstanceRef] = {}

    def of(self, labels: Mapping[str, str]) -> InstanceRef:
        named = next((labels[name] for name in ENVIRONMENT_LABELS if labels.get(name)), "")
        if named not in self._known and len(self._known) >= MOST_ENVIRONMENTS:
            named = ""
        if named not in self._known:
            self._known[named] = self._found(named)
        return self._known[named]

    def _found(self, named: str) -> InstanceRef:
        if named:
            return instance_for(_Sender(self._project.id), named)
        with reading() as session:
            instance = find_default_instance(session, self._project.id)
        if instance is None:
            raise NotFound("The project has no instance; make one first.")
        return instance


@dataclass(frozen=True)
class _Sender:
    """Whoever sends to a project."""

    project_id: str


def _chosen(asked: Asked) -> alertmanager.Chosen:
    receiver = next(iter(asked.query.get("receiver", ())), "")[:1000]
    if receiver:
        compiled(receiver)  # refuses what is no regular expression, though there be no alert
    return alertmanager.Chosen(
        active=_flag(asked.query, "active"),
        silenced=_flag(asked.query, "silenced"),
        inhibited=_flag(asked.query, "inhibited"),
        unprocessed=_flag(asked.query, "unprocessed"),
        filters=alertmanager.filters_of(asked.query.get("filter", ())),
        receiver=receiver,
    )


def _flag(query: Mapping[str, Sequence[str]], name: str) -> bool:
    given = next(iter(query.get(name, ())), "true")
    if given in YES or given in NO:
        return given in YES
    raise Invalid(f"{name} is true or false.")


async def _send(
    send: Send, status: int, found: object, headers: Mapping[str, str] | None = None
) -> None:
    body = b"" if found is None else msgspec.json.encode(found)
    head = {
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        **(headers or {}),
    }
    if body:
        head["content-type"] = "application/json"
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in head.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
