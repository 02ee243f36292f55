"""The transitions as scripts: read from `lua/`, loaded once a server, run by their hash."""

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha1
from importlib import resources
from types import MappingProxyType
from typing import Any

from carbonq.scheduler.queue.keys import lua_names

Argument = str | bytes | int | float


_TRANSITION = """local function transition()
{}
end
local sound, answer = pcall(transition)
settle() -- also for what was done before an error: no job may drop out of the indexes
if sound then return answer end
return redis.error_reply(string.find(answer, '^%u+ ') and answer or 'ERR ' .. answer) -- the server's errors begin with a code
"""


@cache
def packaged_sources() -> Mapping[str, str]:
    """Each script's whole text by name: the names of the keys, then what all share, then its own as one function.

    After it the indexes are told what has changed: see `settle` in lib.lua.
    """
    folder = resources.files("carbonq.scheduler.queue") / "lua"
    texts = {entry.name.removesuffix(".lua"): entry.read_text("utf-8") for entry in folder.iterdir()}
    shared = lua_names() + texts.pop("lib")
    return MappingProxyType({name: shared + _TRANSITION.format(text) for name, text in texts.items()})


class Scripts:
    """Commands that run the scripts of one namespace. Pure: the store sends them."""

    def __init__(self, root: str, sources: Mapping[str, str]) -> None:
        self._root = root
        self._sources = sources
        # SHA-1 is what EVALSHA wants, not a safeguard.
        self._hashes = {name: sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in sources.items()}

    def by_hash(self, name: str, arguments: Sequence[Argument], keys: Sequence[str] = ()) -> tuple[Argument, ...]:
        return ("EVALSHA", self._hashes[name], 1 + len(keys), self._root, *keys, *arguments)

    def by_text(self, name: str, arguments: Sequence[Argument], keys: Sequence[str] = ()) -> tuple[Argument, ...]:
        return ("EVAL", self._sources[name], 1 + len(keys), self._root, *keys, *arguments)


Reply = Any
"""What redis-py makes of a reply: bytes, int, None, or a list of those."""
