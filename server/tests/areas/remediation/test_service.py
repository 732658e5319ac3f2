"""What may be allowed, what a probe may run, and what it never does."""

import os
import sys
import time
from pathlib import Path

import pytest
from mainstay_server.areas.remediation.models import RunState
from mainstay_server.areas.remediation.schemas import ActionBody, CommandReport
from mainstay_server.areas.remediation.service import actions, commands, runs, starting
from mainstay_server.areas.remediation.service.commander import commands_in, run_command
from mainstay_server.areas.remediation.service.runs import Ill
from mainstay_server.contracts.health_checks import ProbeSeen, probes_of
from mainstay_server.contracts.remediation import (
    RemediationActionChanged,
    RemediationActionCreated,
    RemediationActionRemoved,
    RemediationFailed,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.ports import forget_answers, install_answers
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import ProjectRef, find_project
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import a_project

from .worlds import DAY, MINUTE, NOON, SECOND

PROBE = "probe-1"


def project_of(session: Session, instance: InstanceRef) -> ProjectRef:
    found = find_project(session, instance.project_slug)
    assert found is not None
    return found


def a_webhook(**wanted: object) -> ActionBody:
    values = {
        "name": "restart",
        "kind": "webhook",
        "url": "https://deployer.example.com/restart/secret",
        "matchers": 'alertname="instance_down"',
    } | wanted
    return ActionBody(**values)


def a_command(**wanted: object) -> ActionBody:
    return a_webhook(kind="command", url="", probe_id=PROBE, command="restart-shop", **wanted)


def an_ill(instance: InstanceRef) -> Ill:
    return Ill(
        alert_id=new_id(),
        title="shop is down",
        project_id=instance.project_id,
        instance_id=instance.id,
    )


@on_both_stores
def test_an_action_is_allowed_changed_and_removed_and_each_is_said(
    session: Session, said: Said
) -> None:
    project = project_of(session, a_project(session, now=NOON))
    made = actions.allow_action(session, project, a_webhook(), now=NOON)
    assert made.matchers == '{alertname="instance_down"}'
    assert made.secret.startswith("whsec_")
    with pytest.raises(Conflict, match="already"):
        actions.allow_action(session, project, a_webhook(), now=NOON)
    actions.change_action(session, made, a_webhook(enabled=False), now=NOON)
    actions.change_action(session, made, a_webhook(enabled=False), now=NOON)
    with pytest.raises(Invalid, match="kind"):
        actions.change_action(session, made, a_command(), now=NOON)
    actions.remove_action(session, made, now=NOON)
    with pytest.raises(NotFound):
        actions.get_action(session, project.id, made.id)
    events = said()
    assert [type(event) for event in events] == [
        RemediationActionCreated,
        RemediationActionChanged,
        RemediationActionRemoved,
    ]
    assert "secret" not in str(events)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (a_webhook(matchers=""), "which alerts"),
        (a_webhook(matchers='x=~"("'), ""),
        (a_webhook(url="ftp://x"), "http"),
        (a_webhook(url="https://user:pw@x.example"), "password"),
        (a_command(), "probeId"),
    ],
)
def test_what_cannot_be_allowed_is_refused_with_the_reason(
    session: Session, wanted: ActionBody, why: str
) -> None:
    project = project_of(session, a_project(session, now=NOON))
    with pytest.raises(Invalid) as refused:
        actions.allow_action(session, project, wanted, now=NOON)
    assert why in refused.value.detail + str(refused.value.errors)


def test_only_fifty_actions_are_allowed(session: Session) -> None:
    project = project_of(session, a_project(session, now=NOON))
    for number in range(50):
        actions.allow_action(session, project, a_webhook(name=f"a-{number}"), now=NOON)
    with pytest.raises(Conflict, match="at most 50"):
        actions.allow_action(session, project, a_webhook(), now=NOON)


