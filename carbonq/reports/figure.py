"""A plot on the page: picture, legend, the notes that keep it honest, and the same numbers as a table."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from carbonq.reports.markup import Markup, element, join

LEFT, RIGHT, WIDTH = 176.0, 24.0, 1000.0
"""Margins and width of every plot, so that their time axes stand below each other."""


class Key(NamedTuple):
    """One entry of a legend: a swatch drawn as the plot draws it, and what it stands for."""

    swatch: str
    words: str


class Figure(NamedTuple):
    title: str
    lede: str
    picture: Markup
    keys: Sequence[Key]
    tables: Sequence[Markup]
    notes: Sequence[str] = ()


def figure(one: Figure) -> Markup:
    legend = element("ul", join(_key(key) for key in one.keys), class_="legend") if one.keys else None
    return element(
        "figure",
        element("figcaption", element("h2", one.title), element("p", one.lede) if one.lede else None),
        legend,
        element("div", one.picture, class_="scroll"),
        *(element("p", note, class_="note") for note in one.notes),
        element(
            "details",
            element("summary", "The same as a table"),
            *(
                element("div", table, class_="scroll", tabindex="0", role="region", aria_label=one.title)
                for table in one.tables
            ),
        ),
    )


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> Markup:
    """A table whose first `words` columns are text, the others figures; the first cell of a row is its heading."""

    def cell(tag: str, index: int, content: str, scope: str | None) -> Markup:
        return element(tag, content, scope=scope, class_=None if index < words else "figure")

    head = join(cell("th", index, heading, "col") for index, heading in enumerate(headings))
    body = join(
        element(
            "tr",
            *(cell("td" if i else "th", i, content, None if i else "row") for i, content in enumerate(row)),
        )
        for row in rows
    )
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", head)),
        element("tbody", body),
    )


def _key(key: Key) -> Markup:
    lines = {"line": "M1 7H27", "deadline": "M14 1V13"}
    kind = key.swatch.partition(" ")[0].partition("-")[0]
    swatch = element(
        "svg",
        element("path", d=lines[kind], class_=key.swatch)
        if kind in lines
        else element("rect", x="1", y="2", width="26", height="10", class_=key.swatch),
        viewBox="0 0 28 14",
        width="28",
        height="14",
        aria_hidden="true",
    )
    return element("li", swatch, key.words)
