"""One child process that cannot outlive its test."""

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import time

_children: list["Child"] = []
_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class Child:
    """A server process, its output kept in a file, ended by pid whatever happens to the test."""

    def __init__(self, arguments: list[str], log_path: str, environment: dict | None = None):
        self.arguments = arguments
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                preexec_fn=_die_with_parent,
            )
        _children.append(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        if self.running:
            self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9: what a power cut does to the process, though not to the page cache."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def stop(self, grace_seconds: float = 10) -> int:
        """Asks politely, then insists; returns the exit code."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def log_tail(self, lines: int = 30) -> str:
        with open(self.log_path, errors="replace") as log:
            return "".join(log.readlines()[-lines:])


def wait_until(condition, seconds: float, what: str, interval: float = 0.05):
    """Polls `condition` until it returns something true, which is returned; raises once the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(interval)


def _die_with_parent() -> None:
    # A test runner that is killed with -9 runs no clean-up: only the kernel can end its children then.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@atexit.register
def _stop_all() -> None:
    for child in _children:
        child.stop(grace_seconds=5)


# A time limit reaches us as SIGTERM; the default action would skip atexit and leave the children behind.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
