"""One namespace on one server: sends commands, tells a person what is wrong, and refuses a server not fit for jobs."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import NoPermissionError, NoScriptError, OutOfMemoryError, ReadOnlyError
from redis.retry import Retry

from carbonq.domain.errors import InvalidInput, QueueRefused, QueueUnreachable
from carbonq.scheduler.queue.keys import Keys
from carbonq.scheduler.queue.migrations import CURRENT, Migration, bring_up_to_date
from carbonq.scheduler.queue.rules import MIN_SERVER_VERSION
from carbonq.scheduler.queue.scripts import Argument, Reply, Scripts, packaged_sources

CONNECT_TIMEOUT_S = 3.0
REPLY_TIMEOUT_S = 15.0
BLOCK_S = 5.0  # the longest single blocking read: well below the reply's timeout
WINDOW = 8  # runs of a script on their way: enough to keep both sides busy
PIPELINE = 500  # commands in flight: bounds what either side holds

StreamEntry = tuple[bytes, dict[bytes, bytes]]


class Store:
    """The adapters' common ground. Connects at the first call, and looks the server over once."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        where: str,
        namespace: str = "carbonq",
        sources: Mapping[str, str] | None = None,
        migrations: Mapping[int, Migration] | None = None,
    ) -> None:
        self.keys = Keys(namespace)
        self.where = where
        self.scripts = Scripts(self.keys.root, packaged_sources() if sources is None else sources)
        self._client = client
        self._send: Callable[..., Reply] = client.execute_command
        self._migrations = migrations
        self._checked = False

    @classmethod
    def connect(cls, url: str, *, namespace: str = "carbonq", sources: Mapping[str, str] | None = None) -> "Store":
        """A store at `redis://`, `rediss://` or `unix://`. Opens no connection yet. Raises InvalidInput for the URL."""
        try:
            client = redis.Redis.from_url(
                url,
                socket_connect_timeout=CONNECT_TIMEOUT_S,
                socket_timeout=REPLY_TIMEOUT_S,
                # Once more for a connection that went stale while idle. Not after a timeout: the server may be at it.
                retry=Retry(ConstantBackoff(0.05), 1, supported_errors=(redis.ConnectionError,)),
            )
        except ValueError as error:
            raise InvalidInput(f"not a Redis URL: {error}", where=without_password(url)) from error
        return cls(client, where=without_password(url), namespace=namespace, sources=sources)

    def close(self) -> None:
        self._client.close()

    def call(self, *command: Argument) -> Reply:
        self._ensure_fit()
        with self._explained():
            return self._send(*command)

    def calls(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """Many commands in few round trips, each by itself. Raises the first error."""
        self._ensure_fit()
        replies: list[Reply] = []
        with self._explained():
            for first in range(0, len(commands), PIPELINE):
                replies += self._pipelined(commands[first : first + PIPELINE])
        return replies

    def run(self, script: str, *arguments: Argument, keys: Sequence[str] = ()) -> Reply:
        self._ensure_fit()
        with self._explained():
            try:
                return self._send(*self.scripts.by_hash(script, arguments, keys))
            except NoScriptError:
                return self._send(*self.scripts.by_text(script, arguments, keys))

    def run_many(self, script: str, calls: Iterable[Sequence[Argument]]) -> list[Reply]:
        """One script with many sets of arguments; each run is atomic by itself. Later ones are made while the server is
        at the earlier ones."""
        rest = iter(calls)
        first = next(rest, None)
        if first is None:
            return []
        reply = self.run(script, *first)  # from here on the server knows the script
        with self._explained():
            return [reply, *self._streamed(self.scripts.by_hash(script, arguments) for arguments in rest)]

    def _streamed(self, commands: Iterable[Sequence[Argument]]) -> Iterator[Reply]:
        """Replies to commands of which a few are always on their way."""
        second = next(commands := iter(commands), None)
        if second is None:
            return
        pool = self._client.connection_pool
        connection: Any = pool.get_connection()
        outstanding = 0
        try:
            for command in chain([second], commands):
                connection.send_command(*command)
                outstanding += 1
                if outstanding == WINDOW:
                    yield connection.read_response()
                    outstanding -= 1
            for _ in range(outstanding):
                yield connection.read_response()
                outstanding -= 1
        finally:
            if outstanding:  # its replies would be taken for another call's
                connection.disconnect()
            pool.release(connection)

    def atomically(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """All or none of the commands (MULTI)."""
        self._ensure_fit()
        with self._explained():
            return self._pipelined(commands, transaction=True)

    def update(self, key: str, change: Callable[[bytes | None], str]) -> None:
        """Replace a text by what `change` makes of it; again where another process was faster."""
        self._ensure_fit()
        with self._explained():
            self._client.transaction(lambda pipeline: _replace(pipeline, key, change), key)

    def read_stream(self, stream: str, after: str, *, limit: int, block_s: float) -> list[StreamEntry]:
        """Entries after that id, waiting up to `block_s` for the first."""
        give_up = time.monotonic() + block_s
        while True:
            left_s = give_up - time.monotonic()
            block = ("BLOCK", max(1, int(min(left_s, BLOCK_S) * 1000))) if left_s > 0 else ()
            found = self.call("XREAD", "COUNT", limit, *block, "STREAMS", stream, after or "0-0")
            if found or left_s <= 0:
                return [entry for _, entries in _streams(found) for entry in entries]

    def inspect(self) -> None:
        """Look the server over. Raises QueueUnreachable or QueueRefused."""
        self._checked = False
        self._ensure_fit()

    def _ensure_fit(self) -> None:
        if self._checked:
            return
        with self._explained():
            _refuse_unfit(self._send("INFO"), self.where)
            version = int(self._send(*self.scripts.by_text("open", [CURRENT])))
            if version != CURRENT:
                bring_up_to_date(self._client, self.keys, version, self._migrations)
        self._checked = True

    def _pipelined(self, commands: Sequence[Sequence[Argument]], *, transaction: bool = False) -> list[Reply]:
        with self._client.pipeline(transaction=transaction) as pipeline:
            queue: Callable[..., Reply] = pipeline.execute_command
            for command in commands:
                queue(*command)
            return pipeline.execute()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in a person's words what the server or the network says in its own."""
        try:
            yield
        except (redis.AuthenticationError, NoPermissionError) as error:
            raise QueueRefused(
                f"the server wants another user or password: {error}",
                where=self.where,
                hint="write them into CARBONQ_REDIS_URL: redis://user:password@host:port",
            ) from error
        except (
            redis.ConnectionError,
            redis.TimeoutError,
            ReadOnlyError,
            NoScriptError,
        ) as error:  # it has just come back
            raise QueueUnreachable(
                f"the queue's server does not answer: {error}",
                where=self.where,
                hint="start one with `carbonq up`, or set CARBONQ_REDIS_URL to the one that runs",
            ) from error
        except OutOfMemoryError as error:
            raise QueueRefused(
                "the server's memory is full",
                where=self.where,
                hint="raise its maxmemory, or delete old jobs by a shorter retention; nothing is lost",
            ) from error
        except redis.RedisError as error:
            raise QueueRefused(f"the server refuses: {error}", where=self.where) from error


def _replace(pipeline: Any, key: str, change: Callable[[bytes | None], str]) -> None:
    text = change(pipeline.get(key))
    pipeline.multi()
    pipeline.set(key, text)


def _refuse_unfit(info: Mapping[str, str | int], where: str) -> None:
    version = str(info.get("redis_version", "0"))
    if int(version.split(".", maxsplit=1)[0]) < MIN_SERVER_VERSION:
        raise QueueRefused(
            f"the server is version {version}; carbonq needs Redis {MIN_SERVER_VERSION} or Valkey", where=where
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise QueueRefused(
            f"the server may throw jobs away: its maxmemory-policy is {policy}",
            where=where,
            hint="run `redis-cli config set maxmemory-policy noeviction`, and write it into its configuration file",
        )


def without_password(url: str) -> str:
    """The URL as it may be shown and logged."""
    in_authority = re.sub(r"(?<=://)([^:/@]*):.*@", r"\1:***@", url)
    return re.sub(r"(?<=[?&]password=)[^&]*", "***", in_authority)


def _streams(found: Reply) -> Iterator[tuple[bytes, list[Reply]]]:
    """XREAD's reply: pairs in RESP2, a map in RESP3, nothing at the end of the waiting time."""
    return iter(found.items() if isinstance(found, dict) else found or ())
