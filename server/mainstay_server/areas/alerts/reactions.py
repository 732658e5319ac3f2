"""What alerts do about what others say, and the sender that carries notifications out."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.abuse import AbuseDetected, BanLifted
from mainstay_server.contracts.alerts import AlertOpened, AlertResolved
from mainstay_server.contracts.api_keys import ApiKeyExpiring, ApiKeyLeaked, ApiKeyNeedsRotation
from mainstay_server.contracts.backups import (
    BackupFailed,
    BackupLate,
    BackupRecovered,
    BackupTooSmall,
)
from mainstay_server.contracts.errors import IssueOpened, IssueRegressed, IssueStatusChanged
from mainstay_server.contracts.health_checks import (
    ExpiryMoved,
    HealthCheckDegraded,
    HealthCheckFlapping,
    HealthCheckRecovered,
    HealthCheckSettled,
    HealthCheckStopped,
    HealthCheckWentDown,
    ProbeReturned,
    ProbeWentSilent,
)
from mainstay_server.contracts.heartbeats import (
    HeartbeatDegraded,
    HeartbeatFlapping,
    HeartbeatRecovered,
    HeartbeatStopped,
    HeartbeatWentDown,
)
from mainstay_server.contracts.objectives import ErrorBudgetBurning, ErrorBudgetCalm
from mainstay_server.contracts.quotas import QuotaThresholdReached
from mainstay_server.contracts.rate_limits import RateLimitExceeded
from mainstay_server.contracts.storage import StorageLimitEnded, StorageLimitReached
from mainstay_server.contracts.vulnerabilities import VulnerabilitiesFound
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import (
    Delivery,
    Heard,
    NotYet,
    Refused,
    RetryLater,
    on,
    on_audited,
    sends,
)
from mainstay_server.kernel.posting import ReceiverGone, ReceiverMissing

from .models import AlertType
from .providers import KINDS
from .schemas import AlertNotificationDue, Parcel
from .service import event_rules, notifications, parcels, rate_limit
from .service.triggers import (
    api_keys,
    backups,
    expiries,
    guard,
    health_checks,
    heartbeats,
    issues,
    objectives,
    probes,
    storage,
    vulnerabilities,
)


@on(HealthCheckWentDown)
def open_down(session: Session, event: HealthCheckWentDown, *, now: datetime) -> None:
    """An instance is down: critical, unless its rule says otherwise."""
    health_checks.record_trouble(session, event, AlertType.INSTANCE_DOWN, now=now)


@on(HealthCheckDegraded)
def open_degraded(session: Session, event: HealthCheckDegraded, *, now: datetime) -> None:
    """An instance is slow or not quite well: a warning, unless its rule says otherwise."""
    health_checks.record_trouble(session, event, AlertType.INSTANCE_DEGRADED, now=now)


@on(HealthCheckRecovered)
def resolve_health(session: Session, event: HealthCheckRecovered, *, now: datetime) -> None:
    """An instance is well again."""
    health_checks.record_recovery(session, event, now=now)


@on(HealthCheckStopped)
def resolve_unwatched(session: Session, event: HealthCheckStopped, *, now: datetime) -> None:
    """Nobody looks at an instance any more, so nobody would say that it is well again."""
    health_checks.record_stop(session, event, now=now)


@on(HealthCheckFlapping)
def open_flapping(session: Session, event: HealthCheckFlapping, *, now: datetime) -> None:
    """An instance goes back and forth: one alert stands for all of it."""
    health_checks.record_flapping(session, event, now=now)


@on(HealthCheckSettled)
def follow_settled(session: Session, event: HealthCheckSettled, *, now: datetime) -> None:
    """What flapped has stayed as it is for an hour: well, or in some trouble."""
    health_checks.record_settled(session, event, now=now)


@on(HeartbeatWentDown)
def open_missed(session: Session, event: HeartbeatWentDown, *, now: datetime) -> None:
    """A job did not report, or failed: critical, unless its rule says otherwise."""
    heartbeats.record_missed(session, event, now=now)


@on(HeartbeatDegraded)
def open_badly_reported(session: Session, event: HeartbeatDegraded, *, now: datetime) -> None:
    """A job reports, but not as it should: a warning."""
    heartbeats.record_missed(session, event, now=now)


@on(HeartbeatFlapping)
def open_flapping_job(session: Session, event: HeartbeatFlapping, *, now: datetime) -> None:
    """A job goes back and forth: one alert stands for all of it."""
    heartbeats.record_missed(session, event, now=now)


@on(HeartbeatRecovered)
def resolve_missed(session: Session, event: HeartbeatRecovered, *, now: datetime) -> None:
    """A job reports as it should again."""
    heartbeats.record_reported(session, event, now=now)


@on(HeartbeatStopped)
def resolve_unawaited(session: Session, event: HeartbeatStopped, *, now: datetime) -> None:
    """Nobody waits for a job any more, so nobody would say that it reports again."""
    heartbeats.record_unwatched(session, event, now=now)


@on(ExpiryMoved)
def follow_expiry(session: Session, event: ExpiryMoved, *, now: datetime) -> None:
    """A certificate or a domain ends soon, nearer with each threshold, or was renewed."""
    expiries.record_expiry(session, event, now=now)


@on(IssueOpened)
def open_new_issue(session: Session, event: IssueOpened, *, now: datetime) -> None:
    """A project has a kind of error that it never had before."""
    issues.record_issue(session, event, AlertType.NEW_ISSUE, now=now)


@on(IssueRegressed)
def open_regressed_issue(session: Session, event: IssueRegressed, *, now: datetime) -> None:
    """An error that was resolved happened again."""
    issues.record_issue(session, event, AlertType.ISSUE_REGRESSED, now=now)


@on(IssueStatusChanged)
def resolve_decided_issue(session: Session, event: IssueStatusChanged, *, now: datetime) -> None:
    """Somebody resolved or ignored an issue: they need not resolve its alert as well."""
    issues.record_decision(session, event, now=now)


@on(ApiKeyLeaked)
def open_leaked_key(session: Session, event: ApiKeyLeaked, *, now: datetime) -> None:
    """An API key was found in public: somebody has to give its user another one."""
    api_keys.record_leak(session, event, now=now)


@on(ApiKeyNeedsRotation)
def open_old_key(session: Session, event: ApiKeyNeedsRotation, *, now: datetime) -> None:
    """An API key is due for a successor."""
    api_keys.record_old_key(session, event, now=now)


@on(ApiKeyExpiring)
def open_expiring_key(session: Session, event: ApiKeyExpiring, *, now: datetime) -> None:
    """An API key soon ends without a successor."""
    api_keys.record_expiring_key(session, event, now=now)


@on(AbuseDetected)
def open_abuse(session: Session, event: AbuseDetected, *, now: datetime) -> None:
    """Somebody misbehaves towards an API: a warning, unless its rule says otherwise."""
    guard.record_abuse(session, event, now=now)


@on(BanLifted)
def resolve_abuse(session: Session, event: BanLifted, *, now: datetime) -> None:
    """Somebody was let in again: nobody needs to look any more."""
    guard.record_lifted_ban(session, event, now=now)


@on(QuotaThresholdReached)
def open_quota(session: Session, event: QuotaThresholdReached, *, now: datetime) -> None:
    """A plan is nearly used up: a warning, and critical when nothing is left."""
    guard.record_quota(session, event, now=now)


@on(ProbeWentSilent)
def open_silent_probe(session: Session, event: ProbeWentSilent, *, now: datetime) -> None:
    """A probe elsewhere is missed: a warning, unless its rule says otherwise."""
    probes.record_silence(session, event, now=now)


@on(ProbeReturned)
def resolve_silent_probe(session: Session, event: ProbeReturned, *, now: datetime) -> None:
    """A probe is heard of again, or gone for good."""
    probes.record_return(session, event, now=now)


@on(StorageLimitReached)
def open_full(session: Session, event: StorageLimitReached, *, now: datetime) -> None:
    """A bucket is nearly full: a warning, and critical when nothing more fits."""
    storage.record_full(session, event, now=now)


@on(StorageLimitEnded)
def resolve_full(session: Session, event: StorageLimitEnded, *, now: datetime) -> None:
    """A bucket has room again."""
    storage.record_room(session, event, now=now)


@on(RateLimitExceeded)
def open_limited(session: Session, event: RateLimitExceeded, *, now: datetime) -> None:
    """Limits refuse somebody again and again: a warning, unless its rule says otherwise."""
    guard.record_exceeded(session, event, now=now)


@on(VulnerabilitiesFound)
def open_vulnerabilities(session: Session, event: VulnerabilitiesFound, *, now: datetime) -> None:
    """A scan found something grave that is new: critical if one of it is, else as its rule says."""
    vulnerabilities.record_found(session, event, now=now)


@on(BackupFailed)
def open_failed_backup(session: Session, event: BackupFailed, *, now: datetime) -> None:
    """A backup failed, a drill did, or a copy is damaged: as its rule says; one missing: milder."""
    backups.record_failed(session, event, now=now)


@on(BackupLate)
def open_late_backup(session: Session, event: BackupLate, *, now: datetime) -> None:
    """A backup should be there by the schedule and is not."""
    backups.record_late(session, event, now=now)


@on(BackupTooSmall)
def open_small_backup(session: Session, event: BackupTooSmall, *, now: datetime) -> None:
    """A backup is much smaller than those before: a warning at most."""
    backups.record_too_small(session, event, now=now)


@on(BackupRecovered)
def resolve_backup(session: Session, event: BackupRecovered, *, now: datetime) -> None:
    """Nothing is wrong with a target's backups any more."""
    backups.record_recovered(session, event, now=now)


