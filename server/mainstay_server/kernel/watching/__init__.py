"""Watching: how something is, since when, how that was, and what of it is worth telling.

Health checks and heartbeats decide what state follows from what they hear; everything after that
is here, once. Spells of states are the truth; uptime is arithmetic over them.
"""

from mainstay_server.kernel.subjects import Watched, Watches

from .changing import begin, change_state, forget, restate
from .correcting import Correction, correct, list_corrections
from .folding import find_watched, list_watched
from .models import RecordedSpell, SpellCorrection, SpellMonth, Watchable
from .months import Month, forget_spells, freeze_months, months_of, uptime_over
from .naming import ids_by_name, ids_named, names_by_id
from .settings import WatchingSettings
from .spells import Spell, is_silent, read_spells
from .states import KNOWN, SEVERITY, TROUBLE, UP, Standing, State, next_state
from .sums import sum_spells
from .telling import FLAPPING, Tidings, Told, due_to_tell, stop_telling, tell
from .uptime import Uptime, uptime_of, worst_in_slots
from .windows import Span, disjoint, install_windows, windows_of

__all__ = [
    "FLAPPING",
    "KNOWN",
    "SEVERITY",
    "TROUBLE",
    "UP",
    "Correction",
    "Month",
    "RecordedSpell",
    "Span",
    "Spell",
    "SpellCorrection",
    "SpellMonth",
    "Standing",
    "State",
    "Tidings",
    "Told",
    "Uptime",
    "Watchable",
    "Watched",
    "Watches",
    "WatchingSettings",
    "begin",
    "change_state",
    "correct",
    "disjoint",
    "due_to_tell",
    "find_watched",
    "forget",
    "forget_spells",
    "freeze_months",
    "ids_by_name",
    "ids_named",
    "install_windows",
    "is_silent",
    "list_corrections",
    "list_watched",
    "months_of",
    "names_by_id",
    "next_state",
    "read_spells",
    "restate",
    "stop_telling",
    "sum_spells",
    "tell",
    "uptime_of",
    "uptime_over",
    "windows_of",
    "worst_in_slots",
]
