"""Events: what one part says in the transaction of a change, and others react to after it.

Said, the event is a row of the outbox: it exists exactly if the change does. Every reaction gets
it at least once, in order per subject, also when processes die in between.
"""

from .audited import (
    Audited,
    Changes,
    Heard,
    Target,
    Value,
    audited_actions,
    changes_between,
    facts_of,
    on_audited,
)
from .models import DeliveryStatus, OutboxDelivery, OutboxEvent
from .outbox import dead_letters, hasten, resend, said_events, say, say_all
from .pruning import prune_outbox
from .reactions import (
    Delivered,
    Delivery,
    Event,
    NotYet,
    Origin,
    Reaction,
    Refused,
    RetryLater,
    event_kinds,
    install_reactions,
    on,
    origin,
    sends,
    set_origin,
    spoken_by,
)
from .runner import OutboxRunner, run_waiting

__all__ = [
    "Audited",
    "Changes",
    "Delivered",
    "Delivery",
    "DeliveryStatus",
    "Event",
    "Heard",
    "NotYet",
    "Origin",
    "OutboxDelivery",
    "OutboxEvent",
    "OutboxRunner",
    "Reaction",
    "Refused",
    "RetryLater",
    "Target",
    "Value",
    "audited_actions",
    "changes_between",
    "dead_letters",
    "event_kinds",
    "facts_of",
    "hasten",
    "install_reactions",
    "on",
    "on_audited",
    "origin",
    "prune_outbox",
    "resend",
    "run_waiting",
    "said_events",
    "say",
    "say_all",
    "sends",
    "set_origin",
    "spoken_by",
]
