"""Limits on every source file that no linter holds."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[3]

SOURCE_FOLDERS = ("server", "sdk", "cli", "scripts", "benchmarks", "examples")
# Built, downloaded or written by a tool.
LEFT_OUT = {"node_modules", "__pycache__", "assets", "dist", ".venv"}
SOURCE_SUFFIXES = {".py", ".ts", ".css", ".html"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_no_file_is_longer_than_400_lines() -> None:
    assert long_files(ROOT) == []


def test_no_function_is_longer_than_50_lines() -> None:
    assert long_functions(ROOT) == []


def test_only_the_kernel_commits() -> None:
    assert commits_outside_the_kernel(ROOT) == []


def test_no_import_hides_in_a_function_of_the_server() -> None:
    assert hidden_imports(ROOT) == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert nameless_files(ROOT) == []


def test_ruff_still_forbids_imports_inside_functions_everywhere() -> None:
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    exempted = {rule for rules in ruff["per-file-ignores"].values() for rule in rules}

    assert ruff["select"] == ["ALL"]
    assert [
        rule for rule in {*ruff["ignore"], *exempted} if "PLC0415".startswith(rule.rstrip("0"))
    ] == []


def test_each_limit_is_noticed_when_it_is_broken(tmp_path: Path) -> None:
    server = tmp_path / "server/mainstay_server"
    for folder in ("kernel", "tenancy", "ui/assets"):
        (server / folder).mkdir(parents=True)
    (tmp_path / "server/tests").mkdir()
    body = "    x = 1\n" * MAX_FUNCTION_LINES
    (server / "tenancy/service.py").write_text(f"def long():\n{body}")
    (server / "tenancy/utils.py").write_text("def f(s):\n    import os\n    s.commit()\n")
    (server / "kernel/database.py").write_text("def f(s):\n    s.commit()\n")
    (server / "kernel/long.py").write_text("x = 1\n" * (MAX_FILE_LINES + 1))
    (server / "ui/assets/built.ts").write_text("\n" * (MAX_FILE_LINES + 1))
    (tmp_path / "server/tests/test_long.py").write_text(f"def test_long():\n{body * 9}")

    assert long_files(tmp_path) == ["server/mainstay_server/kernel/long.py: 401 lines"]
    assert long_functions(tmp_path) == ["server/mainstay_server/tenancy/service.py: long, 51 lines"]
    assert commits_outside_the_kernel(tmp_path) == ["server/mainstay_server/tenancy/utils.py:3"]
    assert hidden_imports(tmp_path) == ["server/mainstay_server/tenancy/utils.py:2"]
    assert nameless_files(tmp_path) == ["server/mainstay_server/tenancy/utils.py"]


def sources(root: Path, *, tests: bool = False) -> Iterator[Path]:
    for top in SOURCE_FOLDERS:
        for folder, folders, files in os.walk(root / top):
            folders[:] = sorted(set(folders) - LEFT_OUT - (set() if tests else {"tests"}))
            for name in sorted(files):
                if Path(name).suffix in SOURCE_SUFFIXES:
                    yield Path(folder) / name


def functions_of(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def python_of_the_server(root: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sources(root):
        inside = path.relative_to(root).parts[:2] == ("server", "mainstay_server")
        if inside and path.suffix == ".py":
            yield path, ast.parse(path.read_text())


def long_files(root: Path) -> list[str]:
    found = []
    for path in sources(root):
        lines = len(path.read_text().splitlines())
        if lines > MAX_FILE_LINES:
            found.append(f"{path.relative_to(root)}: {lines} lines")
    return found


def long_functions(root: Path) -> list[str]:
    """Migrations are left out: a table's columns are one list, however long."""
    found = []
    for path in sources(root):
        if path.suffix != ".py" or "migrations" in path.parts:
            continue
        for function in functions_of(path):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                found.append(f"{path.relative_to(root)}: {function.name}, {lines} lines")
    return found


def commits_outside_the_kernel(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{node.lineno}"
        for path, module in python_of_the_server(root)
        if "kernel" not in path.relative_to(root).parts
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "commit"
    ]


def hidden_imports(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{node.lineno}"
        for path, module in python_of_the_server(root)
        for function in ast.walk(module)
        if isinstance(function, Function)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def nameless_files(root: Path) -> list[str]:
    return [
        str(path.relative_to(root))
        for path in sources(root, tests=True)
        if path.stem in NAMES_THAT_SAY_NOTHING
    ]
