"""YAML 1.2 as people write it, read into plain values with their places. Bounded: a file cannot hurt its reader.

PyYAML's event parser does the syntax; plain words are resolved here by the core schema of YAML 1.2, so that `NO` is
Norway and `18:30` is a text. Not allowed, because a settings file needs none of it: anchors, aliases, tags, several
documents, repeated keys, NUL characters, numbers without a finite value. Source: https://yaml.org/spec/1.2.2/#103-core-schema
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, NamedTuple

from carbonq.domain.errors import InvalidInput, NotFound, Problem
from carbonq.syntax import Place, explain

if TYPE_CHECKING:
    from yaml.events import Event, ScalarEvent

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_DIGITS = 100
MAX_PROBLEMS = 100  # more help nobody, and finding words for each takes time

Path = tuple[str | int, ...]
"""The way to a value: the keys and list positions from the top."""


TOP = Place(1, 1)


class Document(NamedTuple):
    """A file's content as None, bool, int, float, str, list and dict, and where each value and each key begins."""

    name: str
    data: Any
    values: dict[Path, Place]
    keys: dict[Path, Place]
    written: dict[Path, str]
    """How a plain word looked that became something other than text: `1.10`, `true`."""
    problems: tuple[Problem, ...]
    unread: frozenset[Path]
    """Where a value could not be read; None stands for it."""


def read_bytes(path: File) -> bytes:
    """A file's bytes, one more than allowed at most. Raises NotFound and InvalidInput."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(f"no file {str(path)!r}", hint=f"looked in {path.absolute().parent}") from None
    except IsADirectoryError:
        raise InvalidInput(f"{str(path)!r} is a folder", hint="name a file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInput(f"cannot read {str(path)!r}: {reason}", hint="check the path and its permissions") from None


def read(document: bytes, name: str) -> Document:
    """Read one YAML document; an empty one gives None. Mistakes that leave the rest readable are in `problems`.

    Raises InvalidInput where the syntax ends the reading.
    """
    text = _decode(document, name)
    return _Reader(name).read(text)


def resolve(word: str) -> bool | int | float | str | None:
    """What a plain word means in the core schema of YAML 1.2. Raises ValueError for a number out of all bounds."""
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if match := re.fullmatch(_INT, word):
        if len(word) > MAX_DIGITS:
            raise ValueError(f"a number of {len(word)} digits is more than any setting needs")
        return int(match["octal"], 8) if match["octal"] else int(match["hex"], 16) if match["hex"] else int(word)
    if re.fullmatch(_FLOAT, word):
        number = float(word)
        if not math.isfinite(number) or len(word) > MAX_DIGITS:
            raise ValueError(f"{_short(word)} is more than a number can hold")
        return number
    if re.fullmatch(_NOT_FINITE, word):
        raise ValueError(f"{word} is not a finite number")
    return word


# Patterns are texts, which `re` compiles and keeps at their first use: every command imports this, few read a file.
_CONSTANTS: dict[str, bool | None] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_CONSTANTS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_INT = r"[-+]?[0-9]+|0o(?P<octal>[0-7]+)|0x(?P<hex>[0-9a-fA-F]+)"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_NOT_FINITE = r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"


# --- bytes to text

_UNPRINTABLE = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
_UNPASSABLE = "[\0\ud800-\udfff]"  # no program can be handed them; escapes in quotes may spell them
_JSON_PAIR = r"((?<!\\)(?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"


def _decode(document: bytes, name: str) -> str:
    if len(document) > MAX_BYTES:
        raise _fatal(name, None, f"the file is larger than {MAX_BYTES // 1024} KiB", "keep data in files of its own")
    try:
        text = document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = document[: error.start].decode("utf-8-sig", "replace")
        raise _fatal(name, _place_at(before, len(before)), "the file is not UTF-8 text", "save it as UTF-8") from None
    if match := re.search(_UNPRINTABLE, text):
        what = f"the character U+{ord(match[0]):04X} is not allowed in a text file"
        raise _fatal(name, _place_at(text, match.start()), what, "remove it")
    return re.sub(_JSON_PAIR, _join_pair, text) if "\\ud" in text.lower() and _is_json(text) else text


def _is_json(text: str) -> bool:
    """JSON escapes characters beyond U+FFFF as a pair, which YAML, otherwise its superset, does not know."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _join_pair(match: re.Match[str]) -> str:
    character = json.loads('"' + match[2] + '"')
    return f"{match[1]}\\U{ord(character):08x}"


def _place_at(text: str, index: int) -> Place:
    line = text.count("\n", 0, index)
    return Place(line + 1, index - (text.rfind("\n", 0, index) + 1) + 1)


