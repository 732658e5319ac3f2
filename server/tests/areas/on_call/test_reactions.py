"""From an alert to three mailboxes, over real SMTP and with a clock that is moved by hand."""

import re
from datetime import datetime

import pytest
import sqlalchemy as sa
from mainstay_server.areas.on_call.models import Escalation, EscalationNotice, EscalationState
from mainstay_server.areas.on_call.service import escalating, policies, schedules
from mainstay_server.areas.on_call.service.people import Hand
from mainstay_server.contracts.alerts import (
    AlertAcknowledged,
    AlertOpened,
    AlertSeen,
    channels_of_organization,
    find_alert,
)
from mainstay_server.contracts.on_call import tell_channel, why_alert_is_held
from mainstay_server.contracts.remediation import start_remediation
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.ports import forget_answers, install_answers
from mainstay_server.tenancy.models import Membership, Role
from tests.databases import on_both_stores
from tests.world import a_project

from .worlds import HOUR, MINUTE, OPS, Night, a_layer, a_policy, a_schedule, tells, tells_schedule


def three_steps(night: Night, **values: object) -> str:
    """Whoever is on call (Anna), then Ben, then Cara, five minutes apart."""
    organization_id = night.instance.organization_id
    with transaction() as session:
        primary = a_schedule(session, organization_id, a_layer(night.anna.id))
        steps = (tells_schedule(primary), tells(night.ben), tells(night.cara))
        return a_policy(session, organization_id, *steps, **values).id


def acknowledged(night: Night) -> bool:
    with transaction() as session:
        found = session.merge(night.escalation())
        hand = Hand(person_id=night.ben.id, name="Ben", how="on its page")
        return escalating.acknowledge(session, found, hand, now=night.now)


@on_both_stores
def test_each_step_waits_for_an_acknowledgement_and_tells_one_person_once(night: Night) -> None:
    three_steps(night)
    night.opens()
    assert night.counts() == (1, 0, 0)
    night.later(4 * MINUTE)
    assert night.counts() == (1, 0, 0)
    night.later(MINUTE)
    assert night.counts() == (1, 1, 0)
    night.later(5 * MINUTE)
    assert night.counts() == (1, 1, 1)
    night.later(HOUR)
    assert night.counts() == (1, 1, 1)
    assert night.escalation().state == EscalationState.UNANSWERED
    assert night.log() == [
        "Step 1: told Anna, who is on call in Primary.",
        "Step 2: told Ben.",
        "Step 3: told Cara.",
        "All steps are over, and nobody has acknowledged it.",
    ]


def test_a_mail_says_what_it_is_about_and_links_to_a_page_of_its_own(night: Night) -> None:
    three_steps(night)
    night.opens()
    (mail,) = night.mails(night.anna)
    assert mail.subject == "[Critical] inspections production is down"
    assert "It answered 500." in mail.text
    (link,) = re.findall(r"Acknowledge \((\S+)\)", mail.text)
    assert link in mail.html
    assert f"/dashboard/organization/on-call/escalations/{night.escalation().id}" in mail.text


def test_an_acknowledgement_stops_it_for_good(night: Night) -> None:
    three_steps(night, repeat=3)
    night.opens()
    assert acknowledged(night)
    night.later(3 * HOUR)
    assert night.counts() == (1, 0, 0)
    assert not acknowledged(night)
    assert night.log()[-1] == "Ben has acknowledged it on its page."


def test_an_acknowledgement_on_the_alert_itself_stops_it(night: Night) -> None:
    three_steps(night)
    night.opens()
    night.happens(AlertAcknowledged(**night.alert(), by=night.cara.id, name="Cara"))
    night.later(HOUR)
    assert night.counts() == (1, 0, 0)
    assert night.escalation().acknowledged_by == "Cara"


@on_both_stores
def test_an_acknowledgement_that_runs_out_goes_on_with_the_next_step(night: Night) -> None:
    three_steps(night, acknowledge_timeout_minutes=30)
    night.opens()
    night.later(2 * MINUTE)
    assert acknowledged(night)
    night.later(29 * MINUTE)
    assert night.counts() == (1, 0, 0)
    night.later(MINUTE)
    assert night.counts() == (1, 1, 0)
    assert "The acknowledgement by Ben has run out; it goes on." in night.log()
    assert acknowledged(night)


