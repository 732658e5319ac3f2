"""A night on call: a project, three members, a real mail server, and the outbox run by hand."""

from collections.abc import Iterator

import pytest
from mainstay_server.areas import on_call
from mainstay_server.kernel import outbound
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import install_reactions
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.ports import forget_answers
from mainstay_server.kernel.settings import override_settings
from tests.servers.http import http_receiver
from tests.servers.smtp import SmtpServer, smtp
from tests.world import a_project

from .worlds import NOON, Night, a_member

__all__ = ["http_receiver", "smtp"]


@pytest.fixture
def night(shared_memory: None, database: None, smtp: SmtpServer) -> Iterator[Night]:
    install_reactions(on_call.area.reactions)
    outbound.open_outbound(allow_private=True)
    override_settings(
        SmtpSettings(smtp_host=smtp.host, smtp_port=smtp.port, smtp_from="mainstay@ships.example")
    )
    with transaction() as session:
        instance = a_project(session, now=NOON)
        anna, ben, cara = (
            a_member(session, instance.organization_id, name) for name in ("Anna", "Ben", "Cara")
        )
    yield Night(instance, anna, ben, cara, smtp=smtp)
    outbound.close_outbound()
    install_reactions(())
    forget_answers()
