"""The scorecard asks whether mail gets to its readers."""

from mainstay_server.areas.email.readiness import mail_gets_through
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.readiness import Finding, NotApplicable, Outcome, Passed
from mainstay_server.kernel.settings import override_settings
from tests.areas.email.conftest import delivered, sent
from tests.servers.smtp import SmtpServer
from tests.world import World


def asked(world: World) -> Outcome:
    with reading() as session:
        return mail_gets_through.ask(session, world.instance, utc_now())


def test_a_project_that_sends_nothing_is_not_asked(world: World) -> None:
    assert isinstance(asked(world), NotApplicable)


def test_mail_that_gets_through_passes(world: World) -> None:
    sent(world)
    delivered()
    assert asked(world) == Passed(evidence="1 of 1 mails of 7 days were sent.")


def test_mail_that_waits_for_a_server_is_a_finding(world: World) -> None:
    override_settings(SmtpSettings())
    sent(world)
    found = asked(world)
    assert isinstance(found, Finding)
    assert "MAINSTAY_SMTP_HOST" in found.fix


def test_mail_that_is_refused_is_a_finding_with_its_reason(world: World, smtp: SmtpServer) -> None:
    smtp.refuse("554 5.6.0 no")
    sent(world)
    delivered()
    found = asked(world)
    assert isinstance(found, Finding)
    assert "554 5.6.0" in found.problem


def test_many_bounces_are_a_finding_and_a_few_of_few_are_not(
    world: World, smtp: SmtpServer
) -> None:
    smtp.refuse_recipient("gone@example.com", "550 5.1.1 unknown")
    sent(world, to=["gone@example.com", "ann@example.com"])
    delivered()
    assert isinstance(asked(world), Passed), "one of two says little"
    smtp.refuse_recipient("left@example.com", "550 5.1.1 unknown")
    sent(world, to=["left@example.com", *(f"p{number}@example.com" for number in range(18))])
    delivered()
    found = asked(world)
    assert isinstance(found, Finding)
    assert "9.5 %" in found.problem
