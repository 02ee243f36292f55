"""Files that commands write: whole or not at all, where they can be written, and never over what was read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from carbonq.cli.output import note

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_place(name: str, given: Iterable[str] = ()) -> None:
    """Before minutes of work: whether a file can be written there that is none of the given ones.

    Raises NotFound and InvalidInput; OSError where nothing can be written.
    """
    from carbonq.domain.errors import InvalidInput, NotFound

    path = Path(name).resolve()
    if not path.parent.is_dir():
        raise NotFound(f"there is no folder {Path(name).parent}", where=name, hint="make it, or name another one")
    if path.is_dir():
        raise InvalidInput(f"{name} is a folder", hint="name a file in it")
    if any(_is_same(path, Path(other)) for other in given):
        raise InvalidInput(f"{name} is a file of this command already", hint="name another file to write")
    if not _is_special(path):
        beside = _beside(path)
        beside.touch()
        beside.unlink()


def deliver(text: str, name: str) -> None:
    """A reader sees the old file or the new one, never half of it. Raises OSError; then the old one is untouched."""
    path = Path(name).resolve()
    if _is_special(path):  # such as /dev/null, which must stay what it is
        path.write_text(text, encoding="utf-8")
        return
    beside = _beside(path)
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    note(f"wrote {name}")


def _is_same(path: Path, other: Path) -> bool:
    return path == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


def _is_special(path: Path) -> bool:
    """A device, a pipe: something to write into, not to replace."""
    return path.exists() and not path.is_file()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")
