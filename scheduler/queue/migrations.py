"""The layout's version, and the steps that bring an older namespace up to it, once, under a lock."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from uuid import uuid4

import redis

from carbonq.domain.errors import QueueRefused
from carbonq.scheduler.queue.keys import Keys

CURRENT = 1
LOCK_S = 60.0
POLL_S = 0.05

Migration = Callable[[redis.Redis, Keys], None]
"""Brings a namespace from one version to the next. Runs again after a crash: it must bear being repeated."""

MIGRATIONS: Mapping[int, Migration] = MappingProxyType({})
"""The step that leads away from each older version."""


def bring_up_to_date(
    client: redis.Redis,
    keys: Keys,
    version: int,
    migrations: Mapping[int, Migration] | None = None,
    current: int = CURRENT,
) -> None:
    """Run the steps from `version` to `current`; wait while another process runs them.

    Raises QueueRefused for a namespace that a newer carbonq wrote, and for a version without a way up.
    """
    steps = MIGRATIONS if migrations is None else migrations
    if version > current:
        raise QueueRefused(
            f"namespace {keys.namespace!r} was written by a newer carbonq (schema {version}, this one knows {current})",
            hint="upgrade with `pip install --upgrade carbonq`, or use another namespace",
        )
    missing = [step for step in range(version, current) if step not in steps]
    if missing:
        raise QueueRefused(
            f"namespace {keys.namespace!r} has schema {missing[0]}, which this carbonq cannot migrate",
            hint="upgrade in smaller steps, or use another namespace",
        )
    me = uuid4().hex
    while not client.set(keys.migrating, me, nx=True, px=int(LOCK_S * 1000)):
        time.sleep(POLL_S)
    try:
        while (version := int(client.get(keys.schema) or 0)) < current:
            steps[version](client, keys)
            client.set(keys.schema, version + 1)
    finally:
        if client.get(keys.migrating) == me.encode():
            client.delete(keys.migrating)
