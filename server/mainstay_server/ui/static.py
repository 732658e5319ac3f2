"""Built scripts and styles: hashed names from Vite's manifest, and the app that serves them."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

ASSETS = Path(__file__).parent / "assets"
PREFIX = "/assets/"
KINDS = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
NOT_SERVED = ("manifest.json", "sources.sha256")
KEPT_FOR_A_YEAR = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}


class AssetsMissingError(RuntimeError):
    """The frontend was not built, or was built without the entry that a page asks for."""


def asset(name: str) -> str:
    """Give the path under which a built file is served: `src/main.ts` -> `/assets/main-Ab12.js`.

    The name carries a digest of the content, so browsers may keep it for ever.

    Raises AssetsMissingError, naming `make setup`, when there is no such built file.
    """
    entry = _manifest().get(name)
    if entry is None:
        raise AssetsMissingError(f"{name} is not among the built web assets: run `make setup`.")
    return PREFIX + entry["file"]


def assets_app() -> ASGIApp:
    """The ASGI app for `/assets/`: the build as it is now, to be kept by browsers for a year.

    It is held in memory (a third of a megabyte): another build, as an update makes, has other names
    and takes the old files away, while the pages of this process still ask for them.
    """
    _manifest()
    return _Built(
        {
            file.relative_to(ASSETS).as_posix(): (file.read_bytes(), KINDS[file.suffix])
            for file in ASSETS.rglob("*.*")
            if file.name not in NOT_SERVED
        }
    )


class _Built:
    def __init__(self, files: Mapping[str, tuple[bytes, str]]) -> None:
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        if name not in self._files:
            raise HTTPException(404)
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405)
        content, kind = self._files[name]
        await Response(content, media_type=kind, headers=KEPT_FOR_A_YEAR)(scope, receive, send)


@cache
def _manifest() -> dict[str, dict[str, str]]:
    path = ASSETS / "manifest.json"
    if not path.is_file():
        raise AssetsMissingError("The web assets are not built: run `make setup`.")
    manifest: dict[str, dict[str, str]] = json.loads(path.read_bytes())
    return manifest
