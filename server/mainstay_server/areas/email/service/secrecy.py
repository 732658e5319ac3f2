"""Mails whose words are a key: nobody but their reader sees them, and they are soon forgotten."""

from mainstay_server.areas.email.models import Email

# What these say may be used by whoever reads it.
SECRET_TEMPLATES = ("password_reset",)


def is_secret(email: Email) -> bool:
    """Whether what a mail says is for its reader alone."""
    return email.template in SECRET_TEMPLATES


def forget_secret(email: Email) -> None:
    """Keep nothing of what a secret mail says, since it is decided and not sent again."""
    if is_secret(email):
        email.html = email.text = ""


def shown_html(email: Email) -> str:
    """The HTML of a mail as the organization may see it: of a secret one nothing."""
    return "" if is_secret(email) else email.html


def shown_text(email: Email) -> str:
    """The text of a mail as the organization may see it: of a secret one nothing."""
    return "" if is_secret(email) else email.text
