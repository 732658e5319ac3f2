"""Functions whose answers are kept."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mainstay._internal.caching.keys import Template

if TYPE_CHECKING:
    from mainstay._internal.caching.cache import Cache

_Function = TypeVar("_Function", bound=Callable[..., Any])


def wrap(
    cache: "Cache", function: _Function, lifetime: float, key: str | None, tags: Sequence[str]
) -> _Function:
    """Return the function with its answers kept; tags are templates of its arguments too."""
    key_of = Template(function, key)
    tags_of = [Template(function, tag) for tag in tags]

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def kept_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
            return await cache.aget_or_set(
                key_of(args, kwargs),
                lambda: function(*args, **kwargs),
                lifetime,
                tags=[tag(args, kwargs) for tag in tags_of],
            )

        kept: Any = kept_async
    else:

        @functools.wraps(function)
        def kept_sync(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
            return cache.get_or_set(
                key_of(args, kwargs),
                lambda: function(*args, **kwargs),
                lifetime,
                tags=[tag(args, kwargs) for tag in tags_of],
            )

        kept = kept_sync

    def name(*args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - the function's own
        return key_of(args, kwargs)

    def forget(*args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - the function's own
        return cache.delete(key_of(args, kwargs))

    async def aforget(*args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - the function's own
        return await cache.adelete(key_of(args, kwargs))

    kept.key, kept.forget, kept.aforget = name, forget, aforget
    return cast("_Function", kept)