class Commanded:
    """A project with one command on one probe, and a run of it that waits."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.instance = a_project(session, now=NOON)
        organization_id = self.instance.organization_id
        self.probe = ProbeSeen(
            id=PROBE, organization_id=organization_id, name="fra-1", location="Frankfurt"
        )
        install_answers((probes_of.answered_by(lambda session, organization_id: [self.probe]),))
        project = project_of(session, self.instance)
        self.action = actions.allow_action(session, project, a_command(most_tries=2), now=NOON)
        forget_answers()
        run = runs.begin(session, self.action, an_ill(self.instance), now=NOON)
        assert run is not None
        self.run = run


@on_both_stores
def test_a_probe_fetches_a_name_once_and_its_report_decides(session: Session) -> None:
    world = Commanded(session)
    assert commands.has_news(session, world.probe, ["restart-shop"], now=NOON)
    (order,) = commands.fetch(session, world.probe, ["restart-shop"], now=NOON)
    assert (order.command, order.number) == ("restart-shop", 1)
    assert commands.fetch(session, world.probe, ["restart-shop"], now=NOON) == []
    assert not commands.has_news(session, world.probe, ["restart-shop"], now=NOON)
    report = CommandReport(number=1, exit_code=0, output="done")
    other = ProbeSeen(id="probe-2", organization_id="x", name="x", location="x")
    assert not commands.take_report(session, other, world.run.id, report, now=NOON)
    assert commands.take_report(session, world.probe, world.run.id, report, now=NOON)
    assert not commands.take_report(session, world.probe, world.run.id, report, now=NOON)
    assert str(world.run.state) == "verifying"
    assert runs.record_over(session, world.run.alert_id, now=NOON + SECOND) == 1
    assert world.run.state == RunState.HEALED


def test_no_other_probe_gets_a_command(session: Session) -> None:
    world = Commanded(session)
    other = ProbeSeen(
        id="probe-2", organization_id=world.probe.organization_id, name="x", location="x"
    )
    assert commands.fetch(session, other, ["restart-shop"], now=NOON) == []
    rival = a_project(session, now=NOON, organization="Other", slug="other", number=2)
    theirs = ProbeSeen(id=PROBE, organization_id=rival.organization_id, name="x", location="x")
    assert commands.fetch(session, theirs, ["restart-shop"], now=NOON) == []
    assert world.run.state == RunState.WAITING


def test_what_the_probes_own_file_does_not_name_has_failed(session: Session) -> None:
    world = Commanded(session)
    assert commands.fetch(session, world.probe, ["other"], now=NOON) == []
    assert world.run.state == RunState.PAUSING
    (first,) = runs.tries_of(session, [world.run.id])[world.run.id]
    assert first.said == commands.NOT_ALLOWED


def test_a_command_that_nobody_fetches_or_reports_is_given_up_and_said(
    session: Session, said: Said
) -> None:
    world = Commanded(session)
    said()
    now = NOON
    for _ in range(60):
        now += 5 * SECOND
        runs.tend(session, now=now)
        if world.run.tries == 2 and world.run.state == RunState.WAITING:
            commands.fetch(session, world.probe, ["restart-shop"], now=now)
    assert world.run.state == RunState.FAILED
    tries = runs.tries_of(session, [world.run.id])[world.run.id]
    assert [each.said for each in tries] == [
        "The probe did not fetch the command.",
        "Nobody reported how it went.",
    ]
    (failed,) = said()
    assert isinstance(failed, RemediationFailed)
    assert failed.tries == 2


def test_a_late_report_changes_nothing(session: Session) -> None:
    world = Commanded(session)
    commands.fetch(session, world.probe, ["restart-shop"], now=NOON)
    runs.tend(session, now=NOON + 5 * MINUTE)
    report = CommandReport(number=1, exit_code=0)
    assert not commands.take_report(session, world.probe, world.run.id, report, now=NOON + DAY)


def test_one_that_was_switched_off_meanwhile_is_tried_no_more(session: Session) -> None:
    world = Commanded(session)
    world.action.enabled = False
    assert commands.fetch(session, world.probe, ["restart-shop"], now=NOON) == []
    runs.tend(session, now=NOON + 5 * MINUTE)
    assert world.run.state == RunState.FAILED
    assert "switched off" in world.run.reason


def test_nothing_is_started_where_nobody_knows_alerts(session: Session) -> None:
    instance = a_project(session, now=NOON)
    action = actions.allow_action(session, project_of(session, instance), a_webhook(), now=NOON)
    assert not starting.start(session, new_id(), action="", now=NOON)
    with pytest.raises(NotFound):
        starting.start_by_hand(session, action, new_id(), now=NOON)


def test_ended_runs_are_forgotten_in_time(session: Session) -> None:
    instance = a_project(session, now=NOON)
    wanted = a_webhook(dry_run=True)
    action = actions.allow_action(session, project_of(session, instance), wanted, now=NOON)
    runs.begin(session, action, an_ill(instance), now=NOON)
    assert runs.forget_ended(session, before=NOON) == 0
    assert runs.forget_ended(session, before=NOON + SECOND) == 1


def test_a_file_of_commands_is_read_and_others_may_not_write_it(tmp_path: Path) -> None:
    file = tmp_path / "commands.toml"
    file.write_text('[commands]\nrestart-shop = ["/bin/true", "a b; rm"]\n')
    file.chmod(0o600)
    assert commands_in(file) == {"restart-shop": ("/bin/true", "a b; rm")}
    file.chmod(0o666)
    with pytest.raises(ValueError, match="go-w"):
        commands_in(file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[commands]\n",
        "commands = 1",
        "[commands]\nx = 'rm -rf /'\n",
        "[commands]\nx = ['rm']\n",
        "[commands]\nx = []\n",
        "[commands]\n'a,b' = ['/bin/true']\n",
        "not toml",
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "commands.toml"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ValueError, match=r"commands\.toml"):
        commands_in(file)


def test_a_command_runs_without_a_shell_and_without_our_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAINSTAY_PROBE_TOKEN", "mst_probe_secret")
    say = "import os, sys; print(sys.argv[1:], sorted(os.environ)); sys.exit(3)"
    code, output = run_command((sys.executable, "-c", say, "$(id); `id`"), timeout_seconds=60)
    assert code == 3
    assert "$(id); `id`" in output
    assert "MAINSTAY" not in output


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    child = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    code, output = run_command((sys.executable, "-c", parent), timeout_seconds=5)
    assert code is None
    assert "longer than 5 s" in output
    if pid.exists():
        for _ in range(900):
            if not Path(f"/proc/{pid.read_text()}").exists():
                return
            time.sleep(0.1)
        pytest.fail("what it began is still there")


def test_a_command_that_is_not_there_or_says_too_much_is_no_trouble() -> None:
    assert run_command(("/no/such/program",), timeout_seconds=5)[0] is None
    say = "print('x' * 1_000_000 + 'the end')"
    code, output = run_command((sys.executable, "-c", say), timeout_seconds=60)
    assert code == 0
    assert output.endswith("the end")
    assert len(output) < 4000
    assert os.environ
