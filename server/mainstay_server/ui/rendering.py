"""One Jinja environment for every page, and the one way to render with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
)
from markupsafe import Markup
from starlette.requests import Request

from mainstay_server.kernel import clock

from . import drawings, formats, links
from .static import asset

SERVER = Path(__file__).parents[1]
THEMES = ("system", "light", "dark")


@dataclass(frozen=True, kw_only=True)
class _Page:
    """What macros need of the page they stand on: an imported macro cannot see its context."""

    request: Request
    csrf_token: str
    now: datetime


_page: ContextVar[_Page] = ContextVar("page")


def render(
    request: Request, template: str, /, *, status_code: int = 200, **context: object
) -> HTMLResponse:
    """Answer with a page: `<area>/<file>.html`, `tenancy/<file>.html`, or one of the ui's own.

    Every page sees `request`, `csrf_token`, `caller`, `menu`, `theme` and `now`; what the door
    passes wins. A name that nobody set is an error, never an empty place.
    """
    return HTMLResponse(_rendered(request, template, context), status_code=status_code)


def fragment(request: Request, template: str, /, **context: object) -> Markup:
    """Render a part of a page, such as a panel, with the same names in sight as a whole page."""
    return Markup(_rendered(request, template, context))  # noqa: S704  # the template escaped it


def _rendered(request: Request, template: str, context: dict[str, object]) -> str:
    page_context = _defaults(request) | context
    page = _Page(request=request, csrf_token=page_context["csrf_token"], now=page_context["now"])
    with _standing_on(page):
        return environment().get_template(template).render(page_context)


def _defaults(request: Request) -> dict[str, Any]:
    theme = request.cookies.get("theme", "system")
    return {
        "request": request,
        "csrf_token": getattr(request.state, "csrf_token", None) or "",
        "caller": getattr(request.state, "caller", None),
        "menu": (),
        "theme": theme if theme in THEMES else "system",
        "now": clock.utc_now(),
    }


@contextmanager
def _standing_on(page: _Page) -> Iterator[None]:
    before = _page.set(page)
    try:
        yield
    finally:
        _page.reset(before)


@cache
def environment() -> Environment:
    """The environment that renders everything; areas are found when it is first used."""
    made = Environment(
        loader=_loader(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": lambda moment: formats.ago(moment, now=_page.get().now),
        "bytes": formats.bytes_,
        "clock_time": formats.clock_time,
        "compact": formats.compact,
        "duration_ms": formats.duration_ms,
        "percent": formats.percent,
        "plural": formats.plural,
        "tone_of": drawings.tone_of,
    }
    made.globals |= {
        "asset": asset,
        "page": _page.get,
        "spark_paths": drawings.spark,
        "with_query": lambda **changes: links.with_query(_page.get().request.url, **changes),
        "UPTIME_SLOTS": drawings.UPTIME_SLOTS,
    }
    return made


def _loader() -> BaseLoader:
    """An area's templates are reached under its name; `tenancy/` and the ui's own stand beside."""
    rooms = {folder.parent.name: folder for folder in (SERVER / "areas").glob("*/templates")}
    rooms["tenancy"] = SERVER / "tenancy" / "templates"
    return ChoiceLoader(
        [
            FileSystemLoader(Path(__file__).parent / "templates"),
            PrefixLoader({name: FileSystemLoader(folder) for name, folder in rooms.items()}),
        ]
    )
