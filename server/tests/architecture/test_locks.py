"""The lock files: complete, and free of anybody's addresses (docs/decisions/0002)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
LOCK = ROOT / "requirements.lock"
PROJECTS = (".", "server", "sdk", "cli")
OUR_OWN = {"mainstay", "mainstay-server", "mainstay-cli"}

PIN = re.compile(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[^\s/:@]+( ; [^/:@]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def test_the_lock_holds_names_versions_and_hashes_and_nothing_else() -> None:
    assert lines_that_say_more(LOCK.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://mirror.example/simple",
        "--find-links /srv/wheels",
        "-e ./server",
        "django @ https://mirror.example/django.whl",
        "django==5.2.19",
    ],
)
def test_an_address_a_path_and_a_pin_without_hash_are_noticed(line: str) -> None:
    assert lines_that_say_more(line) == [line]


def test_every_package_that_a_project_asks_for_is_pinned_as_asked() -> None:
    pinned = versions_pinned()

    unmet = [
        f"{project}: {wanted}"
        for project, wanted in wanted_packages()
        if not any(wanted.specifier.contains(version) for version in pinned.get(name(wanted), ()))
    ]

    assert unmet == [], "run `make lock`"


def test_the_lock_of_the_pages_assets_names_no_registry() -> None:
    places = [
        f"{lock.relative_to(ROOT)}: {package['resolved']}"
        for lock in ROOT.glob("server/frontend/package-lock.json")
        for package in json.loads(lock.read_text())["packages"].values()
        if "://" in package.get("resolved", "")
    ]

    assert places == [], "set omit-lockfile-registry-resolved=true in server/frontend/.npmrc"


def lines_that_say_more(lock: str) -> list[str]:
    return [
        line for line in lock.splitlines() if not PIN.fullmatch(line) and not HASH.fullmatch(line)
    ]


def versions_pinned() -> dict[str, list[str]]:
    """Return the versions by name; there may be one per Python version or platform."""
    pinned: dict[str, list[str]] = {}
    for line in LOCK.read_text().splitlines():
        if "==" in line and not line.startswith(" "):
            wanted = Requirement(line.removesuffix("\\").strip())
            pinned.setdefault(name(wanted), []).append(next(iter(wanted.specifier)).version)
    return pinned


def wanted_packages() -> Iterator[tuple[str, Requirement]]:
    for project in PROJECTS:
        settings = tomllib.loads((ROOT / project / "pyproject.toml").read_text())
        for text in texts_of(settings):
            wanted = Requirement(text)
            if name(wanted) not in OUR_OWN:
                yield project, wanted


def texts_of(settings: dict[str, Any]) -> Iterator[str]:
    """Build requirements count too: the packages are built without a second download."""
    yield from settings["project"]["dependencies"]
    yield from settings.get("build-system", {}).get("requires", [])
    yield from settings.get("dependency-groups", {}).get("dev", [])


def name(wanted: Requirement) -> str:
    return canonicalize_name(wanted.name)
