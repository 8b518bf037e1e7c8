"""What clients did and saw while the cluster was being hurt.

A history file holds one JSON object a line, one for each operation, in the order of invocation:

    process    the client that did it; a client does one register operation at a time
    operation  create (a node of its own), write (a register, whatever its version), cas (a register, if its version
               is `expected`) or read (sync, then the register)
    key        the path
    value      what was written or, for a read that succeeded, what was seen; null for an empty register
    expected   cas only: the version it asked for
    version    the register's version after a write or at a read; null when unknown
    outcome    ok, failed (it certainly did not happen) or unknown (the connection was lost)
    invoked, returned   nanoseconds of one monotonic clock; `returned` is null when unknown
"""

import dataclasses
import json
import threading
import time


@dataclasses.dataclass
class Operation:
    process: str
    operation: str
    key: str
    value: str | None = None
    expected: int | None = None
    version: int | None = None
    outcome: str = "unknown"
    invoked: int = 0
    returned: int | None = None

    def end(self, outcome: str) -> None:
        self.outcome = outcome
        self.returned = time.monotonic_ns()


class History:
    """Filled by many threads at once, read when they have ended."""

    def __init__(self):
        self.operations: list[Operation] = []
        self.violations: list[str] = []
        self._lock = threading.Lock()

    def invoke(self, process: str, operation: str, key: str, value=None, expected=None) -> Operation:
        entry = Operation(process, operation, key, value, expected, invoked=time.monotonic_ns())
        with self._lock:
            self.operations.append(entry)
        return entry

    def violated(self, what: str) -> None:
        with self._lock:
            self.violations.append(what)

    def acknowledged(self, *kinds: str) -> list[Operation]:
        return [op for op in self.operations if op.outcome == "ok" and op.operation in kinds]

    def registers(self) -> dict[str, list[Operation]]:
        """The operations on each register, for the checker."""
        by_key: dict[str, list[Operation]] = {}
        for op in self.operations:
            if op.operation != "create":
                by_key.setdefault(op.key, []).append(op)
        return by_key

    def longest_gap_seconds(self, since: float, until: float) -> float:
        """The longest time in which no client saw a write acknowledged, between two moments of the monotonic clock."""
        moments = sorted(op.returned / 1e9 for op in self.acknowledged("create", "write", "cas"))
        moments = [since, *(moment for moment in moments if since < moment < until), until]
        return max(later - earlier for earlier, later in zip(moments, moments[1:]))

    def save(self, path: str) -> None:
        with open(path, "w") as file:
            for op in sorted(self.operations, key=lambda op: op.invoked):
                file.write(json.dumps(dataclasses.asdict(op)) + "\n")


def load(path: str) -> list[Operation]:
    with open(path) as file:
        return [Operation(**json.loads(line)) for line in file]
