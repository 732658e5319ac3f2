"""Routes whose endpoint runs in one transaction, from its first line to its last."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from sqlalchemy.orm import Session

from mainstay_server.kernel.database import reading, transaction

READING_METHODS = {"GET", "HEAD", "OPTIONS"}


class TransactionalRoute(APIRoute):
    """A route whose endpoint may take a parameter annotated `Session`.

    GET gets a reading snapshot; everything else one transaction, committed when the endpoint
    returned and before the answer leaves, rolled back when it raised. Opening and committing happen
    in the endpoint's own thread: as dependencies they would need a second free thread to commit,
    and a pool full of waiting writers would never give one.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401 - FastAPI's own options
        writes = bool(set(options.get("methods") or ["GET"]) - READING_METHODS)
        super().__init__(path, _in_one_transaction(endpoint, writes=writes), **options)


def Router(**options: Any) -> APIRouter:  # noqa: N802, ANN401 - a drop-in for APIRouter
    """An `APIRouter` for the doors of an area: transactional routes."""
    return APIRouter(route_class=TransactionalRoute, **options)


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
