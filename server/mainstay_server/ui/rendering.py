"""One Jinja environment for every page, and the one way to render with it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import BaseLoader, ChoiceLoader, Environment, StrictUndefined, TemplateNotFound
from markupsafe import Markup
from starlette.requests import Request
from typing_extensions import override

from mainstay_server.kernel import clock

from . import drawings, formats, links
from .static import asset

SERVER = Path(__file__).parents[1]
THEMES = ("system", "light", "dark")
FLASH_COOKIE = "mainstay_flash"


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
    answer = HTMLResponse(_rendered(request, template, context), status_code=status_code)
    if context.get("flashes"):  # said now, and not again when the page is loaded anew
        answer.delete_cookie(FLASH_COOKIE, path=request.url.path, httponly=True, samesite="lax")
    return answer


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


class _AsTheyWere(BaseLoader):
    """The templates as they were when the process began.

    Files may change under a running server, by an update for example. A new page over old code, or
    one half of a page from before and one from after, is worse than the old page.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._found = {
            name: (file.read_text(encoding="utf-8"), str(file)) for name, file in files.items()
        }

    @override
    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        if template not in self._found:
            raise TemplateNotFound(template)
        source, file = self._found[template]
        return source, file, lambda: True

    @override
    def list_templates(self) -> list[str]:
        return sorted(self._found)


def load_templates() -> None:
    """Read every template now, so that a running server keeps the pages it began with."""
    environment()


@cache
def environment() -> Environment:
    """The environment that renders everything; areas are found when it is first used."""
    made = Environment(
        loader=ChoiceLoader([_AsTheyWere(_files())]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
    )
    made.filters |= {
        "ago": lambda moment: formats.ago(moment, now=_page.get().now),
        "bytes": formats.bytes_,
        "clock_time": formats.clock_time,
        "compact": formats.compact,
        "time_range": formats.time_range,
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


def _files() -> dict[str, Path]:
    """An area's templates are reached under its name; `tenancy/` and the ui's own stand beside."""
    folders = {
        f"{folder.parent.name}/": folder for folder in (SERVER / "areas").glob("*/templates")
    }
    folders |= {"": Path(__file__).parent / "templates", "tenancy/": SERVER / "tenancy/templates"}
    return {
        prefix + file.relative_to(folder).as_posix(): file
        for prefix, folder in folders.items()
        for file in folder.rglob("*.html")
    }
