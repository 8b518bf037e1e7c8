"""What only transactions can get wrong."""

import threading
import time

import psycopg
import pytest
from psycopg import IsolationLevel

from fences.stores import Rows, blind_write


@pytest.fixture
def rows(postgresql_server):
    return Rows(postgresql_server)


def fence(connection: psycopg.Connection, token: int) -> None:
    connection.execute("SELECT fence('documents', %s)", (token,))


def test_the_next_holder_waits_for_the_transaction_of_the_one_before_it(rows):
    """The token is checked, the writer is paused, its transaction is still open: nobody may come between."""
    with rows.connect() as first, rows.connect() as second:
        fence(first, 5)
        written = threading.Event()

        def take_over():
            fence(second, 6)
            blind_write(second, "a", "six")
            second.commit()
            written.set()

        taker = threading.Thread(target=take_over)
        taker.start()
        assert not written.wait(0.5), "the second holder wrote in the middle of the first one's transaction"
        blind_write(first, "a", "five")
        first.commit()
        taker.join(10)
        assert written.is_set()
        assert read(rows, "a") == "six"
        with pytest.raises(psycopg.DatabaseError) as refused:
            fence(first, 5)
        assert refused.value.sqlstate == "QF409"
        assert "stale" in str(refused.value)


@pytest.mark.parametrize("level", [IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_transaction_that_began_before_the_take_over_is_refused(rows, level):
    """Its snapshot still shows the old fence. What it may not do is to believe it."""
    with rows.connect() as setup:
        fence(setup, 5)
    with rows.connect() as old:
        old.isolation_level = level
        assert old.execute("SELECT minimum FROM fences").fetchone() == (5,)
        with rows.connect() as new:
            fence(new, 6)
            blind_write(new, "a", "six")
        with pytest.raises(psycopg.DatabaseError) as refused:
            fence(old, 5)
        old.rollback()
        assert refused.value.sqlstate == ("QF409" if level == IsolationLevel.READ_COMMITTED else "40001")
        with pytest.raises(psycopg.DatabaseError) as again:
            fence(old, 5)
        assert again.value.sqlstate == "QF409", "run again, it is told the truth at every level"
    assert read(rows, "a") == "six"


def test_a_row_that_was_waited_for_is_compared_again(rows):
    """EvalPlanQual: the update sees fence 5, waits for the lock, and finds 7."""
    assert rows.write("a", "five", 5)
    with rows.connect() as newer:
        parameters = {"name": "a", "body": "seven", "token": 7}
        assert newer.execute(rows.statements["replace"], parameters).rowcount == 1
        answers = []
        older = threading.Thread(target=lambda: answers.append(rows.replace("a", "six", 6)))
        older.start()
        time.sleep(0.3)
        assert older.is_alive(), "it did not wait for the row, so this test shows nothing"
        newer.commit()
        older.join(10)
    assert answers == [False]
    assert rows.read("a") == "seven"


def test_a_paused_transaction_can_be_given_a_limit(rows):
    """docs/fences says which setting: a paused writer must not keep the next holder out for ever."""
    with rows.connect() as paused:
        paused.execute("SET idle_in_transaction_session_timeout = '300ms'")
        fence(paused, 5)
        began = time.monotonic()
        with rows.connect() as next_holder:
            fence(next_holder, 6)
        assert time.monotonic() - began < 10
        with pytest.raises(psycopg.DatabaseError):
            blind_write(paused, "a", "five")
            paused.commit()
    assert read(rows, "a") is None


def test_removed_rows_keep_their_fence(rows):
    assert rows.write("a", "five", 5)
    assert not rows.remove("a", 4)
    assert rows.remove("a", 6)
    assert rows.read("a") is None
    assert not rows.write("a", "five again", 5), "the fence went with the row"
    assert rows.write("a", "seven", 7)


def test_replace_changes_only_what_is_there(rows):
    assert not rows.replace("absent", "x", 5)
    assert rows.write("a", "five", 5)
    assert not rows.replace("a", "four", 4)
    assert rows.replace("a", "six", 6)
    assert rows.read("a") == "six"


@pytest.mark.parametrize("token", [0, -1])
def test_a_token_that_cannot_be_one_is_an_error(rows, token):
    with rows.connect() as connection, pytest.raises(psycopg.errors.CheckViolation):
        fence(connection, token)
    with pytest.raises(psycopg.errors.CheckViolation):
        rows.write("a", "x", token)


def read(rows, name: str) -> str | None:
    with rows.connect() as connection:
        row = connection.execute("SELECT body FROM plain WHERE name = %s", (name,)).fetchone()
    return row[0] if row else None
