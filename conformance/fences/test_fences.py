"""What every fence must do, whatever storage is behind it."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from fences.stores import Files, Http, Register, Rows

STORES = {"postgresql-rows": Rows, "postgresql-register": Register, "http": Http, "files": Files}


@pytest.fixture(params=STORES)
def store(request):
    needs_server = request.param.startswith("postgresql")
    server = [request.getfixturevalue("postgresql_server")] if needs_server else []
    store = STORES[request.param](*server)
    yield store
    store.close()


def test_a_stale_token_is_refused_and_the_same_token_writes_again(store):
    assert store.write("a", "five", 5), "the first use"
    assert store.write("a", "five again", 5), "the holder writes a second time"
    assert store.write("a", "seven", 7), "the next holder"
    assert not store.write("a", "too late", 5), "the one before it comes back"
    assert not store.write("a", "too late", 6), "a token that was never used here, and is less all the same"
    assert store.read("a") == "seven"
    assert store.write("a", "seven again", 7)
    assert store.read("a") == "seven again"


def test_tokens_are_64_bits_wide_and_compared_as_numbers(store):
    """Compared as text, 9 is more than 10; in 32 bits, or in a float, these two are equal."""
    assert store.write("a", "ten", 10)
    assert not store.write("a", "nine", 9)
    greatest = (1 << 63) - 1
    assert store.write("a", "greatest", greatest)
    assert not store.write("a", "one less", greatest - 1)
    assert store.read("a") == "greatest"


def test_of_concurrent_writers_the_greatest_token_wins(store):
    """Sixteen writers at once, three writes each. Whenever the greatest has written, no other may come after it."""
    tokens = list(range(100, 116))
    random.shuffle(tokens)
    with ThreadPoolExecutor(len(tokens)) as pool:
        accepted = list(pool.map(lambda token: [store.write("a", str(token), token) for _ in range(3)], tokens))
    assert store.read("a") == "115"
    assert accepted[tokens.index(115)] == [True] * 3, "nothing outranks the greatest"
    refused = sum(answers.count(False) for answers in accepted)
    print(f"  {refused} of {3 * len(tokens)} writes were refused")
    for token, answers in zip(tokens, accepted):
        assert answers == sorted(answers, reverse=True), f"{token} was refused and then accepted: {answers}"
    assert not any(store.write("a", "late", token) for token in range(100, 115))


def test_the_fence_outlives_a_crash(store):
    assert store.write("a", "seven", 7)
    store.crash()
    assert not store.write("a", "too late", 6), "the fence was forgotten"
    assert store.read("a") == "seven"
    assert store.write("a", "eight", 8)
