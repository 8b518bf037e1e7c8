"""Is there an order in which one register could have seen all this?

The search of Wing and Gong (1993) with Lowe's memory of visited configurations (2017). The register holds a value and
a version that each write raises by one, as ZooKeeper's setData does; because replies tell the version, nearly every
operation fits in one place only, and the search rarely has to go back.

    python linearizability.py HISTORY.jsonl
"""

import sys

from history import Operation, load

Register = tuple[int, str | None]
IMPOSSIBLE = None


def apply(op: Operation, register: Register) -> Register | None:
    """The register after the operation, or IMPOSSIBLE when the operation cannot have happened to this one."""
    version, value = register
    if op.operation == "read":
        return register if (op.version, op.value) == register else IMPOSSIBLE
    if op.operation == "cas" and op.outcome == "failed":
        return register if op.expected != version else IMPOSSIBLE
    if op.operation == "cas" and op.expected != version:
        return IMPOSSIBLE
    if op.version is not None and op.version != version + 1:
        return IMPOSSIBLE
    return (version + 1, op.value)


def linearizable(operations: list[Operation], start: Register = (0, None)) -> bool:
    """Whether the operations on one register, of which unknown ones may or may not have happened, are linearizable."""
    relevant = [op for op in operations if op.outcome != "unknown" or op.operation != "read"]
    relevant = [op for op in relevant if op.outcome != "failed" or op.operation == "cas"]
    relevant.sort(key=lambda op: op.invoked)
    count = len(relevant)
    ends = [op.returned if op.outcome != "unknown" else sys.maxsize for op in relevant]
    must = sum(1 for op in relevant if op.outcome != "unknown")
    # A configuration is what has been placed: everything before `first`, and `later` beyond it, and the register then.
    stack: list[tuple[int, frozenset[int], Register, int]] = [(0, frozenset(), start, 0)]
    visited = set()
    while stack:
        first, later, register, placed = stack.pop()
        while first in later:
            later, first = later - {first}, first + 1
        if placed == must:
            return True
        if (first, later, register) in visited:
            continue
        visited.add((first, later, register))
        stack.extend(successors(relevant, ends, count, first, later, register, placed))
    return False


def successors(relevant, ends, count, first, later, register, placed):
    """Every configuration with one more operation placed: one that no other, still unplaced, entirely precedes."""
    earliest_end = sys.maxsize
    for index in range(first, count):
        op = relevant[index]
        if op.invoked > earliest_end:
            return
        if index in later:
            continue
        earliest_end = min(earliest_end, ends[index])
        after = apply(op, register)
        if after is not IMPOSSIBLE:
            yield first, later | {index}, after, placed + (op.outcome != "unknown")


def main(path: str) -> int:
    by_key: dict[str, list[Operation]] = {}
    for op in load(path):
        if op.operation != "create":
            by_key.setdefault(op.key, []).append(op)
    wrong = [key for key, operations in by_key.items() if not linearizable(operations)]
    print(f"{len(by_key)} registers, not linearizable: {wrong or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
