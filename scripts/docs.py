"""Write the tables in the docs that can be read off the program: routes, settings, jobs, events.

A table stands between two marks and is written anew each time; everything else on a page is written
by people. In `docs/areas/` a heading that has a table gets its marks by itself. `--check` changes
nothing and fails when a page is not what the program says. Run it with `make docs`.
"""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from mainstay_server.app.assembly import TENANCY
from mainstay_server.app.system import router as system_router
from mainstay_server.installed import AREAS
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.events import Audited, Event, Reaction
from mainstay_server.kernel.jobs import Job
from mainstay_server.kernel.limits import LimitSettings
from mainstay_server.kernel.ports import Port
from mainstay_server.kernel.retention import RetentionSettings
from mainstay_server.kernel.settings import ServerSettings, Settings, environment_names
from mainstay_server.kernel.watching import WatchingSettings
from mainstay_server.tenancy.access import Rule, rule_of

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = (TENANCY, *AREAS)
BEGIN = "<!-- make docs: {} -->"
END = "<!-- end -->"
EMPTY_BASE = "The base of"
Row = Sequence[str]


def main() -> int:
    """Write the stale pages, or with --check name them and return 1 when there are any."""
    parser = argparse.ArgumentParser(description="Write the generated tables of the docs.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when stale")
    checking = parser.parse_args().check
    pages = stale_pages(ROOT)
    for page, text in pages.items():
        print(f"{'stale' if checking else 'written'}: {page.relative_to(ROOT)}")
        if not checking:
            page.write_text(text, encoding="utf-8")
    if checking and pages:
        print("Run `make docs` and commit what it wrote.", file=sys.stderr)
        return 1
    return 0


def stale_pages(root: Path) -> dict[Path, str]:
    """The pages that are not what the program says, with what they should be."""
    wanted = {
        **{root / f"docs/areas/{area.name}.md": blocks_of(area) for area in EVERYTHING},
        root / "README.md": {"server settings": settings_table([ServerSettings])},
        root / "docs/README.md": {"areas": areas_list(root)},
        root / "docs/start/configuration.md": {
            "server settings": settings_table(
                [ServerSettings, RetentionSettings, LimitSettings, WatchingSettings]
            ),
            "area settings": settings_table(
                [settings for area in EVERYTHING for settings in area.settings]
            ),
            "retention": retention_table(),
        },
        root / "docs/start/server-api.md": {
            "API": table(("call", "what", "who may"), system_rows(), nothing="None.")
        },
    }
    found = {}
    for page, blocks in wanted.items():
        if page.exists():
            text = page.read_text(encoding="utf-8")
            fresh = filled(text, blocks)
            if fresh != text:
                found[page] = fresh
    return found


def filled(text: str, blocks: dict[str, str]) -> str:
    """The page with each block between its marks, which a heading of that name gets by itself."""
    for name, block in blocks.items():
        begin = BEGIN.format(name)
        if begin not in text:
            text = re.sub(
                rf"^(## {re.escape(name)}\n)", rf"\1\n{begin}\n{END}\n", text, flags=re.MULTILINE
            )
        marked = re.compile(rf"{re.escape(begin)}\n.*?{re.escape(END)}", re.DOTALL)
        fresh = f"{begin}\n\n{block}\n\n{END}"
        text = marked.sub(lambda _, fresh=fresh: fresh, text)  # type: ignore[misc] # bound at once
    return text


def blocks_of(area: Area) -> dict[str, str]:
    """The generated part below each heading of an area's page."""
    return {
        "API": table(
            ("call", "what", "who may"), [*api_rows(area), *door_rows(area)], nothing="No routes."
        ),
        "Settings": settings_table(area.settings),
        "Jobs": table(
            ("job", "when", "what"),
            [(code(job.name), turns(job), promise(job.function)) for job in area.jobs],
            nothing="No jobs.",
        ),
        "Says, reacts, asks, answers": talk(area),
        "Readiness": table(
            ("id", "question", "weight"),
            [(code(each.id), each.question, each.weight) for each in area.readiness],
            nothing="No readiness checks.",
        ),
    }


def table(header: Row, rows: Iterable[Row], *, nothing: str) -> str:
    """A Markdown table, or the words for an empty one."""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    if not lines:
        return nothing
    head = [" | ".join(header), " | ".join("---" for _ in header)]
    return "\n".join(f"| {line} |" for line in [*head, *lines])


def api_rows(area: Area) -> Iterator[Row]:
    """Each operation of an area, in the order it declares them."""
    if area.api is not None:
        yield from route_rows(area.api)


def system_rows() -> list[Row]:
    """The operations of the server itself."""
    return list(route_rows(system_router))


def route_rows(router: Any) -> Iterator[Row]:  # noqa: ANN401 - a router, or the part of one
    """Call, summary and rule of each route, those of included routers too."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                rules = rule_of(list(dependencies_of(route.dependant)))
                allowed = "; ".join(who_may(rule) for rule in rules)
                yield code(f"{method} {route.path_format}"), route.summary or "", allowed
        elif hasattr(route, "original_router"):
            yield from route_rows(route.original_router)


def dependencies_of(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    """Everything that a route depends on, however deep."""
    for each in dependant.dependencies:
        yield each.call
        yield from dependencies_of(each)


def who_may(rule: Rule) -> str:
    """A rule in words."""
    if rule.kind == "public":
        return f"anyone: {rule.reason}"
    if rule.role is None:
        return "whoever is signed in"
    return f"{rule.role} of the organization" + (f", `{rule.scope}`" if rule.scope else "")


def door_rows(area: Area) -> Iterator[Row]:
    """The ways in before any framework, and the envelope items that come through another's."""
    for door in area.doors:
        yield code(f"POST /api/{{number}}/{door.path}"), promise(door.app), "an ingest key"
    for item in area.envelope_items:
        kind = f"envelope item {code(item.type)}, at most {item.max_bytes:,} bytes"
        yield code("POST /api/{number}/envelope/"), kind, "an ingest key"


