"""Built scripts and styles: hashed names from Vite's manifest, and the app that serves them."""

import json
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

ASSETS = Path(__file__).parent / "assets"
PREFIX = "/assets/"


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


def assets_app() -> StaticFiles:
    """The ASGI app for `/assets/`: the build folder, to be kept by browsers for a year."""
    _manifest()
    return _Immutable(directory=ASSETS)


class _Immutable(StaticFiles):
    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


@cache
def _manifest() -> dict[str, dict[str, str]]:
    path = ASSETS / "manifest.json"
    if not path.is_file():
        raise AssetsMissingError("The web assets are not built: run `make setup`.")
    manifest: dict[str, dict[str, str]] = json.loads(path.read_bytes())
    return manifest
