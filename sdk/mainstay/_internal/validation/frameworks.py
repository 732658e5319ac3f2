"""The decorator: the body is read with a limit, checked, and handed to the route as an argument."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar, cast

from mainstay._internal.guard.refusals import Refusal
from mainstay._internal.validation.limits import DEFAULT, Limits
from mainstay._internal.validation.refusing import Invalid, content_encoding_unsupported
from mainstay._internal.validation.schemas import Schema, check_of
from mainstay._internal.validation.validating import read_content_type, too_large, validate

_Function = TypeVar("_Function", bound=Callable[..., Any])
_HIDDEN: Final = "mainstay_request"
_MOST_DIGITS = 18


def validated(
    schema: Schema = None, *, into: str = "body", limits: Limits = DEFAULT
) -> Callable[[_Function], _Function]:
    """Validate a route's body, and call the route with it as ``into``.

    Stands directly above the function of a route, plain or async, of FastAPI, Starlette, Flask
    or Django, and takes the schemas of ``validate``. The body is read up to its limit and not
    further. What is refused is answered with the problem document; the route is not called.

    Raises TypeError for a function that does not take ``into``, and what ``validate`` raises for
    a schema that is none.
    """
    check_of(schema)

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        if into not in signature.parameters and not takes_all:
            raise TypeError(f"{function.__qualname__} takes no argument {into!r}")
        wrap = _wrap_async if inspect.iscoroutinefunction(function) else _wrap
        route = wrap(function, into, schema, limits)
        route.__signature__ = _seen_by_fastapi(signature, into)
        return cast("_Function", route)

    return decorate


def _wrap_async(function: Callable[..., Any], into: str, schema: Schema, limits: Limits) -> Any:  # noqa: ANN401 - a route
    @functools.wraps(function)
    async def route(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the route's own
        carrier = _carrier_of(args, kwargs)
        try:
            _look_at_headers(carrier, limits)
            raw = await carrier.read_async(limits)
            body = validate(raw, carrier.header("content-type"), schema, limits=limits)
        except Invalid as invalid:
            return carrier.answer(invalid.refusal)
        kwargs.pop(_HIDDEN, None)
        return await function(*args, **{**kwargs, into: body})

    return route


def _wrap(function: Callable[..., Any], into: str, schema: Schema, limits: Limits) -> Any:  # noqa: ANN401 - a route
    @functools.wraps(function)
    def route(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the route's own
        carrier = _carrier_of(args, kwargs)
        try:
            _look_at_headers(carrier, limits)
            raw = carrier.read(limits)
            body = validate(raw, carrier.header("content-type"), schema, limits=limits)
        except Invalid as invalid:
            return carrier.answer(invalid.refusal)
        kwargs.pop(_HIDDEN, None)
        return function(*args, **{**kwargs, into: body})

    return route


class _Carrier(Protocol):
    """A request of some framework."""

    def header(self, name: str) -> str | None: ...

    def read(self, limits: Limits) -> bytes: ...

    async def read_async(self, limits: Limits) -> bytes: ...

    def answer(self, refusal: Refusal) -> Any: ...  # noqa: ANN401 - the framework's response


def _look_at_headers(carrier: _Carrier, limits: Limits) -> None:
    """Refuse what the headers alone tell, before a byte of the body is read."""
    length = carrier.header("content-length") or ""
    if length.isdecimal() and (len(length) > _MOST_DIGITS or int(length) > limits.most_bytes):
        raise too_large(limits)
    read_content_type(carrier.header("content-type"), limits)
    if (carrier.header("content-encoding") or "identity").lower() != "identity":
        raise content_encoding_unsupported()


class _Starlette:
    def __init__(self, request: Any) -> None:  # noqa: ANN401 - Starlette may be absent
        self._request = request

    def header(self, name: str) -> str | None:
        return ", ".join(self._request.headers.getlist(name)) or None

    def read(self, limits: Limits) -> bytes:
        # A plain function runs in one of the threads that anyio made, and so can ask its loop.
        body: bytes = sys.modules["anyio"].from_thread.run(self.read_async, limits)
        return body

    async def read_async(self, limits: Limits) -> bytes:
        parts, size = [], 0
        async for part in self._request.stream():
            size += len(part)
            if size > limits.most_bytes:
                raise too_large(limits)
            parts.append(part)
        return b"".join(parts)

    def answer(self, refusal: Refusal) -> Any:  # noqa: ANN401 - Starlette's response
        body = refusal.body()
        response = sys.modules["starlette.responses"].Response
        return response(body, refusal.status, headers=dict(refusal.all_headers(body)))


class _Flask:
    def __init__(self, request: Any) -> None:  # noqa: ANN401 - Flask may be absent
        self._request = request

    def header(self, name: str) -> str | None:
        value: str | None = self._request.headers.get(name)
        return value

    def read(self, limits: Limits) -> bytes:
        body: bytes = self._request.stream.read(limits.most_bytes + 1)
        return body

    async def read_async(self, limits: Limits) -> bytes:
        return self.read(limits)

    def answer(self, refusal: Refusal) -> Any:  # noqa: ANN401 - what Flask makes a response of
        body = refusal.body()
        return body, refusal.status, refusal.all_headers(body)


class _Django:
    def __init__(self, request: Any) -> None:  # noqa: ANN401 - Django may be absent
        self._request = request

    def header(self, name: str) -> str | None:
        value: str | None = self._request.headers.get(name)
        return value

    def read(self, limits: Limits) -> bytes:
        body: bytes = self._request.read(limits.most_bytes + 1)
        return body

    async def read_async(self, limits: Limits) -> bytes:
        return self.read(limits)

    def answer(self, refusal: Refusal) -> Any:  # noqa: ANN401 - Django's response
        body = refusal.body()
        response = sys.modules["django.http"].HttpResponse
        return response(body, status=refusal.status, headers=dict(refusal.all_headers(body)))


def _carrier_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Carrier:
    """Find the request: among the arguments, or, in Flask, where it keeps it."""
    # A method's first argument is its object.
    for value in (*args[:2], *kwargs.values()):
        if _is_a(value, "starlette.requests", "Request"):
            return _Starlette(value)
        if _is_a(value, "django.http", "HttpRequest"):
            return _Django(value)
    flask = sys.modules.get("flask")
    if flask is not None and flask.has_request_context():
        return _Flask(flask.request)
    raise RuntimeError("mainstay.validation.validated belongs directly above a route's function")


def _is_a(value: object, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)


def _seen_by_fastapi(signature: inspect.Signature, into: str) -> inspect.Signature:
    """Return what FastAPI fills in: all but the body, and the request if the route has none."""
    parameters = [p for p in signature.parameters.values() if p.name != into]
    request = getattr(sys.modules.get("starlette.requests"), "Request", None)
    if request is None or any(_is_request(p, request) for p in parameters):
        return signature.replace(parameters=parameters)
    hidden = inspect.Parameter(_HIDDEN, inspect.Parameter.KEYWORD_ONLY, annotation=request)
    after = [p for p in parameters if p.kind is p.VAR_KEYWORD]
    before = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    return signature.replace(parameters=[*before, hidden, *after])


def _is_request(parameter: inspect.Parameter, request: type) -> bool:
    said = parameter.annotation
    if isinstance(said, str):
        return said.rpartition(".")[2] == "Request"
    return isinstance(said, type) and issubclass(said, request)
