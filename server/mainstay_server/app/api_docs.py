"""The API's document and its pages, rendered on the server so that they need no script."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.ui import render

from .openapi import Json, document_of, operations_of

router = Router(include_in_schema=False)
FOR_EVERYBODY = access.public("what there is to ask is no secret; what it answers is")
DEEPEST = 3
VARIABLES = {
    "cronSecret": "MAINSTAY_CRON_SECRET",
    "guardKey": "MAINSTAY_GUARD_KEY",
    "probeToken": "MAINSTAY_PROBE_TOKEN",
    "apiKey": "API_KEY",
}
SCHEMES_TOLD = {
    "sentryAuth": "an ingest key (the DSN's, in any of Sentry's ways)",
    "cronSecret": "the cron secret",
    "guardKey": "a guard key of the project",
    "probeToken": "the token of a probe",
    "apiKey": "an API key, or nobody yet: the answer says who may",
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One line of a table: a parameter, or a field of a body or an answer."""

    name: str
    place: str
    type: str
    text: Markup
    required: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One way in which an operation ends."""

    status: str
    text: Markup
    fields: tuple[Field, ...]
    example: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation as the page tells it; `words` is what the search looks in."""

    id: str
    method: str
    path: str
    summary: str
    text: Markup
    who: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    sent: tuple[tuple[str, str], ...]
    answers: tuple[Answer, ...]
    refusals: tuple[str, ...]
    curl: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """The operations of one area."""

    title: str
    anchor: str
    operations: tuple[Operation, ...]


@router.get("/api/openapi.json", dependencies=[FOR_EVERYBODY])
def get_openapi_document(request: Request) -> Response:
    """Answer the OpenAPI 3.1 document."""
    document = document_of(request.app, request.app.state.areas)
    return Response(json.dumps(document), media_type="application/json")


@router.get("/api/docs", dependencies=[FOR_EVERYBODY])
def show_docs(request: Request, q: Annotated[str, Query(max_length=100)] = "") -> HTMLResponse:
    """Show every operation, or those that the words of `q` are found in."""
    document = document_of(request.app, request.app.state.areas)
    groups = _groups(document, base_url(request))
    return render(
        request,
        "api_docs.html",
        about=_prose(document["info"]["description"]),
        groups=groups,
        found=_found(groups, q),
        q=q,
        base=base_url(request),
    )


def _groups(document: Json, base: str) -> list[Group]:
    told = [(operation["tags"][0], method, path, operation)
            for method, path, operation in operations_of(document)]  # fmt: skip
    return [
        Group(
            title=tag["name"],
            anchor=_slug(tag["name"]),
            operations=tuple(
                _operation(_Shapes(document), method, path, operation, base)
                for area, method, path, operation in told
                if area == tag["name"]
            ),
        )
        for tag in document["tags"]
    ]


def _found(groups: list[Group], q: str) -> list[Group]:
    words = q.lower().split()
    found = [
        Group(
            title=group.title,
            anchor=group.anchor,
            operations=tuple(
                operation
                for operation in group.operations
                if all(word in operation.words for word in words)
            ),
        )
        for group in groups
    ]
    return [group for group in found if group.operations]


class _Shapes:
    """The document's shapes, as lines of tables."""

    def __init__(self, document: Json) -> None:
        self._components: Json = document["components"]

    def followed(self, part: Json) -> Json:
        """What a reference leads to; anything else as it is."""
        if "$ref" not in part:
            return part
        kind, name = part["$ref"].split("/")[-2:]
        found: Json = self._components[kind][name]
        return found

    def fields(self, shape: Json, before: str = "", depth: int = 0) -> Iterator[Field]:
        """The fields of a body or an answer, those of what it holds after it, by dotted names."""
        shape = self._core(shape)
        if shape.get("type") == "array":
            yield from self.fields(shape["items"], before + "[]", depth)
            return
        for name, field in shape.get("properties", {}).items():
            core = self._core(field)
            yield Field(
                name=f"{before}.{name}".lstrip("."),
                place="",
                type=self.type(field),
                text=_prose(field.get("description") or core.get("description", "")
                            if not core.get("properties") else field.get("description", "")),
                required=name in shape.get("required", ()),
            )  # fmt: skip
            if depth < DEEPEST:
                yield from self.fields(field, f"{before}.{name}", depth + 1)
        for one in shape.get("oneOf", ()):
            yield from self.fields(one, before, depth)

    def type(self, shape: Json) -> str:
        """A shape in a few words: `string, at most 60 characters`."""
        kinds = [self.followed(kind) for kind in shape.get("anyOf", ())]
        core = self._core(shape)
        name = str(core.get("format") or core.get("type", "any"))
        if core.get("type") == "array":
            name = "list of " + self.type(core["items"])
        if "enum" in core:
            name = " | ".join(map(str, core["enum"]))
        if "const" in core:
            name = str(core["const"])
        limits = [
            f"{sign} {core[key]:,}"
            for key, sign in (
                ("minimum", "≥"),
                ("maximum", "≤"),
                ("maxLength", "at most"),
                ("maxItems", "at most"),
            )
            if key in core
        ]
        default = shape.get("default")
        if default not in (None, ""):
            limits.append(f"default {default}")
        null = " or null" if {"type": "null"} in kinds else ""
        return ", ".join([name + null, *limits])

    def _core(self, shape: Json) -> Json:
        shape = self.followed(shape)
        for several in ("anyOf", "allOf"):
            kinds = [kind for kind in shape.get(several, ()) if kind.get("type") != "null"]
            if kinds:
                return self._core(kinds[0])
        return shape


