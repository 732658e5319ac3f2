"""Alerts: tell people when something breaks, once, and tell them when it is over."""

from mainstay_server.contracts.alerts import (
    acknowledge_alert,
    alert_channels,
    alerts_over,
    channels_of_organization,
    find_alert,
    recent_alerts,
)
from mainstay_server.contracts.on_call import alerts_told, tell_channel, why_alert_is_held
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.mailing import SmtpSettings

from . import api, ingest, jobs, pages, reactions, readiness
from .configured import channels, event_rules, measure_rules, routing, rules, runbooks
from .service import asked, by_hand
from .service.stepping import telling
from .settings import AlertSettings

area = Area(
    name="alerts",
    title="Alerts",
    api=api.router,
    pages=pages.router,
    plain_routes=ingest.plain_routes,
    doors=ingest.doors,
    jobs=(
        jobs.tell_gathered_alerts,
        jobs.tell_held_alerts,
        jobs.end_unsent_alerts,
        jobs.watch_error_rates,
        jobs.judge_measure_rules,
        jobs.settle_issue_alerts,
        jobs.settle_key_reminders,
        jobs.settle_limit_alerts,
        jobs.settle_app_alerts,
        jobs.forget_old_alerts,
    ),
    reactions=(
        reactions.open_down,
        reactions.open_degraded,
        reactions.resolve_health,
        reactions.resolve_unwatched,
        reactions.open_flapping,
        reactions.follow_expiry,
        reactions.follow_settled,
        reactions.open_missed,
        reactions.open_badly_reported,
        reactions.open_flapping_job,
        reactions.resolve_missed,
        reactions.resolve_unawaited,
        reactions.open_burning,
        reactions.resolve_burning,
        reactions.open_new_issue,
        reactions.open_regressed_issue,
        reactions.resolve_decided_issue,
        reactions.open_leaked_key,
        reactions.open_old_key,
        reactions.open_expiring_key,
        reactions.open_abuse,
        reactions.resolve_abuse,
        reactions.open_quota,
        reactions.open_full,
        reactions.resolve_full,
        reactions.open_silent_probe,
        reactions.resolve_silent_probe,
        reactions.open_limited,
        reactions.open_vulnerabilities,
        reactions.open_failed_backup,
        reactions.open_late_backup,
        reactions.open_small_backup,
        reactions.resolve_backup,
        reactions.hear_audited,
        reactions.tell_of_opening,
        reactions.tell_of_end,
        reactions.send_notification,
    ),
    readiness=(
        readiness.somebody_is_told,
        readiness.a_channel_delivers,
        readiness.no_channel_fails,
    ),
    answers=(
        alert_channels.answered_by(asked.alert_channels),
        acknowledge_alert.answered_by(by_hand.acknowledge_alert),
        find_alert.answered_by(asked.find_alert),
        recent_alerts.answered_by(asked.recent_alerts),
        alerts_over.answered_by(asked.alerts_over),
        alerts_told.answered_by(asked.alerts_told),
        why_alert_is_held.answered_by(asked.why_alert_is_held),
        channels_of_organization.answered_by(asked.channels_of_organization),
        tell_channel.answered_by(telling.tell_channel),
    ),
    settings=(AlertSettings, SmtpSettings),
    panels=(pages.panel,),
    tiles=pages.tiles,
    summary=pages.summary,
    menu=(pages.menu,),
    configured=(
        channels.CHANNELS,
        rules.RULES,
        measure_rules.MEASURE_RULES,
        event_rules.EVENT_RULES,
        runbooks.RUNBOOKS,
        routing.ROUTES,
        routing.INHIBITIONS,
    ),
)
