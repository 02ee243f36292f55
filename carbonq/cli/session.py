"""What one call of the command line works with: the flags given everywhere, and the doors to the rest of carbonq."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import typer

    from carbonq.client import Client
    from carbonq.config import Settings


@dataclass
class Session:
    """`house` is `carbonq.bootstrap`, or what a test gives in its place; nothing of it is loaded before it is used."""

    given: Any = None
    flags: Mapping[str, object] = field(default_factory=dict)
    json: bool = False
    debug: bool = False

    @cached_property
    def house(self) -> Any:
        if self.given is None:
            from importlib import import_module

            return import_module("carbonq.bootstrap")
        return self.given

    def add_flags(self, **flags: object) -> None:
        """Take in a command's own settings; None means not given."""
        self.flags = {**self.flags, **{name: value for name, value in flags.items() if value is not None}}

    @cached_property
    def settings(self) -> Settings:
        return cast("Settings", self.house.settings(self.flags))

    @cached_property
    def client(self) -> Client:
        return cast("Client", self.house.client(self.settings))


def of(ctx: typer.Context) -> Session:
    return cast("Session", ctx.obj)
