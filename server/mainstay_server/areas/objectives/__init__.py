"""Objectives: promises that are counted, their error budgets, and who hears when one burns."""

from mainstay_server.kernel.area import Area

from . import api, jobs

area = Area(
    name="objectives",
    title="Objectives",
    api=api.router,
    jobs=(jobs.judge_objectives, jobs.forget_hours),
)