def test_all_steps_come_again_as_often_as_said(night: Night) -> None:
    three_steps(night, repeat=1)
    night.opens()
    night.later(HOUR)
    assert night.counts() == (2, 2, 2)
    assert "Step 1, round 2: told Anna, who is on call in Primary." in night.log()


@on_both_stores
def test_the_end_is_told_to_those_who_were_told_and_to_nobody_else(night: Night) -> None:
    three_steps(night)
    night.opens()
    night.later(5 * MINUTE)
    night.resolves()
    assert night.counts() == (2, 2, 0)
    last = night.mails(night.anna)[-1]
    assert last.subject == "[Over] inspections production is down"
    assert "Acknowledge" not in last.text
    night.resolves()
    night.later(HOUR)
    assert night.counts() == (2, 2, 0)


@pytest.mark.parametrize("values", [{"quiet": True}, {"superseded_by": "another"}])
def test_a_quiet_end_and_one_that_another_alert_took_the_place_of_tell_nobody(
    night: Night, values: dict[str, object]
) -> None:
    three_steps(night)
    night.opens()
    night.resolves(**values)
    night.later(HOUR)
    assert night.counts() == (1, 0, 0)
    assert night.escalation().state == EscalationState.ENDED


def test_an_end_that_is_heard_before_the_opening_wakes_nobody(night: Night) -> None:
    three_steps(night)
    night.resolves()
    night.opens()
    night.later(HOUR)
    assert night.counts() == (0, 0, 0)


def test_changing_or_removing_the_policy_meanwhile_changes_nothing(night: Night) -> None:
    policy_id = three_steps(night)
    night.opens()
    organization_id = night.instance.organization_id
    with transaction() as session:
        policy = policies.get_policy(session, organization_id, policy_id)
        policies.change_policy(session, policy, {"steps": [tells(night.anna)]}, now=night.now)
    night.later(5 * MINUTE)
    with transaction() as session:
        policy = policies.get_policy(session, organization_id, policy_id)
        policies.remove_policy(session, policy, now=night.now)
    night.later(5 * MINUTE)
    assert night.counts() == (1, 1, 1)


def test_who_is_on_call_is_asked_when_the_step_comes(night: Night) -> None:
    with transaction() as session:
        organization_id = night.instance.organization_id
        primary = a_schedule(session, organization_id, a_layer(night.anna.id))
        steps = [tells_schedule(primary), tells_schedule(primary)]
        a_policy(session, organization_id, *steps)
    night.opens()
    with transaction() as session:
        primary = schedules.get_schedule(session, organization_id, primary.id)
        span = (night.now, night.now + HOUR)
        schedules.make_override(session, primary, night.cara.id, span, now=night.now)
    night.later(5 * MINUTE)
    assert night.counts() == (1, 0, 1)


def test_steps_that_reach_nobody_are_skipped_at_once_with_a_written_word(night: Night) -> None:
    with transaction() as session:
        organization_id = night.instance.organization_id
        empty = a_schedule(session, organization_id, name="Nights")
        steps = [
            {"kind": "action", "wait_minutes": 10},
            {"kind": "channel", "channel_id": "ops", "wait_minutes": 10},
            tells_schedule(empty),
            tells(night.cara),
        ]
        # As it was made when something here could tell a channel.
        install_answers((channels_of_organization.answered_by(lambda *_: [OPS]),))
        a_policy(session, organization_id, *steps)
        forget_answers()
    night.opens()
    assert night.counts() == (0, 0, 1)
    assert night.log() == [
        "Step 1: skipped, for nothing here can start an automatic action.",
        "Step 2: skipped, for nothing here can tell a channel.",
        "Step 3: skipped, for nobody is on call in Nights.",
        "Step 4: told Cara.",
    ]


