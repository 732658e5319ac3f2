"""How much of what an app takes."""

from dataclasses import dataclass
from typing import Final

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Limits:
    """What a body may be at most.

    ``content_types`` are those that are taken; beside JSON and forms, ``application/…+json`` may
    be named. ``most_depth`` counts arrays and objects inside of each other, ``most_values`` all
    members of all arrays and objects together, or the fields of a form or a query.

    Raises ValueError for a content type that nobody here can read, and for limits below 1.
    """

    most_bytes: int = 1_048_576
    content_types: tuple[str, ...] = (JSON,)
    most_depth: int = 32
    most_values: int = 10_000
    most_key_characters: int = 256
    most_text_characters: int = 100_000

    def __post_init__(self) -> None:
        if isinstance(self.content_types, str):
            raise ValueError("content_types is a tuple of content types")  # noqa: TRY004 - one kind of error
        for kind in self.content_types:
            if kind not in (JSON, FORM) and not kind.endswith("+json"):
                raise ValueError(f"{kind} is none of {JSON}, {FORM} and …+json")
        counts = (self.most_bytes, self.most_depth, self.most_values)
        if min(*counts, self.most_key_characters, self.most_text_characters) < 1:
            raise ValueError("a limit is at least 1")


DEFAULT: Final = Limits()