@on(ErrorBudgetBurning)
def open_burning(session: Session, event: ErrorBudgetBurning, *, now: datetime) -> None:
    """A budget of errors burns too fast: as its rule says; a warning if it can wait."""
    objectives.record_burning(session, event, now=now)


@on(ErrorBudgetCalm)
def resolve_burning(session: Session, event: ErrorBudgetCalm, *, now: datetime) -> None:
    """A budget of errors does not burn too fast any more."""
    objectives.record_calm(session, event, now=now)


@on_audited
def hear_audited(session: Session, heard: Sequence[Heard], *, now: datetime) -> None:
    """Fire for what people administer, where a rule of the project is about it."""
    event_rules.hear(session, heard, now=now)


@on(AlertOpened)
def tell_of_opening(session: Session, event: AlertOpened, *, now: datetime) -> None:
    """Write down which channels are told of an alert."""
    notifications.announce_opened(session, event.alert_id, now=now)


@on(AlertResolved)
def tell_of_end(session: Session, event: AlertResolved, *, now: datetime) -> None:
    """Write down which channels are told that an alert is over."""
    notifications.announce_resolved(
        session, event.alert_id, superseded_by=event.superseded_by, quiet=event.quiet, now=now
    )


MOST_TRIES_WITH_NOBODY_THERE = 10  # with the outbox's back-off a good quarter of an hour


