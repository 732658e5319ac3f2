"""Remediation: put right by itself what is known to help, within limits, and give up out loud."""

from mainstay_server.contracts.remediation import start_remediation
from mainstay_server.kernel.area import Area

from . import api, configured, jobs, pages, reactions
from .service import starting
from .settings import RemediationSettings

area = Area(
    name="remediation",
    title="Remediation",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.go_on_with_runs, jobs.forget_old_runs),
    reactions=(
        reactions.begin_what_fits,
        reactions.end_what_is_healed,
        reactions.send_try,
    ),
    answers=(start_remediation.answered_by(starting.start),),
    settings=(RemediationSettings,),
    menu=(pages.menu,),
    configured=(configured.ACTIONS,),
)