def _fatal(name: str, place: Place | None, what: str, hint: str = "") -> InvalidInput:
    line, column = place or (0, 0)
    return InvalidInput(what, where=name, hint=hint, problems=(Problem(name, line, column, what, hint),))


# --- text to values


class _Reader:
    """Walks the parser's events once and keeps what it finds on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.written: dict[Path, str] = {}
        self.problems: list[Problem] = []
        self.unread: set[Path] = set()

    def read(self, text: str) -> Document:
        import yaml

        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml's where PyYAML was built with it
        self.events: Iterator[Event] = yaml.parse(text, Loader=loader)
        try:
            data = self._document()
        except yaml.MarkedYAMLError as error:
            raise self._give_up(*explain(text, error)) from None
        return Document(
            self.name, data, self.values, self.keys, self.written, tuple(self.problems), frozenset(self.unread)
        )

    def _document(self) -> Any:
        from yaml import events

        data: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._complain(_start(event), "a second document begins here", "keep one job a file")
                    break
                data = self._value(next(self.events), ())
        return data

    def _value(self, event: "Event", path: Path) -> Any:
        """The value that begins with this event, and nothing after it."""
        from yaml import events

        self.values[path] = place = _start(event)
        if isinstance(event, events.AliasEvent):
            self._complain(place, f"the alias *{event.anchor} is not allowed", "write the value out", unread=path)
            return None
        if isinstance(event, events.NodeEvent) and event.anchor is not None:
            self._complain(place, f"the anchor &{event.anchor} is not allowed", "remove it")
        if getattr(event, "tag", None) is not None:
            self._complain(place, f"the tag {_tag(event.tag)} is not allowed", "remove it")  # type: ignore[attr-defined]  # checked above
        if isinstance(event, events.ScalarEvent):
            return self._scalar(event, path, place)
        if len(path) >= MAX_DEPTH:
            raise self._give_up(place, f"more than {MAX_DEPTH} levels of lists and fields", "flatten the file")
        return self._list(path) if isinstance(event, events.SequenceStartEvent) else self._mapping(path)

    def _scalar(self, event: "ScalarEvent", path: Path, place: Place) -> Any:
        text: str = event.value
        if re.search(_UNPASSABLE, text):
            self._complain(place, "a text with a NUL or half a character is not allowed", "remove it", unread=path)
            return None
        if event.style:  # quoted, or a block of lines; a plain word has None or "", by the parser
            return text
        try:
            value = resolve(text)
        except ValueError as error:
            self._complain(place, str(error), "put it in quotes if it is meant as text", unread=path)
            return None
        if not isinstance(value, str):
            self.written[path] = text
        return value

    def _list(self, path: Path) -> list[Any]:
        from yaml import events

        items: list[Any] = []
        while not isinstance(event := next(self.events), events.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        from yaml import events

        fields: dict[str, Any] = {}
        while not isinstance(event := next(self.events), events.MappingEndEvent):
            place = _start(event)
            if not isinstance(event, events.ScalarEvent):
                raise self._give_up(place, "a key must be a word", "write it like `key: value`, without [ ] { } * ?")
            if event.anchor is not None or event.tag is not None:
                self._complain(place, "an anchor or a tag on a key is not allowed", "remove it")
            key: str = event.value
            if key in fields:
                first = self.keys[*path, key]
                self._complain(
                    place, f"`{_short(key)}` was given before, in line {first.line}", "remove one of the two"
                )
                self._skip()
                continue
            self.keys[*path, key] = place
            fields[key] = self._value(next(self.events), (*path, key))
        return fields

    def _skip(self) -> None:
        """Read one value and forget it, however deep it is."""
        from yaml import events

        depth = 0
        for event in self.events:
            depth += isinstance(event, events.CollectionStartEvent) - isinstance(event, events.CollectionEndEvent)
            if depth == 0:
                return

    def _give_up(self, place: Place, what: str, hint: str) -> InvalidInput:
        self.problems.append(Problem(self.name, *place, what, hint))
        return InvalidInput("not readable", where=self.name, problems=tuple(self.problems))

    def _complain(self, place: Place, what: str, hint: str, *, unread: Path | None = None) -> None:
        if len(self.problems) <= MAX_PROBLEMS:
            self.problems.append(Problem(self.name, *place, what, hint))
        if unread is not None:
            self.unread.add(unread)


def _start(event: "Event") -> Place:
    mark = event.start_mark
    assert mark is not None  # noqa: S101  # every event of a parser has one
    return Place(mark.line + 1, mark.column + 1)


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