def settings_table(classes: Iterable[type[Settings]]) -> str:
    """Every field of some settings, with the variables that set it."""
    return table(
        ("setting", "default", "what it does"),
        [
            (
                " or ".join(code(each) for each in environment_names(settings, name, field)),
                default_of(defaults[name]),
                field.description or "",
            )
            for settings in classes
            for defaults in (written_defaults(settings),)
            for name, field in settings.model_fields.items()
        ],
        nothing="No settings of its own.",
    )


def written_defaults(settings: type[Settings]) -> dict[str, Any]:
    """The defaults of some settings as they would be written, by name of the field."""
    given = {
        name: field.get_default(call_default_factory=True)
        for name, field in settings.model_fields.items()
    }
    return settings.model_construct(**given).model_dump(mode="json", exclude_defaults=False)


def default_of(value: object) -> str:
    """A default as one would write it in the environment; `none` without one."""
    if isinstance(value, dict) and value:
        return code(json.dumps(value, separators=(",", ":")))
    if isinstance(value, float):
        return code(f"{value:g}")
    if value in ("", None, {}):
        return "none"
    return code(str(value).lower() if isinstance(value, bool) else str(value))


def retention_table() -> str:
    """Every column table with the days that its rows are kept."""
    rows = [
        (code(name), area.title, f"{days} days")
        for area in EVERYTHING
        for stream in area.tables
        for name, days in (
            (stream.name, stream.retention_days),
            *((each.name, each.retention_days) for each in stream.roll_ups),
        )
    ]
    return table(("column table", "area", "kept by default"), rows, nothing="No column tables.")


def turns(job: Job) -> str:
    """When a job runs."""
    if job.every is None:
        return f"{code(job.cron)} UTC"
    seconds = int(job.every.total_seconds())
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if job.every >= timedelta(seconds=size) and seconds % size == 0:
            count = seconds // size
            return f"every {unit[:-1]}" if count == 1 else f"every {count} {unit}"
    return f"every {seconds} seconds"


def talk(area: Area) -> str:
    """What an area says, to what it reacts, what it asks and what it answers."""
    rows = [
        *((says(event), code(event.__name__), promise(event)) for event in events_of(area)),
        *(("reacts to", heard_by(r), hears(r)) for r in area.reactions),
        *(("asks", code(port.__name__), promise(port)) for port in asked_by(area)),
        *(
            ("answers", code(answer.port.__name__), promise(answer.port))  # type: ignore[attr-defined] # a wrapped function
            for answer in area.answers
        ),
    ]
    return table(("", "what", "promise"), rows, nothing="It talks to no other area.")


def says(event: type[Event]) -> str:
    """Whether an event is one that the audit log keeps, and as which action."""
    return f"says, audited as {code(event.action())}" if issubclass(event, Audited) else "says"


def heard_by(reaction: Reaction) -> str:
    """The kind of event that a reaction hears."""
    return code(reaction.event.__name__) if reaction.event else "everything audited"


def hears(reaction: Reaction) -> str:
    """A reaction's promise, with how often its effect happens."""
    how = "once" if reaction.in_transaction else "at least once, under one idempotency key"
    return f"{promise(reaction.function)} ({how})"


def events_of(area: Area) -> list[type[Event]]:
    """The events of an area's contract, but for the bases that are never said themselves."""
    return [
        value
        for module in modules_below(f"mainstay_server.contracts.{area.name}")
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Event)
        and value.__module__ == module.__name__
        and not promise(value).startswith(EMPTY_BASE)
    ]


def asked_by(area: Area) -> list[Any]:
    """The ports that an area's modules import and that it does not answer itself."""
    own = {answer.port.name for answer in area.answers}
    found = {
        value.name: value
        for module in modules_below(f"mainstay_server.areas.{area.name}")
        for value in vars(module).values()
        if isinstance(value, Port) and value.name not in own
    }
    return [found[name] for name in sorted(found)]


def modules_below(home: str) -> Iterator[ModuleType]:
    """The loaded modules of a package by their names; an area's `__init__` loads all its rooms."""
    for name, module in sorted(sys.modules.items()):
        if name == home or name.startswith(f"{home}."):
            yield module


def areas_list(root: Path) -> str:
    """A line per area with a page: its title, and the first sentence of what it is for."""
    lines = []
    for area in EVERYTHING:
        page = root / f"docs/areas/{area.name}.md"
        if page.exists():
            prose = page.read_text(encoding="utf-8").partition("## What it is for")[2].strip()
            first = re.split(r"(?<=\.)\s", prose, maxsplit=1)[0]
            lines.append(f"- [{area.title}](areas/{area.name}.md): {' '.join(first.split())}")
    return "\n".join(lines)


def promise(thing: object) -> str:
    """The first sentence of a docstring."""
    paragraph = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return " ".join(paragraph.split())


def code(text: str) -> str:
    """The text as code."""
    return f"`{text}`"


if __name__ == "__main__":
    sys.exit(main())
