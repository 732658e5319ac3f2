"""The shape of a new check: one per kind, told apart by `kind`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Discriminator, Field, Tag, create_model

from mainstay_server.areas.health_checks.providers import (
    PROVIDERS,
    SHORTEST_INTERVALS,
    USUAL_INTERVALS,
    Provider,
)
from mainstay_server.areas.health_checks.schemas.bodies import (
    MOST_SECONDS,
    NewCheck,
    NewHealthCheck,
)

DEFAULT_KIND = "http"


def _kind_of(given: object) -> str:
    """The kind that was meant; the usual one when none is named."""
    if isinstance(given, Mapping):
        return str(given.get("kind", DEFAULT_KIND))
    return str(getattr(given, "kind", DEFAULT_KIND))


def _shape_of(kind: str, provider: Provider) -> type[NewCheck]:
    words = kind.title().replace("_", "")
    config = create_model(
        f"{words}CheckConfig", __base__=provider.Config, __doc__=provider.Config.__doc__
    )
    if kind == DEFAULT_KIND:
        members: dict[str, Any] = {"config": (config, config())}
        return create_model(f"New{words}Check", __base__=NewHealthCheck, **members)
    members = {"kind": (Literal[kind], ...), "config": (config, ...)}
    if kind in SHORTEST_INTERVALS:
        seconds = Annotated[int, Field(ge=SHORTEST_INTERVALS[kind], le=MOST_SECONDS)]
        members["interval_seconds"] = (seconds, USUAL_INTERVALS[kind])
    return create_model(
        f"New{words}Check", __base__=NewCheck, __doc__=f"{provider.LABEL}.", **members
    )


def an_example(kind: str, provider: Provider) -> dict[str, Any]:
    """A body that makes a check of this kind."""
    if kind == DEFAULT_KIND:
        return {"name": "shop", "url": "https://example.com/health", "intervalSeconds": 60}
    return {"name": provider.LABEL, "kind": kind, "config": dict(provider.EXAMPLE)}


EXAMPLES = {
    kind: {"summary": provider.LABEL, "value": an_example(kind, provider)}
    for kind, provider in PROVIDERS.items()
}

if TYPE_CHECKING:
    NewCheckOfAnyKind = NewCheck
else:
    NewCheckOfAnyKind = Annotated[
        Union[  # noqa: UP007 - made of a list
            tuple(Annotated[_shape_of(kind, each), Tag(kind)] for kind, each in PROVIDERS.items())
        ],
        Discriminator(_kind_of),
    ]
