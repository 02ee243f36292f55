"""HTML and SVG that escape by default: only what `element` made goes through as it is."""

import re
from collections.abc import Iterable
from html import escape

from carbonq.reports.format import printable

_JOINED = re.compile(r"(?<=[gt])CO2e")
MINUS = "\N{MINUS SIGN}"
_VOID = frozenset({"meta", "path", "rect", "line", "circle", "stop", "use"})
Attribute = str | float | bool | None


class Markup(str):
    """Text that is already safe inside a page."""

    __slots__ = ()

    def __add__(self, other: str) -> "Markup":
        return Markup(str.__add__(self, text(other)))


def element(tag: str, *children: str | None, **attributes: Attribute) -> Markup:
    """`<tag attributes>children</tag>`; plain text in it is escaped, None left out.

    `class_` and `aria_label` stand for `class` and `aria-label`; True is a bare attribute, None and False none at all.
    """
    inside = "".join(text(child) for child in children if child is not None)
    opening = f"<{tag}{''.join(_attribute(name, value) for name, value in attributes.items())}"
    return Markup(f"{opening}/>" if tag in _VOID and not inside else f"{opening}>{inside}</{tag}>")


def join(parts: Iterable[str], between: str = "") -> Markup:
    return Markup(text(between).join(text(part) for part in parts))


def text(part: str) -> Markup:
    """`part` as text of a page: markup stays, everything else is escaped and made printable."""
    return part if isinstance(part, Markup) else Markup(escape(printable(part)))


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {written}"
    shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {written}="{escape(printable(shown))}"'


def typeset(words: str) -> str:
    """Our own sentences as a page sets them: a true minus and the small two of CO₂e."""
    signed = MINUS + words[1:] if words.startswith("-") else words
    return _JOINED.sub(" CO2e", signed).replace(" -", f" {MINUS}").replace("CO2e", "CO₂e")
