"""What can be expected to go wrong on the way out."""

from typing import Literal

Kind = Literal[
    "dns",
    "blocked",
    "connect",
    "tls",
    "timeout",
    "protocol",
    "too_large",
    "too_many_redirects",
]


class OutboundError(Exception):
    """A call that did not get its answer; the text is one sentence with the next step.

    `kind` says which step failed. `own_limit` is true when the call never left because too many of
    our own calls were under way: that says nothing about the other side. The text holds the host
    but never the path, the query or a credential, so it may be shown and stored.
    """

    def __init__(self, kind: Kind, reason: str, *, own_limit: bool = False) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason
        self.own_limit = own_limit


class MailRefused(Exception):
    """A message that was not accepted for delivery.

    `permanent` means that the same message will be refused again (a reply of 5xx, RFC 5321 section
    4.2.1); otherwise (4xx, no connection) it is worth another attempt.
    `at_recipient` tells that it was the recipients who were refused, and not the message or us.
    """

    def __init__(self, reason: str, *, permanent: bool, at_recipient: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.at_recipient = at_recipient
