"""What a route says of its answer while it makes it."""

import functools
import inspect
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

from mainstay._internal.caching.keys import Template
from mainstay._internal.responses.rules import (
    KEPT_STATUSES,
    NOT_MODIFIED,
    Answer,
    Headers,
    tags_of,
    vary_of,
)

_Function = TypeVar("_Function", bound=Callable[..., Any])
# Beside a space and a comma, which separate tags in headers.
_SAFE_IN_TAGS = ":/@-_.!$&~+=%;'()*"


@dataclass
class Note:
    """What was said of one answer."""

    cache_control: str = ""
    vary: tuple[str, ...] = ()
    tags: list[str] = field(default_factory=list)

    @property
    def is_blank(self) -> bool:
        """Whether nothing was said."""
        return not (self.cache_control or self.vary or self.tags)

    def apply(self, answer: Answer) -> Answer:
        """Return the answer with the headers that say it; what the app said itself stays.

        It was said of the answer that the route meant to give: an error is none.
        """
        if answer.status not in KEPT_STATUSES and answer.status != NOT_MODIFIED:
            return answer
        more: Headers = []
        if self.cache_control and not answer.header("cache-control"):
            more.append(("cache-control", self.cache_control))
        vary = vary_of(answer)
        if self.vary and vary is not None:
            more.append(("vary", ", ".join(dict.fromkeys((*vary, *self.vary)))))
        return answer.with_headers(more) if more else answer

    def all_tags(self, answer: Answer) -> tuple[str, ...]:
        """Return the tags of both: what was said here, and in headers."""
        return tuple(dict.fromkeys((*self.tags, *tags_of(answer))))


NOTE: Final[ContextVar[Note | None]] = ContextVar("mainstay_answer", default=None)


def keep(
    seconds: int,
    *,
    stale: int = 0,
    public: bool = False,
    tags: Sequence[str] = (),
    vary: Sequence[str] = (),
) -> None:
    """Say, inside of a route, that its answer may be kept for so many seconds.

    Then it is served for ``stale`` seconds more, while it is made anew. ``public`` says that it
    is the same for everybody, also for those who send cookies or a key; without it their requests
    always reach the app. ``tags`` are what it is made of, for `ResponseCache.purge`; ``vary`` are
    the headers of requests that it depends on. Without a `ResponseCache` around the app it does
    nothing.
    """
    note = NOTE.get()
    if note is None:
        return
    said = ["public"] if public else []
    said.append(f"max-age={seconds}")
    if stale:
        said.append(f"stale-while-revalidate={stale}")
    note.cache_control = ", ".join(said)
    note.vary = tuple(name.lower() for name in vary)
    note.tags.extend(tag_in_header(tag) for tag in tags)


def kept(
    seconds: int,
    *,
    stale: int = 0,
    public: bool = False,
    tags: Sequence[str] = (),
    vary: Sequence[str] = (),
) -> Callable[[_Function], _Function]:
    """Say so of every answer of a route: directly above its function, plain or async.

    ``tags`` are templates of its arguments: ``"article:{number}"``.
    """

    def decorate(function: _Function) -> _Function:
        templates = [Template(function, tag) for tag in tags]

        def say(args: Any, kwargs: Any) -> None:  # noqa: ANN401 - the route's own
            told = [template(args, kwargs) for template in templates]
            keep(seconds, stale=stale, public=public, tags=told, vary=vary)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def route_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the route's own
                say(args, kwargs)
                return await function(*args, **kwargs)

            return cast("_Function", route_async)

        @functools.wraps(function)
        def route(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the route's own
            say(args, kwargs)
            return function(*args, **kwargs)

        return cast("_Function", route)

    return decorate


def tag_in_header(tag: str) -> str:
    """Return a tag as a header can hold it, and so as it is known everywhere."""
    return quote(tag, safe=_SAFE_IN_TAGS, errors="replace")
