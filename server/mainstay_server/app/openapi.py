"""The OpenAPI 3.1 document: what FastAPI knows of the routes, and what it does not know of us."""

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic.alias_generators import to_camel

from mainstay_server.kernel import problems
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.limits.headers import QUOTA_EXCEEDED, QuotaExceeded
from mainstay_server.tenancy.access import SESSION_COOKIE, Rule, rule_of

from .limiting import is_limited
from .openapi_doors import DOORS, KEY_SCHEMES
from .openapi_examples import Examples

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"
VERBS = ("get", "post", "put", "patch", "delete")
ABOUT = """\
JSON in camelCase; times are RFC 3339 in UTC; ids are strings, only a project's `number` is one.
Lists take `limit` and `cursor`. A refusal is `application/problem+json` (RFC 9457) with a stable
`code`, and `detail` says the next step. Every answer tells in `RateLimit` how often one may ask.

Machines send `Authorization: Bearer <access token>`; make one under *Your account*. SDKs send an
ingest key, which is part of the project's DSN.
"""
SCHEMES: Json = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token; acts within its person's role, and within its scopes.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "A signed-in browser. What changes something needs `X-CSRF-Token` too.",
    },
    "guardKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A guard key: the secret of a project's own servers.",
    },
    "probeToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of one probe; fetches its plan and takes its results.",
    },
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key that the project gave to one of its users.",
    },
    "cronSecret": {
        "type": "http",
        "scheme": "bearer",
        "description": "`MAINSTAY_CRON_SECRET`, which opens `/api/cron` and nothing else.",
    },
}
AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
# What the rules look up themselves: FastAPI does not know of these parameters.
IN_PATHS = {
    "slug": ("The project's slug, or its id.", "inspections"),
    "instanceId": ("The instance's id.", AN_ID),
    "number": ("The project's number, as in its DSN.", "1"),
}
REFUSALS = (
    (problems.Invalid, "name: Field required."),
    (problems.Unauthenticated, "Sign in at /login, or send an access token as a Bearer token."),
    (problems.Forbidden, "The access token lacks the scope project:write; make one that has it."),
    (problems.NotFound, "There is no such instance; /api/instances lists yours."),
)
TOO_OFTEN = (
    QuotaExceeded("The limit api is used up; try again in 3 s.", policies=["api"]),
    "Asked too often; `Retry-After` says when to ask again",
)
LIMIT_HEADERS: Json = {
    "Retry-After": {
        "description": "Seconds after which the same call passes, if nobody else came.",
        "schema": {"type": "integer"},
    },
    "RateLimit": {
        "description": "How the limits stand: what is left, and seconds until there is more.",
        "schema": {"type": "string", "examples": ['"api";r=0;t=1']},
    },
    "RateLimit-Policy": {
        "description": "The limits that hold: so many calls in so many seconds.",
        "schema": {"type": "string", "examples": ['"api";q=6000;w=60']},
    },
}
ANY_REFUSAL = (problems.Conflict, "The slug 'inspections' is taken; choose another.")


def document_of(app: FastAPI, areas: Sequence[Area]) -> Json:
    """The document of an application that has these areas; made once, then the same."""
    if app.openapi_schema is None:
        app.openapi_schema = _document(app, areas)
    return app.openapi_schema


def operations_of(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Every operation, as (METHOD, path, operation), in the document's order."""
    for path, item in document["paths"].items():
        for verb in VERBS:
            if verb in item:
                yield verb.upper(), path, item[verb]


def _document(app: FastAPI, areas: Sequence[Area]) -> Json:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=ABOUT,
        routes=app.routes,
    )
    _own_names(document)
    rules = _rules(app)
    paths: Json = {}
    for path, item in document["paths"].items():
        told = re.sub(r"{(\w+)}", lambda found: "{" + to_camel(found[1]) + "}", path)
        for verb, operation in item.items():
            _complete(operation, told, rules[path, verb])
        paths[told] = item
    for door in (door for area in areas for door in area.doors):
        below = f"/{{number}}/{door.told_as or door.path}"
        paths[f"/api{below}"] = {
            verb: {**operation, "parameters": _parameters_in(below, [])}
            for verb, operation in DOORS.get(door.path, {}).items()
        }
    for route in (route for area in areas for route in area.plain_routes):
        path = route.told_as or route.path
        paths[path] = {verb: {**operation} for verb, operation in route.operations.items()}
    components = document.setdefault("components", {})
    _refusal_components(components)
    components["securitySchemes"] = SCHEMES | KEY_SCHEMES
    document["paths"] = paths
    document["tags"] = _tags(document)
    Examples(components["schemas"]).fill(operation for *_, operation in operations_of(document))
    return document


def _rules(app: FastAPI) -> dict[tuple[str, str], Rule]:
    """The rule of every route, by its path and verb; the one with a role counts."""
    found = {}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            declared = rule_of([call.call for call in _dependencies(route.dependant)])
            rule = max(declared, key=lambda rule: rule.role is not None)
            for method in route.methods or ():
                found[str(context.path_format), method.lower()] = rule
    return found


