from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.ui import asset, assets_app, static
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient


@pytest.fixture(autouse=True)
def own_manifest() -> Iterator[None]:
    """Neither what another test read of the build is known here, nor what is read here after it."""
    static._manifest.cache_clear()
    yield
    static._manifest.cache_clear()


def test_built_files_have_hashed_names_and_are_kept_for_ever() -> None:
    client = TestClient(Starlette(routes=[Mount("/assets", assets_app())]))

    answer = client.get(asset("src/main.ts"))

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_every_file_that_the_build_names_is_served() -> None:
    client = TestClient(Starlette(routes=[Mount("/assets", assets_app())]))

    for name in static._manifest():
        assert client.get(asset(name)).status_code == 200, name


def test_the_files_of_this_build_are_served_while_another_replaces_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.json").write_text('{"src/main.ts": {"file": "main-1.js"}}')
    (tmp_path / "main-1.js").write_text("first()")
    monkeypatch.setattr(static, "ASSETS", tmp_path)
    client = TestClient(Starlette(routes=[Mount("/assets", assets_app())]))

    (tmp_path / "manifest.json").write_text('{"src/main.ts": {"file": "main-2.js"}}')
    (tmp_path / "main-1.js").unlink()

    assert client.get(asset("src/main.ts")).text == "first()"


def test_only_what_was_built_is_served() -> None:
    client = TestClient(Starlette(routes=[Mount("/assets", assets_app())]))

    for path in ("manifest.json", "../rendering.py", "%2e%2e/rendering.py", "", "."):
        assert client.get(f"/assets/{path}").status_code == 404, path
    assert client.post(asset("src/main.ts")).status_code == 405


def test_a_missing_file_is_not_kept() -> None:
    client = TestClient(Starlette(routes=[Mount("/assets", assets_app())]))

    answer = client.get("/assets/nothing.js")

    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("cache-control", "")


def test_without_a_build_the_error_names_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static, "ASSETS", tmp_path)

    with pytest.raises(static.AssetsMissingError, match="make setup"):
        asset("src/main.ts")


def test_an_unknown_asset_is_named() -> None:
    with pytest.raises(static.AssetsMissingError, match=r"src/nothing\.ts"):
        asset("src/nothing.ts")
