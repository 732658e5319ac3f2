"""E-mail: what apps send to their people, and the reports that Mainstay sends to its own."""

from mainstay_server.contracts.email import mail_brand
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.mailing import SmtpSettings

from . import api, configured, ingest, jobs, pages, reactions, readiness
from .service import looks
from .settings import EmailSettings

area = Area(
    name="email",
    title="E-mail",
    api=api.router,
    pages=pages.router,
    doors=(ingest.door,),
    jobs=(jobs.send_reports, jobs.forget_old_emails),
    reactions=(reactions.send_email,),
    readiness=(readiness.mail_gets_through,),
    answers=(mail_brand.answered_by(looks.answer_brand),),
    settings=(EmailSettings, SmtpSettings),
    menu=(pages.menu,),
    organization_menu=(pages.reports_entry,),
    configured=(configured.TEMPLATES,),
)
