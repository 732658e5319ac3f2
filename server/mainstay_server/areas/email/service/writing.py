"""From a template and its data to a mail: the templates that come with Mainstay, and one's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from markupsafe import Markup
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from mainstay_server.areas.email.models import EmailKind
from mainstay_server.areas.email.schemas.builtin import (
    EXAMPLES,
    AlertTold,
    Data,
    PasswordReset,
    TaskFinished,
    WeeklySummary,
)
from mainstay_server.kernel.problems import Invalid, TooLarge
from mainstay_server.ui.mail import Brand, Written, finished, write_mail
from mainstay_server.ui.sandbox import render_untrusted

from .parts import PARTS

MOST_DATA_BYTES = 64_000
LONGEST_SUBJECT = 200
# Where each reader's own address stands until the mail is theirs.
UNSUBSCRIBE = "https://unsubscribe.invalid/0d6f5c2e"
GOOD = {"pass", "passed", "ok", "success", "successful", "done", "finished", "completed"}
BAD = {"fail", "failed", "failure", "error", "critical"}
GRAVE = {"critical": "critical", "high": "critical", "warning": "warn", "medium": "warn"}
WHOLE_PAGES = ("<!doctype", "<html")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A template of an organization, as it is read before anything is rendered."""

    name: str
    kind: EmailKind
    subject: str
    html: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A mail without its reader: what it says, and of which kind it is."""

    template: str
    kind: EmailKind
    subject: str
    html: str
    text: str

    def for_reader(self, unsubscribe_url: str) -> "Letter":
        """The letter with a reader's own way out."""
        return replace(
            self,
            html=self.html.replace(UNSUBSCRIBE, str(Markup.escape(unsubscribe_url))),
            text=self.text.replace(UNSUBSCRIBE, unsubscribe_url),
        )


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """A template that comes with Mainstay."""

    shape: type[Data]
    subject: Callable[[Any], str]
    kind: EmailKind = EmailKind.TRANSACTIONAL


def _of_task(data: TaskFinished) -> str:
    about = f"{data.task} of {data.location_name}" if data.location_name else data.task
    return f"{about}: {data.status}"


BUILT_IN: dict[str, BuiltIn] = {
    "task_finished": BuiltIn(shape=TaskFinished, subject=_of_task),
    "alert": BuiltIn(
        shape=AlertTold, subject=lambda data: f"[{data.severity.upper()}] {data.title}"
    ),
    "weekly_summary": BuiltIn(
        shape=WeeklySummary,
        subject=lambda data: f"Your week: {data.period}" if data.period else "Your week",
        kind=EmailKind.SUBSCRIPTION,
    ),
    "password_reset": BuiltIn(shape=PasswordReset, subject=lambda _: "Set a new password"),
}


def write_built_in(
    name: str, data: Mapping[str, Any], *, brand: Brand, kind: EmailKind | None = None
) -> Letter:
    """A mail of a template that comes with Mainstay. Raises `Invalid` for data it cannot use."""
    known = BUILT_IN[name]
    refuse_large(data)
    try:
        told = known.shape.model_validate(data)
    except ValidationError as error:
        raise _unfit(name, error) from None
    chosen = kind or known.kind
    subject = clean_subject(known.subject(told))
    written = write_mail(
        f"email/mail/{name}.html",
        brand=brand,
        subject=subject,
        unsubscribe_url=_way_out(chosen),
        told=told,
        tone=tone_of(getattr(told, "status", "") or getattr(told, "severity", "")),
    )
    return _letter(name, chosen, subject, written)


