"""From what a table is about to folders and back: `source=uk/zone=GB/…`, as Hive-partitioned data sets are laid out."""

import hashlib
from collections.abc import Iterable, Mapping
from itertools import chain
from urllib.parse import quote, unquote

_LONGEST = 100


def parts(about: Mapping[str, str]) -> tuple[str, ...]:
    """One folder for each. What a provider or a user named becomes one plain folder name, whatever it holds."""
    return tuple(f"{name}={_plain(value)}" for name, value in about.items())


def about(folders: tuple[str, ...], said: Iterable[Mapping[str, str]]) -> dict[str, str] | None:
    """What folders are about: by their names, or, where one was cut, by what the files in them say. None if neither fits."""
    pairs = [folder.partition("=") for folder in folders]
    names = {name: unquote(value, errors="surrogatepass") for name, _, value in pairs}
    for each in chain([names], said):
        if each.keys() >= names.keys():
            found = {name: each[name] for name in names}
            if parts(found) == folders:
                return found
    return None


def _plain(text: str) -> str:
    """Percent-encoded; a name that is too long for a folder is cut and marked with its digest."""
    name = quote(text, safe="", errors="surrogatepass")
    if len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
