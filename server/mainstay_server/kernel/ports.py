"""Ports: a question that one area asks and exactly one other answers, without an import."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

Asked = ParamSpec("Asked")
Answered = TypeVar("Answered")


@dataclass(frozen=True)
class Answer:
    """One area's answer to a port."""

    port: "Port[..., Any]"
    function: Callable[..., Any]


class Port(Generic[Asked, Answered]):
    """A documented question. Calling it calls the one answer that an installed area gave."""

    def __init__(self, question: Callable[Asked, Answered]) -> None:
        functools.update_wrapper(self, question)
        self.name = f"{question.__module__}.{question.__qualname__}"
        self.answer: Callable[Asked, Answered] | None = None

    def __call__(self, *args: Asked.args, **kwargs: Asked.kwargs) -> Answered:
        """Ask. Raises `LookupError` when no installed area answers, which is a bug of assembly."""
        if self.answer is None:
            raise LookupError(f"no installed area answers {self.name}")
        return self.answer(*args, **kwargs)

    @property
    def is_answered(self) -> bool:
        """Whether an installed area answers, for those who can do without."""
        return self.answer is not None

    def answered_by(self, function: Callable[Asked, Answered]) -> Answer:
        """Declare an answer, for `Area(answers=…)`."""
        return Answer(self, function)


def port(question: Callable[Asked, Answered]) -> Port[Asked, Answered]:
    """Make a port of a function signature in `contracts/`; its body is never run."""
    return Port(question)


_answered: list[Port[..., Any]] = []


def install_answers(answers: tuple[Answer, ...]) -> None:
    """Connect every port with its answer; two answers to one port are refused."""
    taken: set[str] = set()
    for answer in answers:
        if answer.port.name in taken:
            raise ValueError(f"two areas answer {answer.port.name}")
        taken.add(answer.port.name)
        answer.port.answer = answer.function
        _answered.append(answer.port)


def forget_answers() -> None:
    """Have nobody answer anything any more; for tests, whose areas come and go."""
    while _answered:
        _answered.pop().answer = None