def _dependencies(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _dependencies(each)


def _complete(operation: Json, path: str, rule: Rule) -> None:
    operation["operationId"] = to_camel(operation["operationId"])
    operation["parameters"] = _parameters_in(path, operation.get("parameters", []))
    if not operation["parameters"]:
        del operation["parameters"]
    operation.setdefault("security", _security(rule))
    responses = operation["responses"]
    responses.pop("422", None)
    for status, response in responses.items():
        if response.get("description") in ("", "Successful Response"):
            response["description"] = HTTPStatus(int(status)).phrase
    asked_who = bool(operation["security"])
    possible = {
        problems.Invalid: "requestBody" in operation or _has_query(operation),
        problems.Unauthenticated: asked_who,
        problems.Forbidden: asked_who and rule.kind != "public",
        problems.NotFound: "{" in path,
    }
    for kind, may_be in possible.items():
        if may_be:
            responses[str(kind.status)] = {"$ref": f"#/components/responses/{kind.__name__}"}
    if is_limited(path):
        responses["429"] = {"$ref": "#/components/responses/TooManyRequests"}
    if any(possible.values()):
        responses["4XX"] = {"$ref": "#/components/responses/Refusal"}


def _has_query(operation: Json) -> bool:
    return any(parameter["in"] == "query" for parameter in operation.get("parameters", ()))


def _security(rule: Rule) -> list[Json]:
    """Either credential will do; the lists name the token's scope and the person's role."""
    if rule.kind == "public":
        return []
    scopes = [str(rule.scope)] if rule.scope else []
    roles = [str(rule.role)] if rule.role else []
    return [{"accessToken": scopes}, {"session": roles}]


def _parameters_in(path: str, known: list[Json]) -> list[Json]:
    """The known parameters, those of the path first, with the ones that only the rules read."""
    kept = [p for p in known if not (p["in"] == "header" and p["name"] == "authorization")]
    by_name = {to_camel(p["name"]): p for p in kept if p["in"] == "path"}
    in_path = []
    for name in re.findall(r"{(\w+)}", path):
        text, example = IN_PATHS.get(name, ("The id, as its list gives it.", AN_ID))
        kind = "integer" if name == "number" else "string"
        given = by_name.get(name, {"in": "path", "required": True, "schema": {"type": kind}})
        schema = {k: v for k, v in given["schema"].items() if k != "title"}
        if "$ref" not in schema:
            schema.setdefault("examples", [example])
        in_path.append({"description": text, **given, "name": name, "schema": schema})
    rest = [p for p in kept if p["in"] != "path"]
    for parameter in rest:
        parameter["schema"].pop("title", None)
        # Beside the parameter's own, which is where readers look.
        parameter["schema"].pop("description", None)
    return in_path + rest


def _own_names(document: Json) -> None:
    """Give shapes that share a class name their area's name in front, and drop made-up titles."""
    shapes: Json = document["components"]["schemas"]
    names = {}
    for name in shapes:
        parts = name.split("__")
        own = parts[-1].removesuffix("-Input").removesuffix("-Output")
        if len(parts) > 1:
            own = (
                to_camel(f"_{parts[-3] if parts[-1] != parts[-3] else parts[0]}").lstrip("_") + own
            )
            own = own[0].upper() + own[1:]
        names[name] = own
    renamed = {}
    for name, shape in shapes.items():
        if name not in ("HTTPValidationError", "ValidationError"):
            renamed[names[name]] = shape
            shape.pop("title", None)
            for field in shape.get("properties", {}).values():
                field.pop("title", None)
    document["components"]["schemas"] = renamed
    _rename(document, {SCHEMAS + old: SCHEMAS + new for old, new in names.items()})


def _rename(part: Any, names: dict[str, str]) -> None:  # noqa: ANN401 - any piece of a document
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            part["$ref"] = names.get(part["$ref"], part["$ref"])
        for value in part.values():
            _rename(value, names)
    elif isinstance(part, list):
        for value in part:
            _rename(value, names)


def _refusal_components(components: Json) -> None:
    components["schemas"]["Problem"] = {
        "type": "object",
        "description": "RFC 9457 problem details. `code` is stable: programs may branch on it.",
        "required": ["type", "title", "status", "code", "detail", "errors"],
        "properties": {
            "type": {"type": "string", "enum": ["about:blank", QUOTA_EXCEEDED]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string", "description": "One sentence, with the next step."},
            "errors": {
                "type": "array",
                "description": "The faults of a body or query, field by field.",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                },
            },
            "instance": {"type": "string", "description": "The path that was asked."},
            "violated-policies": {
                "type": "array",
                "description": "The limits that are used up, as `RateLimit-Policy` names them.",
                "items": {"type": "string"},
            },
        },
    }
    responses = components["responses"] = {
        kind.__name__: _refusal(kind, detail, kind.title) for kind, detail in REFUSALS
    }
    responses["TooManyRequests"] = _told(*TOO_OFTEN) | {"headers": LIMIT_HEADERS}
    responses["Refusal"] = _refusal(*ANY_REFUSAL, "Any other refusal")


def _refusal(kind: type[problems.Problem], detail: str, description: str) -> Json:
    faults = [{"field": "name", "message": "Field required"}] if kind is problems.Invalid else []
    return _told(kind(detail, errors=faults), description)


def _told(problem: problems.Problem, description: str) -> Json:
    return {
        "description": description,
        "content": {
            problems.CONTENT_TYPE: {
                "schema": {"$ref": SCHEMAS + "Problem"},
                "example": problem.to_json(),
            }
        },
    }


def _tags(document: Json) -> list[Json]:
    names = dict.fromkeys(tag for *_, op in operations_of(document) for tag in op["tags"])
    return [{"name": name} for name in names]
