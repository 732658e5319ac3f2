"""The API of mail."""

from mainstay_server.kernel.web import Router

from . import emails, setup, suppressions, templates

router = Router()
for part in (emails, templates, suppressions, setup):
    router.include_router(part.router)