def write_own(
    source: Source, data: Mapping[str, Any], *, brand: Brand, kind: EmailKind | None = None
) -> Letter:
    """A mail of an organization's own template.

    Raises:
        Invalid: the template asks for what it may not have, or the data lacks a name.
    """
    refuse_large(data)
    chosen = kind or source.kind
    subject = clean_subject(
        render_untrusted(source.subject, data, parts={}, field="subject", escaped=False)
    )
    body = render_untrusted(source.html, data, parts=PARTS, field="html")
    written = in_layout(body, brand=brand, subject=subject, kind=chosen)
    if source.text.strip():
        text = render_untrusted(source.text, data, parts={}, field="text", escaped=False)
        written = replace(written, text=_with_way_out(text, chosen))
    return _letter(source.name, chosen, subject, written)


def write_plain(
    subject: str, html: str, text: str, *, brand: Brand, kind: EmailKind | None = None
) -> Letter:
    """A mail that its sender wrote: HTML for the middle, or a whole page; text alone has no HTML.

    Raises:
        Invalid: there is no subject, or nothing to say.
    """
    chosen = kind or EmailKind.TRANSACTIONAL
    subject = clean_subject(subject)
    if not (html.strip() or text.strip()):
        raise _missing("html", "Give a template, or a subject with html or text.")
    written = Written(html="", text="")
    if html.lstrip().lower().startswith(WHOLE_PAGES):
        whole = finished(html)
        written = replace(whole, text=_with_way_out(whole.text, chosen))
    elif html.strip():
        written = in_layout(html, brand=brand, subject=subject, kind=chosen)
    if text.strip():
        written = replace(written, text=_with_way_out(text, chosen))
    return _letter("", chosen, subject, written)


def in_layout(html: str, *, brand: Brand, subject: str, kind: EmailKind) -> Written:
    """HTML of a tenant in the middle of the layout that all mails have."""
    return write_mail(
        "email/mail/own.html",
        brand=brand,
        subject=subject,
        unsubscribe_url=_way_out(kind),
        body=Markup(html),  # noqa: S704 - the tenant's own HTML, shown only in their mail
    )


def example_of(name: str) -> dict[str, Any]:
    """Data that a template which comes with Mainstay can be tried with."""
    return EXAMPLES[name]


def clean_subject(subject: str) -> str:
    """A subject in one line. Raises `Invalid` for an empty one."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in subject).split())
    if not clean:
        raise _missing("subject", "Give the mail a subject.")
    return clean[:LONGEST_SUBJECT]


def tone_of(word: str) -> str:
    """How a status or a severity is shown: ok, warn, critical or info."""
    word = word.strip().lower()
    if word in GOOD:
        return "ok"
    return "critical" if word in BAD else GRAVE.get(word, "info")


def refuse_large(data: Mapping[str, Any]) -> None:
    """Refuse data that no mail needs. Raises `TooLarge`."""
    if len(msgspec.json.encode(data)) > MOST_DATA_BYTES:
        raise TooLarge(
            f"data is over the limit of {MOST_DATA_BYTES // 1000} KB; send what the mail shows."
        )


def _letter(name: str, kind: EmailKind, subject: str, written: Written) -> Letter:
    return Letter(template=name, kind=kind, subject=subject, html=written.html, text=written.text)


def _way_out(kind: EmailKind) -> str:
    return UNSUBSCRIBE if kind is EmailKind.SUBSCRIPTION else ""


def _with_way_out(text: str, kind: EmailKind) -> str:
    way_out = _way_out(kind)
    return f"{text.rstrip()}\n\nUnsubscribe: {way_out}\n" if way_out else f"{text.rstrip()}\n"


def _unfit(name: str, error: ValidationError) -> Invalid:
    faults = [
        {
            "field": ".".join(["data", *(to_camel(str(part)) for part in fault["loc"])]),
            "message": fault["msg"],
        }
        for fault in error.errors(include_url=False)[:20]
    ]
    first = faults[0]
    return Invalid(
        f"The template {name} cannot be filled: {first['field']}: {first['message']}.",
        code="invalid-template-data",
        errors=faults,
    )


def _missing(field: str, message: str) -> Invalid:
    return Invalid.of_field(field, message)
