"""Objectives: promises that are counted, their error budgets, and who hears when one burns."""

from mainstay_server.contracts.objectives import is_burning
from mainstay_server.kernel.area import Area

from . import api, configured, jobs, pages
from .service import judging

area = Area(
    name="objectives",
    title="Objectives",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.judge_objectives, jobs.forget_hours),
    answers=(is_burning.answered_by(judging.is_burning),),
    menu=(pages.menu,),
    configured=(configured.OBJECTIVES,),
)
