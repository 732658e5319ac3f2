"""What proxies, SDKs and servers ask very often: verdicts, policies, and reports of what passed."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mainstay_server.areas.guard.columns import GUARD_PASSAGES
from mainstay_server.areas.guard.schemas import Verdict, VerifyBody
from mainstay_server.areas.guard.service import reporting, waiting
from mainstay_server.areas.guard.service.checking import (
    LONGEST_PATH,
    Outcome,
    clean_path,
    client_address,
    decide,
    forwarded_addresses,
    is_ambiguous,
)
from mainstay_server.areas.guard.service.holders import Holder, get_holder, known_holder
from mainstay_server.areas.guard.service.policies import Policy, get_policy, known_policy
from mainstay_server.areas.guard.service.verdicts import tally
from mainstay_server.kernel import columns
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.guard import GuardedRequest
from mainstay_server.kernel.problems import (
    Forbidden,
    Invalid,
    MethodNotAllowed,
    Problem,
    Unauthenticated,
)
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import send_problem
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.kernel.web.proxies import is_trusted
from mainstay_server.tenancy.senders import instance_for, known_instance

MOST_REPORT_BYTES = 2 * 1024 * 1024
MOST_VERIFY_BYTES = 64 * 1024
LONGEST_CREDENTIAL = 500
LONGEST_WAIT_SECONDS = 55
PROBLEM = "x-mainstay-problem"

_verify_decoder = msgspec.json.Decoder(VerifyBody)
_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class _Asked:
    """The headers and the query of a raw request, each name once."""

    headers: dict[bytes, bytes]
    query: dict[str, str]

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    def either(self, name: str, header: bytes) -> str:
        """From the query, which only the operator of the proxy writes, or else from a header."""
        return self.query.get(name) or self.header(header)


def _asked(scope: Scope) -> _Asked:
    """Read a request. A header that comes twice is one list, the first of a query counts.

    The operator of a proxy writes the query first; what stands behind it may be a client's.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers[name] = headers[name] + b"," + value if name in headers else value
    query: dict[str, str] = {}
    written = scope.get("query_string")
    if written:
        for name, value in parse_qsl(written.decode("latin-1"), keep_blank_values=True):
            query.setdefault(name, value)
    return _Asked(headers, query)


async def check(scope: Scope, _receive: Receive, send: Send) -> None:
    """Decide for a proxy (nginx `auth_request`, Traefik ForwardAuth, Envoy `ext_authz`).

    2xx lets the request pass; 401, 403 and 429 refuse it, with the reason as a problem document. A
    key is asked for on every path that the policy does not call public.
    """
    asked = _asked(scope)
    instance_id = asked.either("instance", b"x-mainstay-instance")
    if not instance_id:
        raise Invalid("Name the instance in X-Mainstay-Instance; /api/instances lists yours.")
    policy = await _policy(instance_id)
    request = _forwarded_request(scope, asked, policy)
    outcome = await decide(policy, request)
    status = outcome.problem.status if outcome.problem else 200
    tally.add(outcome, status=status, source="check")
    if outcome.problem is not None:
        headers = {**outcome.passage.headers, PROBLEM: _in_a_header(outcome.problem)}
        await send_problem(send, outcome.problem, path=request.path, headers=headers)
        return
    await _send(send, b"", headers=_told(outcome), content_type=None)


async def verify(scope: Scope, receive: Receive, send: Send) -> None:
    """Decide for a server that asks about one key, and say why; the answer is 200 either way."""
    _only(scope, "POST")
    asked = _asked(scope)
    holder = await _holder(asked)
    body = await read_incoming(scope, receive, most_bytes=MOST_VERIFY_BYTES)
    try:
        question = _verify_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The question is not readable: {error}.") from error
    policy = await _policy((await _instance(holder, question.environment)).id)
    outcome = await decide(
        policy,
        GuardedRequest(
            instance=policy.instance,
            method=question.method.upper(),
            path=clean_path(question.path or "/"),
            address=client_address(
                question.address, forwarded_for=(), client=policy.client, trusted=False
            ),
            credential=question.key,
            at=utc_now(),
            scopes=tuple(question.scopes),
            person=question.person,
            cost=question.cost,
            key_required=True,
            ipv6_prefix_length=policy.client.get("ipv6PrefixLength", 64),
        ),
    )
    status = outcome.problem.status if outcome.problem else 200
    tally.add(outcome, status=status, source="verify")
    await _send(send, _encoder.encode(_verdict(outcome)))


async def give_policy(scope: Scope, receive: Receive, send: Send) -> None:
    """Give the policy of an environment to one of the project's own servers.

    With `If-None-Match` the answer is 304 while it is the same; with `wait` the question stays
    open for so many seconds, and is answered as soon as the policy changes.
    """
    _only(scope, "GET")
    asked = _asked(scope)
    holder = await _holder(asked)
    wait = asked.query.get("wait", "0")
    if not (wait.isascii() and wait.isdigit() and len(wait) <= 2) or (  # noqa: PLR2004 - two digits
        int(wait) > LONGEST_WAIT_SECONDS
    ):
        raise Invalid(f"wait is in whole seconds, from 0 to {LONGEST_WAIT_SECONDS}.")
    instance = await _instance(holder, asked.query.get("environment", "production"))
    known = asked.header(b"if-none-match")
    ends_at = asyncio.get_running_loop().time() + int(wait)
    found = await run_in_threadpool(get_policy, instance.id)
    while found.etag == known:
        rest = ends_at - asyncio.get_running_loop().time()
        if rest <= 0 or not await waiting.wait_for_change(found, rest, receive):
            break
        found = await run_in_threadpool(get_policy, instance.id)
        await _holder(asked)  # whose key was revoked meanwhile is told no more
    headers = {"etag": found.etag, "cache-control": "private, no-cache"}
    if found.etag == known:
        await _send(send, b"", status=304, headers=headers, content_type=None)
    else:
        await _send(send, found.body, headers=headers)


