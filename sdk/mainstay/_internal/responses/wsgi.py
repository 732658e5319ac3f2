"""The cache's door for WSGI apps."""

import io
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from http import HTTPStatus
from itertools import chain
from typing import Any

from mainstay._internal.caching.making import run
from mainstay._internal.caching.turns import Turn
from mainstay._internal.responses.base import (
    READING,
    SAFE,
    ResponseCache,
    has_changed,
    never_kept,
)
from mainstay._internal.responses.noting import NOTE, Note
from mainstay._internal.responses.rules import CONDITIONS, Answer, Asked, asked_for
from mainstay._internal.responses.store import path_tag
from mainstay._internal.shield import SHIELD, logger
from mainstay._internal.wsgi import Environ, StartResponse, WSGIApp

_NOT_OF_A_RENEWAL = ("mainstay", "wsgi.file_wrapper", "werkzeug.request", "werkzeug.socket")


class Door:
    """A WSGI app with its answers kept."""

    def __init__(self, responses: ResponseCache, app: WSGIApp) -> None:
        self.app = app
        self._responses = responses

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        method = environ["REQUEST_METHOD"]
        if method not in SAFE:
            return self._change(environ, start_response)
        asked = None
        if method in READING:
            with SHIELD:
                asked = _asked(environ, self._responses)
        if asked is None:
            return self.app(environ, start_response)
        served = self._serve(asked, environ, start_response)
        return self._make(asked, environ, start_response) if served is None else served

    def _serve(
        self, asked: Asked, environ: Environ, start_response: StartResponse
    ) -> list[bytes] | None:
        """Answer with what is kept, or return None."""
        store = self._responses.store
        found = None
        with SHIELD:
            found = store.run(store.find(asked))
        if found is None:
            return None
        if self._responses.may_renew(asked, found):
            copied = {k: v for k, v in environ.items() if k not in _NOT_OF_A_RENEWAL}
            threading.Thread(
                target=self._renew, args=(asked, copied), name="mainstay-renewal", daemon=True
            ).start()
        return _tell(self._responses.told(asked, found), asked, start_response)

    def _make(
        self, asked: Asked, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Have the app answer, alone or for all who ask for the same."""
        turns = self._responses.turns
        turn: Turn | None = None
        exchange = _Exchange(self._responses, asked, start_response)
        try:
            if asked.method == "GET" and not turns.is_pointless(asked.turn):
                with SHIELD:
                    turn = run(turns.take(asked.turn), None, turns.wait_seconds)
                if turn is None or turn.has_waited:
                    served = self._serve(asked, environ, start_response)
                    if served is not None:
                        exchange.is_kept = True
                        return served
            token = NOTE.set(exchange.note)
            try:
                return exchange.answer(self.app(environ, exchange.start_response))
            finally:
                NOTE.reset(token)
        finally:
            if turn is not None:
                turns.end(turn, is_kept=exchange.is_kept)

    def _change(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Have the app change something, and forget before the client hears that it did."""

        def watched(status: str, *rest: Any) -> Any:  # noqa: ANN401 - the server's write()
            if has_changed(int(status[:3])):
                with SHIELD:
                    store = self._responses.store
                    store.run(store.forget([path_tag(_path(environ))]))
            return start_response(status, *rest)

        return self.app(environ, watched)

    def _renew(self, asked: Asked, environ: Environ) -> None:
        """Make a stale answer anew; when that fails, the old one goes on to its end."""
        exchange = _Exchange(self._responses, asked._replace(method="GET"), _start_nothing)
        NOTE.set(exchange.note)
        try:
            for name in CONDITIONS:
                environ.pop(_variable(name), None)
            environ["REQUEST_METHOD"], environ["wsgi.input"] = "GET", io.BytesIO()
            body = exchange.answer(self.app(environ, exchange.start_response))
            if hasattr(body, "close"):
                body.close()
        except Exception as error:  # noqa: BLE001 - whatever the app raises, the old answer holds
            logger.warning("An answer could not be made anew: %s.", type(error).__name__)
        finally:
            self._responses.renewing.discard(asked.key)


class _Exchange:
    """An answer on its way: held back while it may be kept, passed on as soon as it may not."""

    def __init__(
        self, responses: ResponseCache, asked: Asked, start_response: StartResponse
    ) -> None:
        self.note = Note()
        self._responses = responses
        self._asked = asked
        self._start_response = start_response
        self._began = responses.clock.wall()
        self._start: tuple[Any, ...] | None = None
        self._is_passing = False
        self.is_kept: bool | None = None

    def start_response(self, status: str, headers: Any, *rest: Any) -> Callable[[bytes], Any]:  # noqa: ANN401 - as PEP 3333 has it
        """Take the beginning of the answer."""
        if self._is_passing:
            told: Callable[[bytes], Any] = self._start_response(status, headers, *rest)
            return told
        self._start = (status, headers, *rest)
        return self._write

    def answer(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server sends in place of the app's body."""
        try:
            parts, rest = self._held(body)
        except BaseException:
            _close(body)
            raise
        if rest is None and self._start is not None and not self._is_passing:
            _close(body)
            return self._complete(b"".join(parts))
        self._pass_on()
        return body if not parts else _Rest(parts, rest or iter(()), body)

    def _held(self, body: Iterable[bytes]) -> tuple[list[bytes], Iterator[bytes] | None]:
        """Return what was read, and what follows, or None when there is no more."""
        if self._asked.method != "GET" or self._is_passing:
            return [], iter(())
        if isinstance(body, (list, tuple)):
            whole = self._start is not None and sum(map(len, body)) <= self._responses.most_bytes
            return ([*body], None) if whole else ([], iter(()))
        rest = iter(body)
        parts: list[bytes] = []
        if self._start is None:
            # A generator says how it begins when it is asked for the first part.
            parts = [part for part in (next(rest, None),) if part is not None]
        length = self._length()
        if length is None or length > self._responses.most_bytes:
            return (parts, rest) if parts else ([], iter(()))
        size = sum(map(len, parts))
        for part in rest:
            parts.append(part)
            size += len(part)
            if size > self._responses.most_bytes:
                return parts, rest
        return parts, None

    def _length(self) -> int | None:
        for name, value in self._start[1] if self._start is not None else ():
            if name.lower() == "content-length" and value.isdigit():
                return int(value[:18])
        return None

    def _write(self, part: bytes) -> Any:  # noqa: ANN401 - as PEP 3333 has it
        """Write as apps did before there were iterables: a stream."""
        return self._pass_on()(part)

    def _pass_on(self) -> Callable[[bytes], Any]:
        start, self._start = self._start, None
        if self._is_passing or start is None:
            self._is_passing = True
            return _write_nothing
        self._is_passing = True
        status, headers, *rest = start
        self.is_kept = never_kept(self._asked, int(status[:3]))
        with SHIELD:
            if not self.note.is_blank:
                headers = _spelled(self._responses.dressed(self.note, _answer(start, b"")))
        write: Callable[[bytes], Any] = self._start_response(status, headers, *rest)
        return write

    def _complete(self, body: bytes) -> list[bytes]:
        assert self._start is not None
        answer = _answer(self._start, body)
        with SHIELD:
            answer, terms = self._responses.judged(self._asked, self.note, answer)
            if terms is None:
                self.is_kept = never_kept(self._asked, answer.status)
            else:
                store = self._responses.store
                plan = store.keep(self._asked, answer, terms, began=self._began)
                self.is_kept = store.run(plan) or None
                status = "mainstay; fwd=uri-miss" + ("; stored" if self.is_kept else "")
                answer = answer.with_headers([("cache-status", status)])
            answer = answer.for_reader(self._asked.header("if-none-match"))
        return _tell(answer, self._asked, self._start_response, self._start[2:])


class _Rest:
    """What was read of a body, and then the rest of it."""

    def __init__(self, parts: list[bytes], rest: Iterator[bytes], body: Iterable[bytes]) -> None:
        self._parts = chain(parts, rest)
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        _close(self._body)


def _tell(
    answer: Answer, asked: Asked, start_response: StartResponse, error: Sequence[Any] = ()
) -> list[bytes]:
    status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
    start_response(status, _spelled(answer), *error)
    return [] if asked.method == "HEAD" else [answer.body]


def _asked(environ: Environ, responses: ResponseCache) -> Asked | None:
    def header(name: str) -> str:
        return environ.get(_variable(name)) or ""

    host = (environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")).lower()
    query = environ.get("QUERY_STRING", "")
    path = _path(environ)
    # How the path was written, where the server tells (gunicorn and waitress, werkzeug).
    written = environ.get("RAW_URI") or environ.get("REQUEST_URI") or path
    place = (environ.get("wsgi.url_scheme", "http"), host, path, written, query)
    return asked_for(environ["REQUEST_METHOD"], path, place, header, responses.credentials)


def _path(environ: Environ) -> str:
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # WSGI hands over the bytes of the path as Latin-1 (PEP 3333).
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


@lru_cache(maxsize=200)
def _variable(name: str) -> str:
    variable = name.upper().replace("-", "_")
    return variable if name in ("content-length", "content-type") else f"HTTP_{variable}"


def _answer(start: tuple[Any, ...], body: bytes) -> Answer:
    return Answer(int(start[0][:3]), [(name.lower(), value) for name, value in start[1]], body)


def _spelled(answer: Answer) -> list[tuple[str, str]]:
    return [("-".join(map(str.capitalize, n.split("-"))), v) for n, v in answer.headers]


def _start_nothing(*_start: object) -> Callable[[bytes], Any]:
    return _write_nothing


def _write_nothing(_part: bytes) -> None:
    pass


def _close(body: Iterable[bytes]) -> None:
    if hasattr(body, "close"):
        body.close()
