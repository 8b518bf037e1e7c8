#!/usr/bin/env python3
"""Writes a file into a folder, unless the lock's token is older than one that was used there before.

    quipu lock run reports -- sh -c './report | fenced_files.py /srv/reports today.html'

The token is read from QUIPU_FENCE. Exit code 3: the token is stale, nothing was written.

All writers must come through here, on one machine, and the folder must be on a local file system. Two files are added
to it: `.fence`, the least token that is still accepted, and `.fence.lock`, which is locked while that is compared and the
file is written. Readers need no lock: they see the old file or the new one.
"""

import contextlib
import fcntl
import os
import sys
import tempfile
from pathlib import Path


class Stale(Exception):
    """A later holder of the lock has written to the folder: stop, do not retry."""


def write(folder: Path, name: str, data: bytes, token: int) -> None:
    """Raises `Stale` if `token` is less than the greatest that was used in this folder, and then writes nothing."""
    if name in ("", ".", "..", ".fence", ".fence.lock") or "/" in name:
        raise ValueError(f"{name!r} is not the name of a file in the folder")
    # Never renamed or removed: whoever waits for the lock must wait for the same file.
    with open(folder / ".fence.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        least = minimum(folder)
        if token < least:
            raise Stale(f"token {token} is stale: {least} was used in {folder}")
        # The fence first: a crash in between leaves the old file behind a raised fence, which is safe.
        if token > least:
            _replace(folder, ".fence", b"%d\n" % token)
        _replace(folder, name, data)


def minimum(folder: Path) -> int:
    """The least token that the folder still accepts."""
    try:
        return int((folder / ".fence").read_text())
    except FileNotFoundError:
        return 0


def _replace(folder: Path, name: str, data: bytes) -> None:
    """All or nothing, and still there after a power cut: rename is atomic, but only what was synced before it is sure."""
    descriptor, fresh = tempfile.mkstemp(dir=folder, prefix=".fresh-")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, folder / name)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        raise
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def main() -> int:
    if len(sys.argv) != 3 or not os.environ.get("QUIPU_FENCE", "").isdecimal():
        print("usage: QUIPU_FENCE=TOKEN fenced_files.py FOLDER NAME < DATA", file=sys.stderr)
        return 2
    try:
        write(Path(sys.argv[1]), sys.argv[2], sys.stdin.buffer.read(), int(os.environ["QUIPU_FENCE"]))
    except Stale as stale:
        print(stale, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
