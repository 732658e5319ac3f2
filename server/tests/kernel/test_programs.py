"""Children are told no more than they need, tell no secret, and none outlives us."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from mainstay_server.kernel.programs import ProgramFailed, lesser_user, running, told_by
from tests.waiting import eventually

SECRET = "a-secret-of-the-tests"
# As in the background of a script, where shells let them be ignored.
PARENT = """
import signal, sys, time
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
from mainstay_server.kernel.programs import running
with running(["sleep", "1000"], ends_by=int(sys.argv[1])) as program:
    print(program.pid, flush=True)
    time.sleep(1000)
"""


def shell(line: str) -> list[str]:
    return ["/bin/sh", "-c", line]


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_child_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_SECRET_KEY", SECRET)

    told = told_by(["/usr/bin/env"], environment={"GIVEN": "yes"})

    assert {line.partition("=")[0] for line in told.splitlines()} == {"PATH", "LC_ALL", "GIVEN"}


def test_a_failure_tells_the_last_lines_without_secrets() -> None:
    complaint = shell('for i in $(seq 9999); do echo "line $i" >&2; done; echo "no $P" >&2; exit 3')
    with pytest.raises(ProgramFailed, match=r"(?s)^sh ended with 3: .*line 9999\nno …$") as failure:
        told_by(complaint, environment={"P": SECRET}, secrets=[SECRET, ""])

    assert len(str(failure.value)) < 5000


def test_input_that_is_not_taken_ends_by_the_reason() -> None:
    with running(shell("echo enough >&2; exit 4"), takes_input=True) as program:
        with Path("/dev/zero").open("rb") as endless:
            program.feed(endless)
        with pytest.raises(ProgramFailed, match="sh ended with 4: enough"):
            program.finish()


def test_a_program_that_says_too_much_is_ended() -> None:
    with pytest.raises(ProgramFailed, match="more than can be taken"):
        told_by(shell("while true; do echo endless; done"))


def test_the_end_of_the_block_ends_the_child_and_its_own_children() -> None:
    with running(shell("sleep 1000 & sleep 1000"), gives_output=True) as program:
        leader = psutil.Process(program.pid)
        children = eventually(leader.children)
        assert not program.has_ended()

    assert is_gone(leader)
    assert eventually(lambda: all(is_gone(child) for child in children))


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGQUIT])
def test_a_killed_parent_takes_its_child_along(by: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(int(by))],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()

    assert eventually(lambda: is_gone(child))


def test_servers_run_as_somebody_lesser_than_root() -> None:
    if os.geteuid() != 0:
        assert lesser_user("nobody") is None
        return
    assert lesser_user("no-such-user", "nobody") == "nobody"
    with pytest.raises(ProgramFailed, match="no-such-user"):
        lesser_user("no-such-user")
    assert told_by(["/usr/bin/id", "-un"], user="nobody").strip() == "nobody"
