"""What every area owes: a line in the list, known rooms, a test for each, a page in the docs."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]

DOORS = ("api", "pages", "ingest", "jobs", "reactions", "readiness", "configured")
TESTED_ROOMS = (*DOORS, "service", "providers")
ROOMS = {*TESTED_ROOMS, "schemas", "settings", "columns", "models", "templates"}
HEADINGS = [
    "What it is for",
    "Set it up",
    "Pages",
    "API",
    "Settings",
    "Jobs",
    "Says, reacts, asks, answers",
    "Readiness",
    "Limits",
]
MARKERS = {"job": "job", "port": "port", "readiness_check": "readiness check"}


def test_every_area_is_installed() -> None:
    assert areas_not_installed(ROOT) == []


def test_areas_have_the_known_rooms_and_no_others() -> None:
    assert unknown_rooms(ROOT) == []


def test_every_room_has_its_test_file() -> None:
    assert rooms_without_tests(ROOT) == []


def test_every_area_has_its_page_with_the_fixed_headings() -> None:
    assert flaws_of_pages(ROOT) == []


def test_events_jobs_ports_and_readiness_checks_say_what_they_promise() -> None:
    assert declarations_without_docstring(ROOT) == []


def test_an_area_that_owes_everything_is_told_each_part(tmp_path: Path) -> None:
    area = tmp_path / "server/mainstay_server/areas/heartbeats"
    (area / "providers").mkdir(parents=True)
    for name in ("__init__", "jobs", "service", "models", "utils"):
        (area / f"{name}.py").touch()
    (area / "jobs.py").write_text("@job(every=HOUR)\ndef mark_overdue(session, *, now): ...\n")
    contracts = tmp_path / "server/mainstay_server/contracts"
    contracts.mkdir()
    (contracts / "heartbeats.py").write_text(
        "class HeartbeatSaid(Event): ...\n"
        "class HeartbeatWentDown(HeartbeatSaid): ...\n"
        "class HeartbeatRemoved(Audited): ...\n"
        "@port\ndef is_up(session): ...\n"
        "class NotAnEvent: ...\n"
    )
    (tmp_path / "docs/areas").mkdir(parents=True)
    (tmp_path / "docs/areas/heartbeats.md").write_text("# Heartbeats\n\n## What it is for\n")
    (tmp_path / "server/mainstay_server/installed.py").write_text(
        "from mainstay_server.areas import errors\n"
        "from mainstay_server.areas import heartbeats  # imported, but not listed\n"
        "AREAS = (errors.area,)\n"
    )

    assert areas_not_installed(tmp_path) == ["heartbeats: add it to AREAS in installed.py"]
    assert unknown_rooms(tmp_path) == ["areas/heartbeats/utils.py is no room of an area"]
    assert rooms_without_tests(tmp_path) == [
        "server/tests/areas/heartbeats/test_jobs.py is missing",
        "server/tests/areas/heartbeats/test_service.py is missing",
        "server/tests/areas/heartbeats/test_providers.py is missing",
    ]
    assert flaws_of_pages(tmp_path) == [
        "docs/areas/heartbeats.md: the second-level headings must be exactly " + str(HEADINGS)
    ]
    assert declarations_without_docstring(tmp_path) == [
        "areas/heartbeats/jobs.py: job mark_overdue has no docstring",
        "contracts/heartbeats.py: event HeartbeatSaid has no docstring",
        "contracts/heartbeats.py: event HeartbeatWentDown has no docstring",
        "contracts/heartbeats.py: event HeartbeatRemoved has no docstring",
        "contracts/heartbeats.py: port is_up has no docstring",
    ]


def areas_of(root: Path) -> list[Path]:
    folder = root / "server/mainstay_server/areas"
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.is_dir() and path.name != "__pycache__"]


def areas_not_installed(root: Path) -> list[str]:
    areas = [area.name for area in areas_of(root)]
    installed = root / "server/mainstay_server/installed.py"
    listed = names_listed_in_areas(ast.parse(installed.read_text())) if areas else set()
    return [f"{area}: add it to AREAS in installed.py" for area in areas if area not in listed]


def names_listed_in_areas(module: ast.Module) -> set[str]:
    """Return the areas in `AREAS`, whether imported as modules or as `area` under another name."""
    imported: dict[str, str] = {}
    listed: set[str] = set()
    for node in module.body:
        if isinstance(node, ast.ImportFrom):
            inside = (node.module or "").partition("areas.")[2]
            for alias in node.names:
                imported[alias.asname or alias.name] = inside or alias.name
        value = assigned_to_areas(node)
        if value is not None:
            names = {part.id for part in ast.walk(value) if isinstance(part, ast.Name)}
            listed |= {imported[name] for name in names if name in imported}
    return listed


def assigned_to_areas(node: ast.stmt) -> ast.expr | None:
    if isinstance(node, ast.AnnAssign):
        targets: list[ast.expr] = [node.target]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    else:
        return None
    named = any(isinstance(target, ast.Name) and target.id == "AREAS" for target in targets)
    return node.value if named else None


def unknown_rooms(root: Path) -> list[str]:
    return [
        f"areas/{area.name}/{path.name} is no room of an area"
        for area in areas_of(root)
        for path in sorted(area.iterdir())
        if path.name not in {"__init__.py", "__pycache__"} and room_of(path) not in ROOMS
    ]


def room_of(path: Path) -> str:
    return path.name if path.is_dir() else path.name.removesuffix(".py")


def rooms_without_tests(root: Path) -> list[str]:
    """A room's tests are `test_<room>.py`, or several `test_<room>_<what>.py` when one is long."""
    missing = []
    for area in areas_of(root):
        rooms = {room_of(path) for path in area.iterdir()}
        tests = Path("server/tests/areas") / area.name
        for room in TESTED_ROOMS:
            found = (root / tests / f"test_{room}.py").exists() or any(
                (root / tests).glob(f"test_{room}_*.py")
            )
            if room in rooms and not found:
                missing.append(f"{tests}/test_{room}.py is missing")
    return missing


def flaws_of_pages(root: Path) -> list[str]:
    flaws = []
    for area in areas_of(root):
        page = Path("docs/areas") / f"{area.name}.md"
        if not (root / page).exists():
            flaws.append(f"{page} is missing")
        elif headings_of((root / page).read_text()) != HEADINGS:
            flaws.append(f"{page}: the second-level headings must be exactly {HEADINGS}")
    return flaws


def headings_of(page: str) -> list[str]:
    """Return the second-level headings, leaving out what stands in code blocks."""
    prose = "".join(page.split("```")[::2])
    return [line[3:].strip() for line in prose.splitlines() if line.startswith("## ")]


def declarations_without_docstring(root: Path) -> list[str]:
    server = root / "server/mainstay_server"
    return [
        f"{path.relative_to(server)}: {kind} {node.name} has no docstring"
        for folder in ("areas", "contracts", "tenancy")
        for path in sorted((server / folder).rglob("*.py"))
        for kind, node in declarations_in(ast.parse(path.read_text()))
        if not ast.get_docstring(node)
    ]


def declarations_in(
    module: ast.Module,
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    events = {"Event", "Audited"}
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and {name_of(base) for base in node.bases} & events:
            events.add(node.name)
            yield "event", node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                marker = name_of(decorator)
                if marker in MARKERS:
                    yield MARKERS[marker], node


def name_of(expression: ast.expr) -> str:
    """Return the last name of `a.b`, or of what is called in `a.b(…)`."""
    if isinstance(expression, ast.Call):
        return name_of(expression.func)
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""
