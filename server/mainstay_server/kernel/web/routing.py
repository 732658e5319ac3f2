"""Routes whose endpoint runs in one transaction, and whose body has a limit."""

import copy
import functools
import inspect
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.routing import APIRoute
from sqlalchemy.orm import Session
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive
from typing_extensions import override

from mainstay_server.kernel.database import reading, transaction

READING_METHODS = {"GET", "HEAD", "OPTIONS"}
MOST_BODY_BYTES = 1 << 20


class IdConvertor(StringConvertor):
    """What `{thing_id:id}` in a path stands for: an id of ours, and no word such as `rotate`."""

    regex = "[0-9a-f-]{36}"


register_url_convertor("id", IdConvertor())


class TransactionalRoute(APIRoute):
    """A route whose endpoint may take a parameter annotated `Session`.

    GET gets a reading snapshot; everything else one transaction, committed when the endpoint
    returned and before the answer leaves, rolled back when it raised. Opening and committing happen
    in the endpoint's own thread: as dependencies they would need a second free thread to commit,
    and a pool full of waiting writers would never give one.

    A body over 1 MiB is refused (413) as soon as that is known. FastAPI reads it whole before it
    asks who sends it, so without a limit a stranger could fill the memory.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401 - FastAPI's own options
        writes = bool(set(options.get("methods") or ["GET"]) - READING_METHODS)
        super().__init__(path, _in_one_transaction(endpoint, writes=writes), **options)

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of the framework, behind the limit of the body."""
        answer = super().get_route_handler()

        async def answer_within_limit(request: Request) -> Response:
            declared = request.headers.get("content-length", "")
            if declared.isdigit() and int(declared) > MOST_BODY_BYTES:
                raise _too_large()
            return await answer(Request(request.scope, _limited(request.receive)))

        return answer_within_limit


def Router(**options: Any) -> APIRouter:  # noqa: N802, ANN401 - a drop-in for APIRouter
    """An `APIRouter` for the doors of an area: transactional routes."""
    return APIRouter(route_class=TransactionalRoute, **options)


def own_routes(router: APIRouter, *, tags: Sequence[str] = ()) -> Iterator[APIRoute]:
    """The routes of a router and of those that it includes, in order, with further tags.

    For an app that takes them as its own. Were the router included, the framework would make each
    route again on the first request, for seconds, and would look for the route of every request
    twice in each router on the way to it.

    Raises:
        ValueError: a router is included with a prefix or dependencies, which nothing here needs.
    """
    for route in router.routes:
        if isinstance(route, APIRoute):
            own = copy.copy(route)
            own.tags = [*tags, *route.tags]
            own.unique_id = own.operation_id or own.name
            yield own
            continue
        included: Any = route
        context = included.include_context
        if context.prefix or context.dependencies or context.responses:
            raise ValueError("include a router as it is: give its own routes what they need")
        for own in own_routes(included.original_router, tags=[*tags, *context.tags]):
            own.include_in_schema = own.include_in_schema and context.include_in_schema
            yield own


def _in_one_transaction(endpoint: Callable[..., Any], *, writes: bool) -> Callable[..., Any]:
    signature = inspect.signature(endpoint, eval_str=True)
    taken = [name for name, p in signature.parameters.items() if p.annotation is Session]
    if not taken:
        return endpoint
    name = taken[0]
    begin = transaction if writes else reading

    @functools.wraps(endpoint)
    def in_transaction(**arguments: Any) -> Any:  # noqa: ANN401 - whatever the endpoint takes
        with begin() as session:
            return endpoint(**{name: session}, **arguments)

    kept = [p for p in signature.parameters.values() if p.name != name]
    in_transaction.__signature__ = signature.replace(  # type: ignore[attr-defined] # read by FastAPI
        parameters=[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in kept]
    )
    return in_transaction


def _limited(receive: Receive) -> Receive:
    """The same messages, until their bodies are more than the limit."""
    arrived_bytes = 0

    async def receive_limited() -> Message:
        nonlocal arrived_bytes
        message = await receive()
        arrived_bytes += len(message.get("body", b""))
        if arrived_bytes > MOST_BODY_BYTES:
            raise _too_large()
        return message

    return receive_limited


def _too_large() -> HTTPException:
    # The framework's own exception: anything else that reading a body raises it turns into a 400.
    return HTTPException(413, f"The body is over the limit of {MOST_BODY_BYTES >> 20} MiB")
