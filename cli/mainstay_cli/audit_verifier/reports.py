"""What a verification found, as data and in lines for people."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """Something that does not fit: a stable code, the row it is about (0: none), and words."""

    code: str
    position: int
    text: str


@dataclass
class Report:
    """What was found. `covered` is the last row that a checkpoint with a good signature covers."""

    origin: str = ""
    first: int = 0
    last: int = 0
    rows: int = 0
    checkpoints: int = 0
    covered: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether everything fits."""
        return not self.faults

    def blame(self, code: str, position: int, text: str) -> None:
        """Add a fault, unless the same was found of the row already."""
        if all((code, position) != (known.code, known.position) for known in self.faults):
            self.faults.append(Fault(code, position, text))


def told(report: Report) -> Iterator[str]:
    """What was found, in lines for people."""
    yield f"Log {report.origin}: {report.rows} rows, {report.checkpoints} signed checkpoints."
    for fault in report.faults:
        yield f"FAULT {fault.code}: {fault.text}"
    if report.verified:
        yield f"Verified: rows {report.first} to {report.last}, signed up to {report.covered}."
    for note in report.notes:
        yield f"Note: {note}"
