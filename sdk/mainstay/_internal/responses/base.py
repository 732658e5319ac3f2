"""The cache of answers: what both doors share."""

import importlib
import os
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from mainstay._internal.caching.cache import Cache
from mainstay._internal.clock import Clock
from mainstay._internal.guard.base import Guard, is_asgi
from mainstay._internal.guard.passage import CURRENT
from mainstay._internal.responses.noting import Note, tag_in_header
from mainstay._internal.responses.purging import PurgeQueue, Purger
from mainstay._internal.responses.rules import (
    CREDENTIALS,
    Answer,
    Asked,
    Terms,
    terms_of,
)
from mainstay._internal.responses.store import Found, Store, path_tag

READING: Final = ("GET", "HEAD")
SAFE: Final = (*READING, "OPTIONS", "TRACE")
_LEAST_ERROR, _LEAST_FAILURE = 400, 500
MOST_RENEWALS: Final = 32


class ResponseCache:
    """Keeps answers of an app by the rules of HTTP: ``app = ResponseCache(cache)(app)``.

    Goes around an ASGI or a WSGI app (``app.wsgi_app = responses(app.wsgi_app)``), and into
    Starlette (``app.add_middleware(responses)``), inside of `mainstay.Guard`, never around it.

    - Kept is what says for how long: by a ``Cache-Control`` of its own or by ``keep`` and
      ``kept``. Never what is ``private``, ``no-store``, ``no-cache``, sets a cookie, varies with
      everything, or came of a request with credentials, unless it says ``public``.
    - Every answer of at most ``most_bytes`` that is known as a whole gets a strong ``ETag`` and is
      answered with 304 where the client has it. Longer ones, and streams, pass untouched.
    - Of many who ask for what is not there one has it made, in all processes together.
    - In the time of ``stale-while-revalidate`` the old answer is served at once, and made anew
      behind it, once in each process.
    - A request that changes something (POST, PUT, DELETE…) and succeeds has the answers of its
      path forgotten.
    - ``purge`` forgets by tag, path or address, in all processes, and tells the ``purgers``: CDNs,
      in the background. What was being made while it was purged is not kept.

    ``credentials`` are the headers that tell who is asking, beside those of HTTP.
    """

    def __init__(
        self,
        cache: Cache,
        *,
        most_bytes: int = 1_048_576,
        credentials: Sequence[str] = (),
        purgers: Sequence[Purger] = (),
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or cache.clock
        self.turns = cache.turns
        self.store = Store(cache, clock=self.clock)
        self.most_bytes = most_bytes
        self.credentials = (*CREDENTIALS, *(name.lower() for name in credentials))
        self.queue = PurgeQueue(purgers)
        self.tag_header = next((h for p in purgers if (h := getattr(p, "tag_header", ""))), "")
        self.renewing: set[str] = set()
        _begin_anew_after_fork(self)

    def __call__(self, app: Any) -> Any:  # noqa: ANN401 - an ASGI or a WSGI app
        """Return the app with its answers kept.

        Raises ValueError around a guard: what is kept would get past it.
        """
        if isinstance(app, Guard):
            raise ValueError("put the guard around the cache: mainstay.Guard(responses(app))")  # noqa: TRY004 - a matter of order
        # The doors are made of this, so that it cannot import them first.
        door = "asgi" if is_asgi(app) else "wsgi"
        module = importlib.import_module(f"mainstay._internal.responses.{door}")
        return module.Door(self, app)

    def purge(self, *, tags: Sequence[str] = (), urls: Sequence[str] = ()) -> int:
        """Forget what has one of the tags, or is at one of the addresses with any query.

        An address is a path, or absolute; CDNs are told of absolute ones only. Returns how many
        there were here. It never fails because of a CDN, and never waits for one.
        """
        told, names = _names(tags, urls)
        self.queue.add(told, [url for url in urls if "://" in url])
        return int(self.store.run(self.store.forget(names)))

    async def apurge(self, *, tags: Sequence[str] = (), urls: Sequence[str] = ()) -> int:
        """Forget as ``purge`` does, in a coroutine."""
        told, names = _names(tags, urls)
        count = int(await self.store.arun(self.store.forget(names)))
        self.queue.add(told, [url for url in urls if "://" in url])
        return count

    def flush(self, timeout_seconds: float = 2.0) -> bool:
        """Wait until the CDNs were told; return whether they were, or it was given up."""
        return self.queue.flush(timeout_seconds)

    # -- for the doors ---------------------------------------------------------------------

    def dressed(self, note: Note, answer: Answer) -> Answer:
        """Return the answer with the headers that say what was said of it."""
        said = note.apply(answer)
        if self.tag_header and note.tags:
            separator = "," if self.tag_header == "cache-tag" else " "
            said = said.with_headers([(self.tag_header, separator.join(note.all_tags(said)))])
        return said

    def judged(self, asked: Asked, note: Note, answer: Answer) -> tuple[Answer, Terms | None]:
        """Return a whole answer as it is told, and on which terms it may be kept."""
        said = self.dressed(note, answer)
        passage = CURRENT.get()
        # What a route asks of each request (scopes, a limit, who it is) a kept answer would not.
        is_marked = passage is not None and passage.is_marked
        terms = None if is_marked else terms_of(asked, said)
        if terms is not None:
            terms = replace(terms, tags=note.all_tags(said))
        return said.with_etag(), terms

    def told(self, asked: Asked, found: Found) -> Answer:
        """Return what is said to a client of what was found."""
        left = int(found.fresh - found.age)
        answer = found.answer.with_headers(
            [("age", str(int(found.age))), ("cache-status", f"mainstay; hit; ttl={left}")]
        )
        return answer.for_reader(asked.header("if-none-match"))

    def may_renew(self, asked: Asked, found: Found) -> bool:
        """Whether this caller should make a stale answer anew; it then ends it by ``renewed``."""
        if not found.is_stale or asked.key in self.renewing or len(self.renewing) >= MOST_RENEWALS:
            return False
        self.renewing.add(asked.key)
        return True

    def begin_anew(self) -> None:
        """Begin without the parent's threads."""
        self.renewing = set()
        self.queue.begin_anew()


def has_changed(status: int) -> bool:
    """Whether an unsafe request changed something (RFC 9111 §4.4)."""
    return status < _LEAST_ERROR


def never_kept(asked: Asked, status: int) -> bool | None:
    """Return False when the same question will not be kept next time either, None if unknown."""
    return False if asked.is_usual and status < _LEAST_FAILURE else None


def _names(tags: Sequence[str], urls: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the tags as headers have them, and the names of all that is to be forgotten."""
    if isinstance(tags, str) or isinstance(urls, str):
        raise TypeError("tags and urls are lists")
    told = [tag_in_header(tag) for tag in tags]
    return told, told + [path_tag(unquote(urlsplit(url).path) or "/") for url in urls]


def _begin_anew_after_fork(responses: ResponseCache) -> None:
    if hasattr(os, "register_at_fork"):
        reference = weakref.ref(responses)

        def begin_anew() -> None:
            alive = reference()
            if alive is not None:
                alive.begin_anew()

        os.register_at_fork(after_in_child=begin_anew)
