"""The API of status pages."""

from fastapi import APIRouter

from . import components, pages, reports

router = APIRouter()
router.include_router(pages.router)
router.include_router(components.router)
router.include_router(reports.router)
