"""Jobs: work at set times, done once however many workers run, taken over from a killed one."""

from .declared import Job, job
from .models import JobState
from .runner import (
    JobRunner,
    LeaseLost,
    install_jobs,
    job_states,
    last_finished,
    run_due,
    run_task,
)

__all__ = [
    "Job",
    "JobRunner",
    "JobState",
    "LeaseLost",
    "install_jobs",
    "job",
    "job_states",
    "last_finished",
    "run_due",
    "run_task",
]
