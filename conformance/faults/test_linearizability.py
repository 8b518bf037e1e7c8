"""The checker itself: it must accept what is right and refuse what is wrong."""

import random

import pytest

from history import Operation
from linearizability import linearizable


def write(value, version, invoked, returned, outcome="ok"):
    return Operation("w", "write", "/r", value, None, version, outcome, invoked, returned)


def read(value, version, invoked, returned):
    return Operation("r", "read", "/r", value, None, version, "ok", invoked, returned)


def cas(value, expected, outcome, invoked, returned, version=None):
    return Operation("c", "cas", "/r", value, expected, version, outcome, invoked, returned)


def test_one_after_the_other():
    assert linearizable([write("a", 1, 0, 1), read("a", 1, 2, 3)])


def test_a_stale_read_is_refused():
    assert not linearizable([write("a", 1, 0, 1), write("b", 2, 2, 3), read("a", 1, 4, 5)])


def test_a_read_beside_a_write_may_see_either():
    assert linearizable([write("a", 1, 0, 9), read(None, 0, 1, 2)])
    assert linearizable([write("a", 1, 0, 9), read("a", 1, 1, 2)])
    assert not linearizable([write("a", 1, 0, 9), read("a", 1, 1, 2), read(None, 0, 3, 4)])


def test_a_lost_acknowledged_write_is_refused():
    assert not linearizable([write("a", 1, 0, 1), read(None, 0, 2, 3)])


def test_an_unknown_write_may_have_happened_or_not_and_late():
    unknown = write("a", None, 0, None, "unknown")
    assert linearizable([unknown, read(None, 0, 1, 2)])
    assert linearizable([unknown, read(None, 0, 1, 2), read("a", 1, 3, 4)])
    assert not linearizable([unknown, read("a", 1, 1, 2), read(None, 0, 3, 4)])


def test_two_cas_on_one_version_cannot_both_succeed():
    assert not linearizable([cas("a", 0, "ok", 0, 5, 1), cas("b", 0, "ok", 0, 5, 1)])
    assert linearizable([cas("a", 0, "ok", 0, 5, 1), cas("b", 0, "failed", 0, 5)])


def test_a_cas_that_failed_on_the_current_version_is_refused():
    assert not linearizable([write("a", 1, 0, 1), cas("b", 1, "failed", 2, 3)])


@pytest.mark.parametrize("seed", range(20))
def test_a_real_execution_passes_and_its_corruption_fails(seed):
    """Random operations on a true register, each placed at a random moment of its interval."""
    numbers = random.Random(seed)
    register, operations = (0, None), []
    for moment in range(10, 4000, 10):
        invoked, returned = moment - numbers.randrange(1, 60), moment + numbers.randrange(1, 60)
        if numbers.random() < 0.5:
            register = (register[0] + 1, f"v{moment}")
            known = numbers.random() < 0.98
            operations.append(write(register[1], register[0] if known else None, invoked, returned, "ok" if known else "unknown"))
        else:
            operations.append(read(register[1], register[0], invoked, returned))
    assert linearizable(operations)
    late = max((op for op in operations if op.operation == "read"), key=lambda op: op.invoked)
    late.version, late.value = late.version - 30, "stale"
    assert not linearizable(operations)
