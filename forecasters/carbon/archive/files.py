"""Whole files or none: what a crash, a full disk or a second writer can't spoil."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from carbonq.domain.errors import StorageFailed

_LOOK_AGAIN_S = 0.01


def write_whole(path: Path, data: bytes) -> None:
    """Replace the file. After a power failure it is the former or the new one, and the new one for certain after
    `sync_folder`. Raises StorageFailed; then the former is untouched."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _make_folder(path.parent)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise storage_failed("write", path, error) from error


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left behind. Only for who holds the lock: other writers' files look the same."""
    for leftover in folder.glob(".*.tmp"):
        remove(leftover)


def set_aside(path: Path) -> Path:
    """Rename a file that can't be used, so that it is neither read nor lost. Raises StorageFailed."""
    number = 0
    while (aside := path.with_name(f"{path.name}.damaged{number or ''}")).exists():
        number += 1
    try:
        path.replace(aside)
    except OSError as error:
        raise storage_failed("rename", path, error) from error
    return aside


@contextmanager
def locked(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock file; the kernel frees it with the process. Waits for another holder, then raises StorageFailed."""
    try:
        _make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise storage_failed("write", path, error) from error
    try:
        _acquire(descriptor, path, time.monotonic() + wait_s)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames and removals within it outlast a power failure. Raises StorageFailed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_failed("sync", folder, error) from error


def read_whole(path: Path) -> bytes | None:
    """The content; None where there is no such file. Raises StorageFailed."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_failed("read", path, error) from error


def remove(path: Path) -> None:
    """Raises StorageFailed."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_failed("remove", path, error) from error


def storage_failed(verb: str, path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"cannot {verb} {path.name}: {error.strerror or error}",
        where=str(path.parent),
        hint="is there room, and is the folder this user's? What was kept before is untouched",
    )


def _acquire(descriptor: int, path: Path, until_s: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until_s:
                raise StorageFailed(
                    "another process is writing", where=str(path), hint="it should be done soon; try again"
                ) from None
        except OSError as error:
            raise storage_failed("lock", path, error) from error
        time.sleep(_LOOK_AGAIN_S)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
