"""Answers in a `Cache`: found by address and by what they vary with, forgotten by tag and path."""

import secrets
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from mainstay._internal.caching.making import LONGEST_LIFETIME_SECONDS, MOST_TAGS
from mainstay._internal.clock import Clock
from mainstay._internal.responses.rules import (
    Answer,
    Asked,
    Terms,
    digest_of,
    may_have,
    to_keep,
)

if TYPE_CHECKING:
    from mainstay._internal.caching.cache import Cache

# How long an answer may take to make: one that was begun before a purge is not kept after it.
_PURGES_REMEMBERED_SECONDS: Final = 600

# A plan: it yields the name of a verb of the cache with its arguments, and gets what that returned.
Plan = Generator["tuple[str, tuple[Any, ...], dict[str, Any]]", Any, Any]


class Found(NamedTuple):
    """A kept answer and its age; one that is no longer fresh should be made anew."""

    answer: Answer
    age: float
    fresh: float

    @property
    def is_stale(self) -> bool:
        """Whether it is past its time."""
        return self.age >= self.fresh


class Store:
    """The answers; one plan for threads, which `run` carries out, and for coroutines, `arun`."""

    def __init__(self, cache: "Cache", *, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock

    def run(self, plan: Plan) -> Any:  # noqa: ANN401 - what the plan returns
        """Carry out a plan in a thread."""
        answer = None
        while True:
            try:
                verb, args, options = plan.send(answer)
            except StopIteration as end:
                return end.value
            answer = getattr(self._cache, verb)(*args, **options)

    async def arun(self, plan: Plan) -> Any:  # noqa: ANN401 - what the plan returns
        """Carry out a plan in a coroutine."""
        answer = None
        while True:
            try:
                verb, args, options = plan.send(answer)
            except StopIteration as end:
                return end.value
            answer = await getattr(self._cache, f"a{verb}")(*args, **options)

    def find(self, asked: Asked) -> Plan:
        """Return what is `Found`, or None."""
        kept = yield "get", (asked.key,), {}
        vary: Sequence[str] = ()
        if isinstance(kept, dict) and "generation" in kept:
            vary = kept["vary"]
            kept = yield "get", (_variant(asked, vary, kept["generation"]),), {}
        if not isinstance(kept, dict) or "status" not in kept:
            return None
        if not may_have(asked, is_public=kept["public"], vary=vary):
            return None
        body = kept["body"]
        headers = [(name, value) for name, value in kept["headers"]]
        body = body.encode() if isinstance(body, str) else body
        age = max(self._clock.wall() - kept["at"], 0.0)
        return Found(Answer(kept["status"], headers, body), age, kept["fresh"])

    def keep(self, asked: Asked, answer: Answer, terms: Terms, *, began: float) -> Plan:
        """Keep an answer that the app began to make at ``began``; return whether it is kept."""
        tags = (*terms.tags, path_tag(asked.path))
        if len(tags) > MOST_TAGS:
            return False
        lifetime = min(terms.fresh + terms.stale, LONGEST_LIFETIME_SECONDS)
        kept = to_keep(answer)
        value = {
            "status": kept.status,
            "headers": [list(pair) for pair in kept.headers],
            "body": _as_text(kept.body),
            "at": self._clock.wall(),
            "fresh": terms.fresh,
            "public": terms.is_public,
        }
        key = asked.key
        if terms.vary:
            before = yield "get", (key,), {}
            generation = secrets.token_hex(4)
            if isinstance(before, dict) and before.get("vary") == list(terms.vary):
                generation = before["generation"]
            marker = {"vary": list(terms.vary), "generation": generation}
            yield "set", (key, marker, LONGEST_LIFETIME_SECONDS), {"tags": tags[-1:]}
            key = _variant(asked, terms.vary, generation)
        yield "set", (key, value, lifetime), {"tags": tags}
        for tag in tags:
            purged_at = yield "get", (_purged(tag),), {}
            if purged_at is not None and purged_at >= began:
                yield "delete", (key,), {}
                return False
        return True

    def forget(self, tags: Sequence[str]) -> Plan:
        """Forget what has one of the tags, also what is just being made; return how many."""
        count = 0
        for tag in tags:
            yield "set", (_purged(tag), self._clock.wall(), _PURGES_REMEMBERED_SECONDS), {}
            count += yield "delete_tagged", (tag,), {}
        return count


def path_tag(path: str) -> str:
    """Return the tag of all answers of a path, whatever their host and query."""
    return f"path:{digest_of([path])}"


def _variant(asked: Asked, vary: Sequence[str], generation: str) -> str:
    values = [" ".join(asked.header(name).split()) for name in vary]
    return f"{asked.key}:{generation}:{digest_of(values)}"


def _purged(tag: str) -> str:
    return f"purged:{quote(tag, safe='')}"


def _as_text(body: bytes) -> "str | bytes":
    """Text is kept several times as quickly as bytes, and read so too."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
