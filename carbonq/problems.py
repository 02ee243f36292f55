"""pydantic's errors as problems that a person can mend: place, what, how to go on, did you mean."""

import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from carbonq.domain.errors import InvalidInput, Problem
from carbonq.yaml12 import MAX_PROBLEMS, TOP, Document, Path


class Located(NamedTuple):
    """One mistake and the path of the value, or of the key, that it is about."""

    path: Path
    on_key: bool
    what: str
    hint: str
    names_itself: bool = False

    def in_document(self, document: Document) -> Problem:
        places = document.keys if self.on_key else document.values
        name = "" if self.names_itself else dotted(self.path)
        what = f"{name}: {self.what}" if name else self.what
        ways = (
            self.path[:length] for length in range(len(self.path), -1, -1)
        )  # what is missing has its parent's place
        place = next((places[way] for way in ways if way in places), TOP)
        return Problem(document.name, *place, what, self.hint)


def in_document(error: ValidationError, model: type[BaseModel], document: Document) -> list[Problem]:
    """Every mistake with its place. What could not be read was reported then, and is not again."""
    return [
        mistake.in_document(document)
        for mistake in located(error, model, document.data)
        if not any(mistake.path[: len(path)] == path for path in document.unread)
    ]


def located(error: ValidationError, model: type[BaseModel], data: object) -> list[Located]:
    """Every mistake once, in the order of pydantic's finding.

    A union reports each of its branches: where one branch fits so far as to complain about something inside, that is
    the mistake; otherwise what the branches need is said in one sentence.
    """
    groups: dict[Path, list[dict[str, Any]]] = {}
    for details in error.errors(include_url=False):
        groups.setdefault(_path(details["loc"], model, data), []).append(dict(details))
    outer = {path[:length] for path in groups for length in range(len(path))}
    inner = [path for path in groups if path not in outer]
    return [_locate(path, groups[path], model) for path in inner[: MAX_PROBLEMS + 1]]


def invalid(name: str, found: Iterable[Problem], what: str) -> InvalidInput:
    """The error of all these problems, by file and place; of very many, the first."""
    ordered = sorted(found, key=lambda problem: (problem.file, problem.line, problem.column))
    if len(ordered) > MAX_PROBLEMS:
        ordered = [*ordered[:MAX_PROBLEMS], Problem(name, 0, 0, "and more mistakes after these")]
    return InvalidInput(what, where=name, problems=tuple(ordered))


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`did you mean `x`?` for the nearest known words, or nothing."""
    from difflib import get_close_matches

    names = sorted(known)
    lowered = {name.lower(): name for name in reversed(names)}
    near = [lowered[match] for match in get_close_matches(word.lower()[:80], lowered, n=2, cutoff=cutoff)]
    return f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""


def dotted(path: Path) -> str:
    """`resources.cpus`, `needs[2]`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part[:64]}" for part in path)
    return "".join(parts).removeprefix(".")


def show(value: object) -> str:
    """How a message names a value that it was given."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}..."'
        case int() | float():
            return f"the number {value}"
        case Mapping():
            return "fields"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case _:
            return type(value).__name__


# --- where


def _path(loc: Sequence[str | int], model: type[BaseModel], data: object) -> Path:
    """pydantic's location without the names of union branches: what leads on through the data, and a field that is missing."""
    path: Path = ()
    for part in loc:
        if _leads_on(part, data):
            data = data[part]  # type: ignore[index]  # it leads on
            path = (*path, part)
        elif isinstance(part, str) and part in fields_at(model, path):
            return (*path, part)
    return path


def _leads_on(part: str | int, data: object) -> bool:
    if isinstance(data, list | tuple):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, Mapping) and part in data


# --- what


def _locate(path: Path, errors: list[dict[str, Any]], model: type[BaseModel]) -> Located:
    first = errors[0]
    kind, name = first["type"], dotted(path)
    if kind == "missing":
        example = _example(model, path)
        hint = f"add `{path[-1]}: {example}`" if example else "add it"
        return Located(path, False, f"`{name}` is missing", hint, names_itself=True)
    if kind == "extra_forbidden":
        known = fields_at(model, path[:-1])
        hint = (
            _home(model, str(path[-1]))
            or did_you_mean(str(path[-1]), known)
            or f"known here: {', '.join(sorted(known))}"
        )
        return Located(path, True, f"unknown field `{name}`", hint, names_itself=True)
    on_key = bool(first["loc"]) and first["loc"][-1] == "[key]"
    if kind == "value_error":
        what, _, hint = str(first["ctx"]["error"]).partition("; ")
    else:
        what, hint = _sentence(errors, first["input"])
    return Located(path, on_key, what, hint)


