"""Health checks: ask the app at set times, know its state to the second, say what changed."""

from mainstay_server.contracts.health_checks import probe_behind, probes_of, response_times
from mainstay_server.kernel.area import Area

from . import api, configured, jobs, pages, reactions, readiness
from .columns import HEALTH_RESULTS
from .service import measures, probes, timing, vitals, watches
from .settings import HealthCheckSettings

area = Area(
    name="health_checks",
    title="Health checks",
    api=api.router,
    pages=pages.router,
    jobs=(
        jobs.ask_everything,
        jobs.mark_unwatched,
        jobs.mark_silent_probes,
        jobs.tell_held_back,
        jobs.forget_the_past,
    ),
    loops=(jobs.watch, jobs.heartbeat),
    vitals=(vitals.scheduler,),
    reactions=(reactions.begin_with_the_instance, reactions.follow_the_instance),
    readiness=(
        readiness.app_is_watched,
        readiness.app_answers,
        readiness.asked_often_enough,
        readiness.production_uses_tls,
    ),
    settings=(HealthCheckSettings,),
    tables=(HEALTH_RESULTS,),
    answers=(
        response_times.answered_by(timing.response_times),
        probe_behind.answered_by(probes.seen_behind),
        probes_of.answered_by(probes.list_seen),
    ),
    panels=(pages.panel,),
    tiles=pages.tiles,
    summary=pages.summary,
    watches=watches.HEALTH_CHECKS,
    measures=(measures.RESULTS, measures.STATES),
    configured=(configured.HEALTH_CHECKS,),
    menu=(pages.menu,),
    organization_menu=(pages.entry,),
)
