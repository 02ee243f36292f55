"""What one call of the command line works with: the flags given everywhere, and the doors to the rest of carbonq."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import typer

    from carbonq.client import Client, Grid
    from carbonq.settings import Settings


@dataclass
class Session:
    """`given` replaces parts of carbonq by name, for tests; nothing of a part is loaded before it is used."""

    given: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, object] = field(default_factory=dict)
    json: bool = False
    debug: bool = False

    def part(self, name: str) -> Any:
        """`bootstrap`, `demo`, `doctor` or `up`: the modules that the command line drives."""
        from importlib import import_module

        return self.given[name] if name in self.given else import_module(f"carbonq.{name}")

    def add_flags(self, **flags: object) -> None:
        """Take in a command's own settings; None means not given."""
        self.flags = {**self.flags, **{name: value for name, value in flags.items() if value is not None}}

    @cached_property
    def settings(self) -> Settings:
        return cast("Settings", self.part("bootstrap").settings(self.flags))

    @cached_property
    def client(self) -> Client:
        return cast("Client", self.part("bootstrap").client(self.settings))

    @cached_property
    def grid(self) -> Grid:
        return cast("Grid", self.part("bootstrap").grid(self.settings))


def of(ctx: typer.Context) -> Session:
    return cast("Session", ctx.obj)