async def report(scope: Scope, receive: Receive, send: Send) -> None:
    """Store what passed one app's guard; 200 means stored, and counted once."""
    _only(scope, "POST")
    holder = await _holder(_asked(scope))
    taken = reporting.read_report(await read_incoming(scope, receive, most_bytes=MOST_REPORT_BYTES))
    instance = await _instance(holder, taken.environment)
    now = utc_now()
    rows = reporting.rows_of(taken, instance, received_at=now)
    if rows:
        await columns.append_once(
            GUARD_PASSAGES,
            reporting.encode_rows(rows),
            rows=len(rows),
            batch=f"{instance.id}:{taken.batch_id}",
        )
        await run_in_threadpool(
            lambda: reporting.count_use(instance, batch_id=taken.batch_id, rows=rows, now=now)
        )
    await _send(send, b"{}")


def _forwarded_request(scope: Scope, asked: _Asked, policy: Policy) -> GuardedRequest:
    peer = (scope.get("client") or ("", 0))[0] or ""
    cost = asked.query.get("cost", "1")
    return GuardedRequest(
        instance=policy.instance,
        method=(asked.header(b"x-forwarded-method") or scope["method"]).upper()[:20],
        path=clean_path(_target(asked)),
        address=client_address(
            peer,
            forwarded_for=forwarded_addresses(
                asked.header(b"x-forwarded-for"), asked.header(b"forwarded")
            ),
            client=policy.client,
            trusted=is_trusted(peer, of(ServerSettings).trusted_proxies),
        ),
        credential=_credential(asked),
        at=utc_now(),
        scopes=tuple(asked.either("scopes", b"x-mainstay-scopes").split()),
        cost=max(1, int(cost)) if cost.isascii() and cost.isdigit() and len(cost) < 7 else 1,  # noqa: PLR2004 - a million at most
        key_required=True,
        ipv6_prefix_length=policy.client.get("ipv6PrefixLength", 64),
    )


def _in_a_header(problem: Problem) -> str:
    """The problem document in ASCII, for nginx, which throws bodies of such answers away.

    It lacks the path, which may be longer than a header that nginx takes.
    """
    return json.dumps(problem.to_json())


def _target(asked: _Asked) -> str:
    """The path and query that the proxy was asked for; whatever has two meanings is refused.

    An app may resolve dot segments otherwise than we do, and a proxy passes on a header that it
    does not set itself: what the client wrote there must not decide for another path.
    """
    forwarded, original = asked.header(b"x-forwarded-uri"), asked.header(b"x-original-uri")
    if forwarded and original and forwarded != original:
        raise Forbidden(
            "X-Forwarded-Uri and X-Original-URI differ; have the proxy set both, or clear one.",
            code="path-ambiguous",
        )
    target = forwarded or original or "/"
    if is_ambiguous(target):
        raise Forbidden(
            f"The path has dot segments, or is over {LONGEST_PATH} characters; ask for it plainly.",
            code="path-ambiguous",
        )
    return target


def _credential(asked: _Asked) -> str:
    scheme, _, token = asked.header(b"authorization").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else asked.header(b"x-api-key").strip()
    return given[:LONGEST_CREDENTIAL]


async def _holder(asked: _Asked) -> Holder:
    scheme, _, token = asked.header(b"authorization").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send a guard key as a Bearer token.", code="guard-key-missing")
    key = token.strip()[:LONGEST_CREDENTIAL]
    known = known_holder(key)
    return known if known is not None else await run_in_threadpool(get_holder, key)


async def _policy(instance_id: str) -> Policy:
    known = known_policy(instance_id)
    return known if known is not None else await run_in_threadpool(get_policy, instance_id)


async def _instance(holder: Holder, environment: str) -> InstanceRef:
    known = known_instance(holder, environment)
    if known is not None:
        return known
    return await run_in_threadpool(instance_for, holder, environment)


def _told(outcome: Outcome) -> dict[str, str]:
    facts = outcome.passage.facts
    headers = dict(outcome.passage.headers)
    # Also empty ones: what a client claims about itself in these headers must not reach the app.
    headers["X-Mainstay-Key-Id"] = facts.key_id
    headers["X-Mainstay-Owner"] = quote(facts.owner, safe=" @:/+,;=!()'")
    headers["X-Mainstay-Plan"] = quote(facts.plan)
    headers["X-Mainstay-Scopes"] = " ".join(facts.scopes)
    if outcome.would_refuse:
        headers["X-Mainstay-Would-Refuse"] = outcome.would_refuse
    return headers


def _verdict(outcome: Outcome) -> Verdict:
    facts, problem = outcome.passage.facts, outcome.problem
    return Verdict(
        valid=problem is None,
        code=problem.code if problem else "",
        detail=problem.detail if problem else "",
        key_id=facts.key_id,
        owner=facts.owner,
        plan=facts.plan,
        scopes=list(facts.scopes),
        headers={**outcome.passage.headers, **(problem.headers if problem else {})},
        simulated=outcome.would_refuse,
    )


def _only(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise MethodNotAllowed(f"This is asked with {method}.", headers={"Allow": method})


async def _send(
    send: Send,
    body: bytes,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    content_type: str | None = "application/json",
) -> None:
    told: dict[str, Any] = {**(headers or {})}
    if content_type:
        told["content-type"] = content_type
        told["x-content-type-options"] = "nosniff"
        told.setdefault("cache-control", "no-store")
    if status != 304:  # noqa: PLR2004 - its length would be that of the document
        told["content-length"] = str(len(body))
    encoded = [
        (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in told.items()
    ]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
