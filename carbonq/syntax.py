"""YAML's syntax errors in a person's words: where, what, and how to mend it. libyaml and PyYAML differ in theirs: both are met."""

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from yaml import MarkedYAMLError


class Place(NamedTuple):
    """A place in a file, counted from 1."""

    line: int
    column: int


class Finding(NamedTuple):
    place: Place
    what: str
    hint: str


_NO_SPACE = r"^(\s*(?:- )?)([A-Za-z_][\w.-]*):(?=[^\s/:])(.*)"
_FIELD = r"^\s*(?:- +)?(?P<key>[\w.-]+): +(?P<value>\S.*?)\s*$"
ALIGN = "indent fields of one level alike"


def missing_space(text: str) -> Finding | None:
    """The first line that looks like `key:value`, which YAML takes for one word."""
    for number, line in enumerate(text.split("\n"), 1):
        if match := re.match(_NO_SPACE, line):
            fixed = f"{match[2]}: {_short(match[3].strip())}"
            return Finding(Place(number, match.end(2) + 1), "a colon needs a space after it", f"write `{fixed}`")
    return None


def explain(text: str, error: "MarkedYAMLError") -> Finding:
    """What is wrong where the parser gave up."""
    lines = text.split("\n")
    mark = error.problem_mark or error.context_mark
    opened = error.context_mark or mark
    assert mark is not None  # noqa: S101  # a scanner's or a parser's error has one of both
    assert opened is not None  # noqa: S101  # as above
    line = _line(lines, mark.line)
    place, start = Place(mark.line + 1, mark.column + 1), Place(opened.line + 1, opened.column + 1)
    problem, context = error.problem or "", error.context or ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return Finding(Place(place.line, line.index("\t") + 1), "a tab cannot indent a line", "use spaces")
    if "quoted scalar" in context and "end of stream" in problem:
        return Finding(start, "this quote is never closed", "close it where the text ends")
    if "escape" in problem:
        what = "a backslash in double quotes begins an escape, and this is none"
        return Finding(place, what, "use single quotes, or \\\\")
    if "flow" in context:
        bracket = _line(lines, opened.line)[opened.column :][:1]
        where = f"the `{bracket}` of line {start.line}" if bracket in ("[", "{") else "a `[` or `{` above"
        what = f"{where} is not closed here, or a comma is missing"
        return Finding(place, what, "write it like [a, b] or {a: 1, b: 2}")
    if found := _after_quote(line, place) or missing_space(text):
        return found
    if "cannot start any token" in problem:
        begin = line[mark.column : mark.column + 1]
        return Finding(place, f"a text cannot begin with {begin!r}", "put the text in quotes")
    if "mapping values are not allowed" in problem:
        return _second_colon(line, place)
    if "expected ':'" in problem:
        if re.search(r"[|>][-+]?\s*$", _line(lines, opened.line - 1)):
            return Finding(start, "a text in lines begins above, and this line is not indented", "indent its lines")
        return Finding(start, "this line is no field", "write it like `key: value`, with a space after the colon")
    if "<block end>" in problem or "expected key" in problem or "entries are not allowed" in problem:
        return Finding(place, "this does not fit the lines above", ALIGN)
    if "alias" in context or "anchor" in context:
        what = "`*` and `&` begin an alias or an anchor, which are not allowed"
        return Finding(place, what, "put the text in quotes")
    if "tag" in context:
        return Finding(place, "`!` begins a tag, which is not allowed", "put the text in quotes")
    return Finding(place, f"not valid YAML: {problem}", "compare with the example in the reference of the job file")


def _line(lines: list[str], index: int) -> str:
    """A line from 0, or nothing: the parsers also count Unicode's line ends, which editors do not."""
    return lines[index] if 0 <= index < len(lines) else ""


def _after_quote(line: str, place: Place) -> Finding | None:
    """`run: "a" && "b"`: the text seems to go on after its closing quote."""
    field = re.match(_FIELD, line)
    if field is None or field["value"][0] not in "'\"" or place.column <= field.start("value") + 1:
        return None
    fixed = f"write `{field['key']}: {_quoted(field['value'])}`"
    return Finding(place, "a text cannot go on after its closing quote", fixed)


def _second_colon(line: str, place: Place) -> Finding:
    field = re.match(_FIELD, line)
    if field is None or not re.search(r":(\s|$)", field["value"]):
        return Finding(place, "this line is indented too far, or the line above is no field", ALIGN)
    if re.match(r"[a-z_]+: ", field["value"]):
        hint = f"begin a new, indented line after `{field['key']}:`, or quote the value if it is one text"
    else:
        hint = f"write `{field['key']}: {_quoted(field['value'])}`"
    return Finding(place, "a value with `: ` in it needs quotes", hint)


def _quoted(text: str) -> str:
    return "'" + _short(text).replace("'", "''") + "'"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
