"""Examples of bodies and answers, put together from the examples of their fields."""

from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]
DEEPEST = 8


class Examples:
    """Makes examples from the shapes of one document; `missing` names the fields without one."""

    def __init__(self, shapes: Mapping[str, Json]) -> None:
        self._shapes = shapes
        self.missing: list[str] = []

    def fill(self, operations: Iterable[Json]) -> None:
        """Give every body and every good answer an example, where nobody wrote one by hand."""
        for operation in operations:
            places = [(operation.get("requestBody", {}), True)]
            places += [
                (response, False)
                for status, response in operation["responses"].items()
                if status[0] == "2"
            ]
            for place, is_sent in places:
                for media in place.get("content", {}).values():
                    if not media.keys() & {"example", "examples"}:
                        media["example"] = self.of(media["schema"], is_sent=is_sent)

    def of(self, shape: Json, *, is_sent: bool, where: str = "", depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
        """An example of a shape. What is sent leaves out optional fields that have none."""
        if depth > DEEPEST:
            return None
        if "$ref" in shape:
            name = shape["$ref"].rsplit("/", 1)[1]
            return self.of(self._shapes[name], is_sent=is_sent, where=name, depth=depth + 1)
        given = _given(shape)
        if given:
            return given[0]
        for several in ("anyOf", "oneOf", "allOf"):
            if several in shape:
                return self._of_first(shape[several], is_sent=is_sent, where=where, depth=depth)
        return self._by_type(shape, is_sent=is_sent, where=where, depth=depth)

    def _of_first(self, kinds: list[Json], *, is_sent: bool, where: str, depth: int) -> Any:  # noqa: ANN401 - any JSON
        """Of the first kind; what may be null and has no example is null."""
        missing_before = len(self.missing)
        found = self.of(kinds[0], is_sent=is_sent, where=where, depth=depth + 1)
        if {"type": "null"} in kinds:
            del self.missing[missing_before:]
        return found

    def _by_type(self, shape: Json, *, is_sent: bool, where: str, depth: int) -> Any:  # noqa: ANN401 - any JSON
        match shape.get("type"):
            case "object" if "properties" in shape:
                return {
                    name: self.of(field, is_sent=is_sent, where=f"{where}.{name}", depth=depth + 1)
                    for name, field in shape["properties"].items()
                    if not (is_sent and _may_be_left_out(shape, name, field))
                }
            case "array":
                return [self.of(shape["items"], is_sent=is_sent, where=where, depth=depth + 1)]
            case "boolean":
                return True
            case "null":
                return None
            case _:
                pass
        self.missing.append(where)
        return None


def _given(shape: Json) -> list[Any]:
    """The values that a shape names itself, the best first."""
    named = [shape[key] for key in ("example", "const") if key in shape]
    named += list(shape.get("examples", ()))[:1] + list(shape.get("enum", ()))[:1]
    if shape.get("default") is not None:
        named.append(shape["default"])
    return named


def _may_be_left_out(body: Json, name: str, field: Json) -> bool:
    if name in body.get("required", ()) or _given(field):
        return False
    kinds = [kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"]
    return not any(_given(kind) for kind in kinds)