def _operation(shapes: _Shapes, method: str, path: str, told: Json, base: str) -> Operation:
    body = told.get("requestBody", {}).get("content", {})
    media: Json = next(iter(body.values()), {})
    sent = tuple(_examples(media))
    fields = tuple(
        Field(
            name=one["name"],
            place=one["in"],
            type=shapes.type(one["schema"]),
            text=_prose(one.get("description", "")),
            required=one.get("required", False),
        )
        for one in told.get("parameters", ())
    )
    responses = {status: shapes.followed(one) for status, one in told["responses"].items()}
    return Operation(
        id=told["operationId"],
        method=method,
        path=path,
        summary=told["summary"],
        text=_prose(told["description"]),
        who=_who(told["security"]),
        parameters=fields,
        body=tuple(shapes.fields(media.get("schema", {}))),
        sent=sent,
        answers=tuple(
            _answer(shapes, status, one) for status, one in responses.items() if status[0] != "4"
        ),
        refusals=tuple(
            f"{status} {one['description']}" for status, one in responses.items()
            if status[0] == "4" and status != "4XX"
        ),
        curl=_curl(method, path, told, base, next(iter(body), ""), sent[0][1] if sent else ""),
        words=" ".join([told["operationId"], method, path, told["summary"], told["description"],
                        *told["tags"], *(field.name for field in fields)]).lower(),
    )  # fmt: skip


def _answer(shapes: _Shapes, status: str, response: Json) -> Answer:
    media: Json = next(iter(response.get("content", {}).values()), {})
    examples = list(_examples(media))
    return Answer(
        status=status,
        text=_prose(response["description"]),
        fields=tuple(shapes.fields(media.get("schema", {}))),
        example=examples[0][1] if examples else "",
    )


def _examples(media: Json) -> Iterator[tuple[str, str]]:
    """The examples of a body, each with its name, as somebody would write them."""
    if "example" in media:
        yield "", _written(media["example"])
    for name, example in media.get("examples", {}).items():
        yield name, _written(example["value"])


def _written(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _who(security: list[Json]) -> str:
    """Who may, from the credentials that open it: the role of a person, the scope of a token."""
    named = {name: needs for one in security for name, needs in one.items()}
    if not named:
        return "Anyone"
    for scheme, told in SCHEMES_TOLD.items():
        if scheme in named:
            return f"Whoever has {told}"
    if "session" not in named:
        key = " · or an ingest key, to send" if "ingestKey" in named else ""
        return f"Whoever has a token of the scope {named['accessToken'][0]}{key}"
    role = f"Role {named['session'][0]} or above" if named["session"] else "Whoever is signed in"
    if "accessToken" not in named:
        return f"{role}, with a browser only"
    return role + (f" · token scope {named['accessToken'][0]}" if named["accessToken"] else "")


def _curl(method: str, path: str, told: Json, base: str, media: str, sent: str) -> str:
    """The operation as a line of curl, with the examples filled in."""
    wanted = {}
    for one in told.get("parameters", ()):
        examples = one["schema"].get("examples") or one["schema"].get("enum") or ["…"]
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", str(examples[0]))
        elif one.get("required"):
            wanted[one["name"]] = examples[0]
    query = f"?{urlencode(wanted)}" if wanted else ""
    lines = [
        "curl" + (f" -X {method}" if method != "GET" else ""),
        shlex.quote(base + path + query),
    ]
    names = {name for one in told["security"] for name in one}
    if "sentryAuth" in names:
        lines.append('-H "X-Sentry-Auth: Sentry sentry_key=$MAINSTAY_INGEST_KEY"')
    elif names:
        variable = VARIABLES.get(next(iter(names)), "MAINSTAY_TOKEN")
        lines.append(f'-H "Authorization: Bearer ${variable}"')
    if sent:
        lines += [f"-H 'Content-Type: {media}'", f"--data-binary {shlex.quote(sent)}"]
    return f"{lines[0]} {lines[1]}" + "".join(f" \\\n  {line}" for line in lines[2:])


def _prose(text: str) -> Markup:
    """Paragraphs with `code` and *stress*: the little of Markdown that our descriptions use."""
    paragraphs = [str(escape(part)) for part in re.split(r"\n\s*\n", text.strip()) if part]
    marked = "</p><p>".join(paragraphs)
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", marked)
    marked = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", marked)
    return Markup(f"<p>{marked}</p>" if marked else "")  # noqa: S704 - escaped above


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
