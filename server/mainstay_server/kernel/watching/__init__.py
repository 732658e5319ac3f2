"""Watching: how something is, since when, how that was, and what of it is worth telling.

Health checks and heartbeats decide what state follows from what they hear; everything after that
is here, once. Spells of states are the truth; uptime is arithmetic over them.
"""

from mainstay_server.kernel.subjects import Watched, Watches

from .changing import begin, change_state, forget, restate
from .folding import find_watched, list_watched
from .models import RecordedSpell, SpellCorrection, SpellMonth, Watchable
from .spells import Spell, is_silent, read_spells
from .states import KNOWN, SEVERITY, TROUBLE, UP, Standing, State, next_state
from .telling import FLAPPING, Tidings, Told, due_to_tell, stop_telling, tell
from .uptime import Uptime, uptime_of, worst_in_slots
from .windows import Span, install_windows, windows_of

__all__ = [
    "FLAPPING",
    "KNOWN",
    "SEVERITY",
    "TROUBLE",
    "UP",
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
    "begin",
    "change_state",
    "due_to_tell",
    "find_watched",
    "forget",
    "install_windows",
    "is_silent",
    "list_watched",
    "next_state",
    "read_spells",
    "restate",
    "stop_telling",
    "tell",
    "uptime_of",
    "windows_of",
    "worst_in_slots",
]
