"""Expected refusals: what a service raises and a door answers as RFC 9457 problem details."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):
    """A refusal that the caller can act on; anything else that escapes a service is a bug.

    `detail` is one sentence with the next step. `errors` lists the single faults of a body, each a
    mapping with at least `field` and `message`. `code` overrides the class's code where one status
    has several reasons; a code is stable, kebab-case, and clients may branch on it. `type` is the
    URI of a registered problem type, `members` are what that type adds to the document, and
    `headers` belong to this refusal alone.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"
    code: str = "problem"

    def __init__(  # noqa: PLR0913 - one refusal, all that can be said of it
        self,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        retry_after_seconds: float | None = None,
        code: str | None = None,
        type: str = "about:blank",  # noqa: A002 - RFC 9457's name of the member
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds
        self.type = type
        self.members = members or {}
        self.headers = headers or {}
        if code is not None:
            self.code = code

    @classmethod
    def of_field(cls, field: str, message: str) -> Self:
        """The refusal of one field of a body, whose fault is all that there is to say."""
        return cls(message, errors=[{"field": field, "message": message}])

    def to_json(self, instance: str | None = None) -> dict[str, Any]:
        """Return the RFC 9457 document; `instance` is the path of the request it answers.

        `type` is mostly `about:blank`, which by RFC 9457 section 4.2.1 says that the status tells
        it all and `title` is its phrase; the finer reason is the member `code`.
        """
        document: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "errors": [dict(error) for error in self.errors],
            **self.members,
        }
        if instance is not None:
            document["instance"] = instance
        return document


class Invalid(Problem):
    """What was sent does not make sense; `errors` names the fields."""

    status = 400
    code = "invalid"
    title = "Bad Request"


class Unauthenticated(Problem):
    """Nobody knows who is asking."""

    status = 401
    code = "unauthenticated"
    title = "Unauthorized"


class Forbidden(Problem):
    """We know who is asking, and they may not."""

    status = 403
    code = "forbidden"
    title = "Forbidden"


class NotFound(Problem):
    """It is not there, or the one who asks may not know that it is."""

    status = 404
    code = "not-found"
    title = "Not Found"


class MethodNotAllowed(Problem):
    """The path exists, but not with this method."""

    status = 405
    code = "method-not-allowed"
    title = "Method Not Allowed"


class RequestTimeout(Problem):
    """The request did not arrive in the time that one has."""

    status = 408
    code = "request-timeout"
    title = "Request Timeout"


class Conflict(Problem):
    """It cannot be done in the present state, such as a name that is taken."""

    status = 409
    code = "conflict"
    title = "Conflict"


class Gone(Problem):
    """It was there and will not come back, such as a link that has been used."""

    status = 410
    code = "gone"
    title = "Gone"


class TooLarge(Problem):
    """The body is over its limit; `detail` says which limit."""

    status = 413
    code = "too-large"
    title = "Content Too Large"


class UnsupportedMedia(Problem):
    """The body's content type or encoding is not one that this path reads."""

    status = 415
    code = "unsupported-media"
    title = "Unsupported Media Type"


class TooManyRequests(Problem):
    """A limit is used up; `retry_after_seconds` says when it is worth trying again."""

    status = 429
    code = "too-many-requests"
    title = "Too Many Requests"


class Unavailable(Problem):
    """Something that we need is away or full for now; `retry_after_seconds` says how long."""

    status = 503
    code = "unavailable"
    title = "Service Unavailable"