def test_an_action_that_is_started_is_waited_for_and_one_that_fits_not_is_skipped(
    night: Night,
) -> None:
    asked = []

    def start(session: object, alert_id: str, *, action: str, now: object) -> bool:
        asked.append((alert_id, action))
        return action == "restart"

    def tell(session: object, alert_id: str, channel_id: str, *, now: object) -> bool:
        asked.append((alert_id, channel_id))
        return True

    install_answers(
        (
            start_remediation.answered_by(start),
            tell_channel.answered_by(tell),
            channels_of_organization.answered_by(lambda *_: [OPS]),
        )
    )
    with transaction() as session:
        steps = [
            {"kind": "action", "action": "roll back", "wait_minutes": 9},
            {"kind": "action", "action": "restart", "wait_minutes": 2},
            {"kind": "channel", "channel_id": "ops", "wait_minutes": 3},
            tells(night.anna),
        ]
        a_policy(session, night.instance.organization_id, *steps)
    night.opens()
    assert asked == [(night.alert_id, "roll back"), (night.alert_id, "restart")]
    night.later(2 * MINUTE)
    assert asked[2:] == [(night.alert_id, "ops")]
    night.later(2 * MINUTE)
    assert night.counts() == (0, 0, 0)
    night.later(MINUTE)
    assert night.counts() == (1, 0, 0)


def test_what_is_below_the_least_severity_wakes_nobody(night: Night) -> None:
    three_steps(night, minimum_severity="critical")
    facts = night.alert(severity="warning")
    night.happens(AlertOpened(**facts, message="", opened_at=night.now))
    night.later(HOUR)
    assert night.counts() == (0, 0, 0)


def test_a_mail_that_is_refused_for_good_is_written_in_the_log(night: Night) -> None:
    three_steps(night)
    night.smtp.refuse_recipient(night.anna.email, "550 5.1.1 no such mailbox")
    night.opens()
    assert "The mail to Anna could not be sent" in night.log()[-1]
    night.later(5 * MINUTE)
    assert night.counts() == (0, 1, 0)


def test_a_mail_that_is_refused_for_now_arrives_once_under_one_id(night: Night) -> None:
    three_steps(night)
    night.smtp.refuse("451 4.3.0 not now", "451 4.3.0 not now")
    night.opens()
    assert night.counts() == (0, 0, 0)
    night.later(4 * MINUTE)
    assert night.counts() == (1, 0, 0)


def test_late_steps_are_not_made_up_for_all_at_once(night: Night) -> None:
    three_steps(night)
    night.opens()
    night.now += 6 * HOUR  # the process was away
    with transaction() as session:
        escalating.advance_due(session, now=night.now)
    night.deliver()
    assert night.counts() == (1, 1, 0)
    assert night.escalation().due_at == night.now + 5 * MINUTE


def test_what_is_held_back_wakes_nobody_until_nothing_holds_it_any_more(night: Night) -> None:
    held = ["silenced by Ben: we know"]

    def why(session: object, alert_id: str, *, now: object) -> str:
        assert alert_id == night.alert_id
        return held[0]

    install_answers((why_alert_is_held.answered_by(why),))
    three_steps(night)
    night.opens()
    night.later(20 * MINUTE)
    assert night.counts() == (0, 0, 0)
    assert night.log() == ["Nobody is told: silenced by Ben: we know."]
    held[0] = ""
    night.later(MINUTE)
    assert night.counts() == (1, 0, 0)
    night.later(5 * MINUTE)
    assert night.counts() == (1, 1, 0)


@on_both_stores
def test_a_storm_is_a_few_mails_and_then_one_that_lists_the_rest(night: Night) -> None:
    three_steps(night)
    for number in range(40):
        night.alert_id = new_id()
        facts = night.alert(title=f"part {number} is down")
        night.happens(AlertOpened(**facts, message="", opened_at=night.now))
    assert night.counts() == (5, 0, 0)
    night.later(MINUTE)
    assert night.counts() == (6, 0, 0)
    digest = night.mails(night.anna)[-1]
    assert digest.subject == "[Critical] part 5 is down and 34 more"
    told = re.findall(
        r"\[Critical\] part (\d+) is down \(http\S+/on-call/acknowledge/", digest.text
    )
    assert [int(number) for number in told] == list(range(6, 40))
    night.later(3 * MINUTE)
    assert night.counts() == (6, 0, 0)


def test_a_storm_whose_mail_is_refused_is_written_off_as_a_whole(night: Night) -> None:
    three_steps(night)
    for _ in range(8):
        night.alert_id = new_id()
        night.opens()
    night.smtp.refuse_recipient(night.anna.email, "550 5.1.1 no such mailbox")
    night.later(MINUTE)
    with reading() as session:
        states = session.scalars(sa.select(EscalationNotice.state)).all()
    assert sorted(states) == ["delivered"] * 5 + ["failed"] * 3