def give_up(session: Session, event: AlertNotificationDue, *, reason: str, now: datetime) -> None:
    """A notification became a dead letter."""
    notifications.record_given_up(session, event.notification_id, reason=reason, now=now)


@sends(
    AlertNotificationDue,
    reads=parcels.find_parcels,
    delivered=notifications.record_delivered,
    given_up=give_up,
)
def send_notification(
    event: AlertNotificationDue, *, delivery: Delivery, read: Parcel | Refused | None
) -> str | None:
    """Carry one notification to its channel, at least once, always under `delivery.id`.

    Returns what the receiver calls the message, or None when nothing was left to send.
    """
    if read is None:
        return None
    try:
        if isinstance(read, Refused):
            raise read
        if read.limited:
            _wait_for_turn(event, now=delivery.at)
        return KINDS[read.kind].send(
            read.notice,
            config=read.config,
            secrets=read.secrets,
            delivery_id=delivery.id,
            now=utc_now(),
        )
    except (RetryLater, Refused) as error:
        failure = _judged(error, delivery)
        with transaction() as session:
            notifications.record_failure(
                session,
                event.notification_id,
                delivery=delivery,
                reason=str(failure),
                receiver_gone=isinstance(failure, ReceiverGone),
                now=utc_now(),
            )
        raise failure from None


def _wait_for_turn(event: AlertNotificationDue, *, now: datetime) -> None:
    """Go on when it is the notification's turn; otherwise come back then."""
    with transaction() as session:
        seconds = rate_limit.take_slot(session, event.notification_id, now=now)
    if seconds > 0:
        raise NotYet("The channel takes only so many messages a minute.", seconds=seconds)


def _judged(failure: RetryLater | Refused, delivery: Delivery) -> RetryLater | Refused:
    """The failure of a try; where nobody was there for too long, nobody will be."""
    if isinstance(failure, ReceiverMissing) and delivery.attempt >= MOST_TRIES_WITH_NOBODY_THERE:
        return ReceiverGone(str(failure))
    return failure
