"""How much alerts matter: the words for it, their order, and the colours in which they are told."""

from enum import StrEnum


class Severity(StrEnum):
    """How much an alert matters; `rank` puts them in order. Medium and warning are one rank."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    WARNING = "warning"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info, 1 low, 2 medium and warning, 3 high, 4 for critical."""
        place = tuple(Severity).index(self)
        return place - 1 if place > tuple(Severity).index(Severity.MEDIUM) else place

    @property
    def equals(self) -> tuple["Severity", ...]:
        """The words of the same rank, this one among them."""
        return tuple(each for each in Severity if each.rank == self.rank)


RESOLVED = "resolved"
# Readable on white, where most mails and chats show them.
COLOURS: dict[str, str] = {
    Severity.CRITICAL: "#c81e3a",
    Severity.HIGH: "#c81e3a",
    Severity.WARNING: "#b25e00",
    Severity.MEDIUM: "#b25e00",
    Severity.LOW: "#2360c4",
    Severity.INFO: "#2360c4",
    RESOLVED: "#16794c",
}
# The badges of pages and mails.
TONES: dict[str, str] = {
    Severity.CRITICAL: "critical",
    Severity.HIGH: "critical",
    Severity.WARNING: "warn",
    Severity.MEDIUM: "warn",
    Severity.LOW: "info",
    Severity.INFO: "info",
    RESOLVED: "ok",
}


def colour_of(tone: str) -> str:
    """The colour, as `#rrggbb`, of a severity or of `resolved`; of other words that of info."""
    return COLOURS.get(tone, COLOURS[Severity.INFO])


def find_severity(word: str) -> Severity | None:
    """The severity of a word, however it is written; None for one that is none of ours."""
    return next((each for each in Severity if each == word.lower()), None)
