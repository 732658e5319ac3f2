from pathlib import Path

import pytest
from mainstay_server.ui import asset, assets_app, static
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient


@pytest.fixture(autouse=True)
def forget_manifest() -> None:
    static._manifest.cache_clear()


def test_built_files_have_hashed_names_and_are_kept_for_ever() -> None:
    client = TestClient(Starlette(routes=[Mount("/assets", assets_app())]))

    answer = client.get(asset("src/main.ts"))

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


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
