"""A job's output on its way to the terminal: text and colours pass, what would drive the terminal is spelled out."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator

_COLOUR = rb"\x1b\[[0-9;:]*m"
# Colours stay, and so do tab, line feed and carriage return; all else below a space, DEL and C1 as UTF-8 has them go.
_TOKEN = re.compile(rb"(" + _COLOUR + rb")|([\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f])")
_UNFINISHED = re.compile(rb"(?:\x1b(?:\[[0-9;:]{0,32})?|\xc2)\Z")  # may become a colour, or a C1, with the next chunk
RESET = b"\x1b[0m"


def tame(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks without control sequences other than colours, and without those where NO_COLOR is set."""
    colour = not os.environ.get("NO_COLOR")
    held, coloured = b"", False

    def spell(match: re.Match[bytes]) -> bytes:
        nonlocal coloured
        if match[1]:
            coloured = coloured or colour
            return match[1] if colour else b""
        return b"^" + bytes([match[2][-1] & 0x1F | 0x40]) if match[2] != b"\x7f" else b"^?"

    for chunk in chunks:
        data = held + chunk
        tail = _UNFINISHED.search(data)
        held = tail[0] if tail else b""
        yield _TOKEN.sub(spell, data[: len(data) - len(held)])
    yield _TOKEN.sub(spell, held) + (RESET if coloured else b"")


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole lines as text, whatever the chunks' borders; bytes that are no UTF-8 become replacement characters."""
    held = b""
    for chunk in chunks:
        *whole, held = (held + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if held:
        yield held.decode(errors="replace")


def write(chunks: Iterable[bytes]) -> bool:
    """Write to stdout as it comes; whether there was anything."""
    printed = False
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        printed = printed or bool(chunk)
    return printed