_NEEDS = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "path_type": "a path",
    "tuple_type": "a list, such as [a, b]",
    "dict_type": "fields, as `key: value`",
    "model_type": "fields, as `key: value`",
    "model_attributes_type": "fields, as `key: value`",
}

_LIMITS: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda ctx: f"must be more than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']:g}",
    "less_than": lambda ctx: f"must be less than {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']:g}",
    "string_too_long": lambda ctx: f"may have at most {ctx['max_length']} characters",
    "string_too_short": lambda _ctx: "must not be empty",
    "too_long": lambda ctx: f"may have at most {ctx['max_length']} entries",
    "too_short": lambda _ctx: "must not be empty",
}


def _sentence(errors: list[dict[str, Any]], value: object) -> tuple[str, str]:
    """What the value needs, what it got, and how to mend it."""
    kinds = [error["type"] for error in errors]
    if limit := next((error for error in errors if error["type"] in _LIMITS), None):
        got = f", got {show(value)}" if isinstance(value, int | float) else ""
        return _LIMITS[limit["type"]](limit["ctx"]) + got, ""
    if choice := next((error for error in errors if error["type"] in ("enum", "literal_error")), None):
        known = re.findall(r"'((?:[^'\\]|\\.)*)'", choice["ctx"]["expected"]) or [choice["ctx"]["expected"]]
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        return f"must be {_one_of(known)}, got {show(value)}", hint
    if pattern := next((error for error in errors if error["type"] == "string_pattern_mismatch"), None):
        return f"{show(value)} does not fit {pattern['ctx']['pattern']}", ""
    needs = list(dict.fromkeys(_NEEDS[kind] for kind in kinds if kind in _NEEDS))
    if "a number" in needs and "a whole number" in needs:
        needs.remove("a whole number")
    if not needs:
        return str(errors[0]["msg"])[:1].lower() + str(errors[0]["msg"])[1:], ""
    return f"needs {_one_of(needs)}, got {show(value)}", _mend(value, needs)


def _mend(value: object, needs: Sequence[str]) -> str:
    if value is None:
        return "fill it, or remove the line"
    if isinstance(value, str) and any("number" in need for need in needs) and re.fullmatch(r"[-+]?[0-9.]+", value):
        return "remove the quotes"
    if (
        isinstance(value, str)
        and "true or false" in needs
        and value.lower() in ("yes", "no", "on", "off", "true", "false")
    ):
        return "write true or false, without quotes"
    if isinstance(value, bool | int | float) and "a text" in needs:
        return "put it in quotes"
    if isinstance(value, str | int | float) and list(needs) == [_NEEDS["tuple_type"]]:
        return f"write [{value}]" if len(str(value)) <= 40 else "put it in [ ]"
    return ""


def _one_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


# --- the models behind


def fields_at(model: type[BaseModel], path: Path) -> dict[str, Any]:
    """The names of the fields that the model has at that place, with their definitions; none for a free mapping."""
    for part in path:
        field = _by_key(model).get(str(part))
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return {}
        model = inner
    return _by_key(model)


def _by_key(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
    return None


def _home(model: type[BaseModel], key: str) -> str:
    """Where a field of that name belongs, if there is one elsewhere: `gpus` under `resources`."""
    if key in _by_key(model):
        return f"`{key}` belongs to the top level"
    sections = [name for name in _by_key(model) if key in fields_at(model, (name,))]
    return f"`{key}` belongs under `{sections[0]}`" if sections else ""


def _example(model: type[BaseModel], path: Path) -> str:
    field = fields_at(model, path[:-1]).get(str(path[-1]))
    if field is None:
        return ""
    if field.examples:
        return str(field.examples[0])
    options = field.annotation
    if isinstance(options, type) and issubclass(options, Enum):
        return str(next(iter(options)).value)
    return str(get_args(options)[0]) if get_origin(options) is Literal else ""