def test_what_is_over_before_a_step_comes_wakes_nobody(night: Night) -> None:
    ended: list[datetime] = []

    def find(session: object, alert_id: str) -> AlertSeen:
        return AlertSeen(
            id=alert_id,
            project_id=night.instance.project_id,
            instance_id=night.instance.id,
            type="instance_down",
            severity="critical",
            title="inspections production is down",
            labels={},
            opened_at=night.now,
            acknowledged_at=None,
            ended_at=ended[0] if ended else None,
        )

    install_answers((find_alert.answered_by(find),))
    three_steps(night)
    night.opens()
    ended.append(night.now)  # while its end is still on its way here
    night.later(HOUR)
    assert night.counts() == (1, 0, 0)
    night.resolves()
    assert night.counts() == (2, 0, 0)


@on_both_stores
def test_what_is_over_while_its_mail_is_gathered_is_not_told(night: Night) -> None:
    three_steps(night)
    for number in range(8):
        night.alert_id = new_id()
        facts = night.alert(title=f"part {number} is down")
        night.happens(AlertOpened(**facts, message="", opened_at=night.now))
    night.resolves()
    night.later(MINUTE)
    assert night.counts() == (6, 0, 0)
    digest = night.mails(night.anna)[-1]
    assert digest.subject == "[Critical] part 5 is down and 1 more"
    assert "part 7" not in digest.text


def test_a_project_that_is_removed_takes_no_word_of_others_along(night: Night) -> None:
    three_steps(night)
    for number in range(8):
        night.alert_id = new_id()
        facts = night.alert(title=f"part {number} is down")
        night.happens(AlertOpened(**facts, message="", opened_at=night.now))
    night.smtp.refuse("451 4.3.0 not now")
    night.later(MINUTE)
    with transaction() as session:
        first = sa.select(Escalation).where(Escalation.title == "part 5 is down")
        session.delete(session.scalars(first).one())
    night.later(2 * MINUTE)
    assert night.counts() == (6, 0, 0)
    assert night.mails(night.anna)[-1].subject == "[Critical] part 6 is down and 1 more"


def test_what_was_gathered_before_the_clock_was_set_back_is_told_all_the_same(night: Night) -> None:
    three_steps(night)
    for _ in range(8):
        night.alert_id = new_id()
        night.opens()
    assert night.counts() == (5, 0, 0)
    night.now -= HOUR
    night.later(MINUTE)
    assert night.counts() == (6, 0, 0)


def test_what_is_over_while_the_mail_that_lists_it_waits_is_told_as_over(night: Night) -> None:
    three_steps(night)
    for number in range(8):
        night.alert_id = new_id()
        facts = night.alert(title=f"part {number} is down")
        night.happens(AlertOpened(**facts, message="", opened_at=night.now))
    night.smtp.refuse("451 4.3.0 not now")
    night.later(MINUTE)
    night.resolves()
    night.later(MINUTE)
    digest = next(one for one in night.mails(night.anna) if "and 2 more" in one.subject)
    assert "part 5 is down and 2 more" in digest.text.splitlines()
    assert re.findall(r"\[(\w+)\] part (\d)", digest.text) == [("Critical", "6"), ("Over", "7")]
    assert digest.text.count("/on-call/acknowledge/") == 3, "one of each, and one of both"


def test_what_is_gathered_of_two_organizations_is_a_mail_of_each(night: Night) -> None:
    three_steps(night)
    with transaction() as session:
        other = a_project(session, now=night.now, organization="Rival", slug="rival", number=2)
        session.add(
            Membership(
                id=new_id(),
                organization_id=other.organization_id,
                person_id=night.anna.id,
                role=Role.MEMBER,
                created_at=night.now,
            )
        )
        session.flush()
        a_policy(session, other.organization_id, tells(night.anna))
    for number in range(9):
        night.alert_id = new_id()
        ids = (other if number % 2 else night.instance).ids
        facts = night.alert(title=f"part {number} is down", **ids)
        night.happens(AlertOpened(**facts, message="", opened_at=night.now))
    assert night.counts() == (5, 0, 0)
    night.later(MINUTE)
    subjects = [mail.subject for mail in night.mails(night.anna)[5:]]
    assert sorted(subjects) == [
        "[Critical] part 5 is down and 1 more",
        "[Critical] part 6 is down and 1 more",
    ]
