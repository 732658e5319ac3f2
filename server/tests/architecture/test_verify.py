"""What failed once and passes alone is forgiven by name; nothing else is (decision 0044)."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow

# Counts its turns beside itself, across processes.
TEST = """
from pathlib import Path
import pytest

@pytest.mark.slow
@pytest.mark.parametrize("each", range({tests}))
def test_it(each):
    turns = Path(__file__).with_name(f"turns{{each}}")
    turn = int(turns.read_text()) + 1 if turns.exists() else 1
    turns.write_text(str(turn))
    assert turn not in {failing}
"""
# Loading all plugins takes a dozen sessions of pytest much longer than their tests do.
QUICK = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p xdist"}
# How the slow set ended: the exit code, and what is said beside it.
Ended = tuple[int, str]
Verify = Callable[..., Ended]


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """Runs a slow set of one file, whose tests fail in the turns that are named."""
    found = importlib.util.spec_from_file_location("verify", ROOT / "scripts/verify.py")
    assert found is not None
    assert found.loader is not None
    module: ModuleType = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "verify", module)  # its data classes look themselves up
    found.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "WORKERS", "0")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow\n")

    def run(*, failing: tuple[int, ...], name: str = "test_one.py", tests: int = 1) -> Ended:
        (tmp_path / name).write_text(TEST.format(failing=failing, tests=tests))
        environment = {**os.environ, **QUICK, "TMPDIR": str(tmp_path)}
        result = module.run_phase(module.slow_phase((name,)), environment)
        return result.exit_code, result.remark

    return run


def test_what_passes_is_run_once(verify: Verify, tmp_path: Path) -> None:
    assert verify(failing=()) == (0, "")
    assert (tmp_path / "turns0").read_text() == "1"


def test_what_fails_once_has_to_pass_three_times_alone_and_is_named(
    verify: Verify, tmp_path: Path
) -> None:
    assert verify(failing=(1,)) == (0, "UNSTEADY, to be mended: test_one.py::test_it[0]")
    assert (tmp_path / "turns0").read_text() == "4"


def test_what_fails_again_in_any_turn_fails(verify: Verify) -> None:
    assert verify(failing=(1, 4)) == (1, "")


def test_what_may_have_lost_something_is_never_forgiven(verify: Verify) -> None:
    assert verify(failing=(1,), name="test_crash_one.py") == (1, "")


def test_when_many_fail_none_is_forgiven(verify: Verify, tmp_path: Path) -> None:
    assert verify(failing=(1,), tests=4) == (1, "")
    assert (tmp_path / "turns0").read_text() == "1"


def test_what_failed_in_an_earlier_run_is_not_run_again(verify: Verify, tmp_path: Path) -> None:
    assert verify(failing=(1, 2), name="test_one.py") == (1, "")
    for turns in tmp_path.glob("turns*"):
        turns.unlink()
    (tmp_path / "test_one.py").unlink()
    assert verify(failing=(1,), name="test_two.py") == (
        0,
        "UNSTEADY, to be mended: test_two.py::test_it[0]",
    )
