"""JUnit's XML, as pytest, Surefire, Gradle, Jest, go-junit-report and others write it.

https://github.com/testmoapp/junitxml describes what is common to them.
"""

from xml.parsers import expat

from mainstay_server.areas.results.models import CaseStatus
from mainstay_server.areas.results.schemas.parsed import (
    LONGEST_MESSAGE,
    LONGEST_NAME,
    MOST_CASES,
    Case,
    Parsed,
    gathered,
    number_of,
    unreadable,
)
from mainstay_server.kernel.problems import TooLarge

DEEPEST = 100
OUTCOMES = {
    "failure": CaseStatus.FAILED,
    "error": CaseStatus.FAILED,
    "skipped": CaseStatus.SKIPPED,
}


def read(body: bytes) -> Parsed:
    """The cases of a report.

    A document type is refused: entities that are declared there could grow without end.

    Raises:
        Invalid: it is no XML, or no report.
        TooLarge: it has too many cases.
    """
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    parser.StartDoctypeDeclHandler = reading.refuse_doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat takes no keywords: this is all of it
    except expat.ExpatError as error:
        raise unreadable(f"it is no XML ({error})") from error
    except (ValueError, LookupError) as error:
        raise unreadable("it is in an encoding that nobody reads") from error
    return Parsed(cases=gathered(reading.cases))


class _Reading:
    """Follows the elements of a report, whose text it keeps only for what did not pass."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self._depth = 0
        self._case: dict[str, str] | None = None
        self._status = CaseStatus.PASSED
        self._message: list[str] = []
        self._message_length = 0
        self._in_outcome = False

    def refuse_doctype(self, *_: object) -> None:
        raise unreadable("it declares a document type, which no report needs")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise unreadable(f"its elements lie more than {DEEPEST} deep")
        if self._depth == 1 and tag not in {"testsuites", "testsuite"}:
            raise unreadable(f"it begins with <{tag[:50]}> and not with <testsuites>")
        if tag == "testcase":
            self._case, self._status, self._message = attributes, CaseStatus.PASSED, []
            self._message_length = 0
        elif self._case is not None and tag in OUTCOMES:
            if self._status is not CaseStatus.FAILED:
                self._status = OUTCOMES[tag]
            self._say(attributes.get("message", ""))
            self._in_outcome = True

    def text(self, data: str) -> None:
        if self._in_outcome:
            self._say(data)

    def _say(self, text: str) -> None:
        """Keep a piece of the message while there is room; there may be millions of them."""
        clean = text.strip()
        if clean and self._message_length < LONGEST_MESSAGE:
            self._message.append(clean)
            self._message_length += len(clean)

    def end(self, tag: str) -> None:
        self._depth -= 1
        if tag in OUTCOMES:
            self._in_outcome = False
        if tag == "testcase" and self._case is not None:
            self._take(self._case)
            self._case = None

    def _take(self, attributes: dict[str, str]) -> None:
        if len(self.cases) >= MOST_CASES:
            raise TooLarge(f"It has more than {MOST_CASES:,} cases; upload it in parts.")
        where = attributes.get("classname") or attributes.get("file") or ""
        name = attributes.get("name", "") or "without a name"
        self.cases.append(
            Case(
                name=(f"{where}::{name}" if where else name)[:LONGEST_NAME],
                status=self._status,
                seconds=_seconds(attributes.get("time", "")),
                message="\n".join(self._message)[:LONGEST_MESSAGE],
            )
        )


def _seconds(text: str) -> float:
    """A time; some write 1,234.5 and some nothing."""
    try:
        seconds = number_of(float(text.replace(",", "")))
    except ValueError:
        return 0.0
    return seconds if seconds is not None and seconds >= 0 else 0.0
