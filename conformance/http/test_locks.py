"""Locks: who holds them, who waits, and for how long."""

import socket
import time
import uuid
from urllib.parse import unquote

import pytest
from kazoo.client import KazooClient

from harness.api import Background, Refused, Stream, lock, place, problem
from harness.process import wait_until

# What a loaded machine may add to a time. Never subtracted: nothing may happen too early.
SLACK = 2.5


def test_a_mutex_has_one_holder(api, name):
    first = api.acquire(name, "ann", value="at home")
    request_id = first.pop("request_id")
    assert first == {
        "name": name, "token": first["token"], "sequencer": f"{name}@{first['token']}", "owner": "ann",
        "ttl_ms": 30_000, "permits": 1, "value": "at home",
    }
    assert request_id
    assert problem(api.acquire, name, "bob")[0] == "busy"
    assert api.held(name, first["token"])
    assert api.release(name, first["token"]) == {"name": name, "token": first["token"], "released": True}
    assert not api.held(name, first["token"])
    assert problem(api.release, name, first["token"])[0] == "not-held"
    assert problem(api.renew, name, first["token"])[0] == "not-held"
    second = api.acquire(name, "bob")
    assert second["token"] > first["token"]
    assert problem(api.release, name, first["token"])[0] == "not-held", "the lock is another's now"
    assert api.held(name, second["token"])


def test_tokens_grow_over_all_locks_and_nodes(apis, name):
    tokens = [apis[turn % 3].acquire(f"{name}-{turn % 5}-{turn}")["token"] for turn in range(30)]
    assert tokens == sorted(set(tokens)), tokens


def test_a_semaphore_has_as_many_holders_as_permits(api, name):
    holders = [api.acquire(name, f"holder {number}", permits=3)["token"] for number in range(3)]
    assert problem(api.acquire, name, "one more", permits=3)[0] == "busy"
    code, answer = problem(api.acquire, name, "of another mind", permits=4)
    assert (code, answer.status) == ("permits", 409)
    shown = api.get(lock(name))
    assert [grant["token"] for grant in shown["holders"]] == holders
    assert (shown["permits"], shown["waiting"], shown["resting"]) == (3, 0, 0)
    api.release(name, holders[1])
    fourth = api.acquire(name, "one more", permits=3)["token"]
    assert fourth > holders[2]
    assert [grant["token"] for grant in api.get(lock(name))["holders"]] == [holders[0], holders[2], fourth]


def test_waiters_are_served_in_their_order_whichever_node_they_ask(apis, name):
    token = apis[0].acquire(name, "holder")["token"]
    waiters = []
    for number in range(6):
        waiters.append(Background(apis[number % 3].acquire, name, f"waiter {number}", wait_ms=30_000))
        apis[0].wait_for_waiters(name, number + 1)
    shown = [waiter["owner"] for waiter in apis[1].get(lock(name))["waiters"]]
    assert shown == [f"waiter {number}" for number in range(6)]
    for number, waiter in enumerate(waiters):
        assert waiter.ended is None, f"waiter {number} was served before the holder was done"
        apis[2 - number % 3].release(name, token)
        grant = waiter.result(10)
        assert grant["owner"] == f"waiter {number}" and grant["token"] > token, grant
        token = grant["token"]


def test_who_waits_too_long_is_told_so_and_leaves_the_queue(api, name):
    api.acquire(name)
    began = time.monotonic()
    assert problem(api.acquire, name, wait_ms=700)[0] == "busy"
    waited = time.monotonic() - began
    assert 0.7 <= waited < 0.7 + SLACK, f"{waited:.2f} s"
    assert api.waiting(name) == 0


def test_a_client_that_hangs_up_leaves_the_queue(api, name):
    token = api.acquire(name)["token"]
    host, port = api.address.split(":")
    body = b'{"owner": "ghost", "wait_ms": 60000}'
    with socket.create_connection((host, int(port)), 5) as ghost:
        head = f"POST {lock(name)}/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        ghost.sendall(head.encode() + body)
        api.wait_for_waiters(name, 1)
    api.wait_for_waiters(name, 0)
    api.release(name, token)
    assert api.acquire(name, "somebody else")["token"] > token


def test_the_same_request_gets_the_same_grant(apis, name):
    """What a client does whose answer got lost: ask again, perhaps another node."""
    request_id = uuid.uuid4().hex
    grants = [api.acquire(name, "ann", request_id=request_id) for api in apis]
    assert len({grant["token"] for grant in grants}) == 1, grants
    assert grants[0]["request_id"] == request_id
    apis[0].release(name, grants[0]["token"])
    code, answer = problem(apis[1].acquire, name, "ann", request_id=request_id)
    assert (code, answer.status) == ("ended", 410), "a grant that has ended must not come back under its old token"


def test_the_same_request_waits_once(apis, name):
    token = apis[0].acquire(name)["token"]
    request_id = uuid.uuid4().hex
    both = [Background(api.acquire, name, "ann", request_id=request_id, wait_ms=20_000) for api in apis[:2]]
    apis[0].wait_for_waiters(name, 1)
    time.sleep(0.3)
    assert apis[0].waiting(name) == 1
    apis[0].release(name, token)
    first, second = (waiter.result(10) for waiter in both)
    assert first["token"] == second["token"]


def test_a_lock_runs_out_and_the_next_in_line_gets_it(api, name):
    began = time.monotonic()
    token = api.acquire(name, ttl_ms=800)["token"]
    granted = time.monotonic()
    grant = api.acquire(name, "next", wait_ms=20_000)
    taken = time.monotonic()
    assert taken - began >= 0.8, f"taken away after {taken - began:.2f} s"
    assert taken - granted < 0.8 + SLACK, f"only after {taken - granted:.2f} s"
    assert grant["token"] > token
    assert not api.held(name, token)
    assert problem(api.renew, name, token)[0] == "not-held"


def test_a_lock_that_is_renewed_stays(api, name):
    """For twice its time. A machine that stands still for longer than the lease loses it rightly, and shows nothing."""
    ttl = 2.0
    last = began = time.monotonic()
    token = api.acquire(name, ttl_ms=2_000)["token"]
    while last < began + 2 * ttl:
        time.sleep(0.4)
        asked = time.monotonic()
        try:
            renewed = api.renew(name, token)
        except Refused:
            late = time.monotonic() - last
            if late > ttl:
                pytest.skip(f"the machine stood still for {late:.1f} s")
            raise
        assert (renewed["token"], renewed["ttl_ms"]) == (token, 2_000)
        last = asked
    wait_until(lambda: not api.held(name, token), ttl + SLACK, "the lock to run out")
    assert time.monotonic() - last >= ttl, "it ran out too early after its last renewal"


def test_a_lock_rests_after_it_ran_out_but_not_after_it_was_released(api, name):
    token = api.acquire(name, ttl_ms=500, lock_delay_ms=1_500)["token"]
    granted = time.monotonic()
    wait_until(lambda: not api.held(name, token), 0.5 + SLACK, "the lock to run out")
    assert api.get(lock(name))["resting"] == 1
    assert problem(api.acquire, name, "too early")[0] == "busy"
    second = api.acquire(name, "next", wait_ms=20_000, lock_delay_ms=60_000)
    assert time.monotonic() - granted >= 2.0
    api.release(name, second["token"])
    began = time.monotonic()
    api.acquire(name, "after the release", wait_ms=20_000)
    assert time.monotonic() - began < SLACK


def test_an_operator_takes_a_lock_away(api, name):
    tokens = [api.acquire(name, f"holder {number}", permits=3)["token"] for number in range(3)]
    evicted = api.ask("POST", f"{lock(name)}/evict", {"token": tokens[1]})
    assert evicted == {"name": name, "evicted": [tokens[1]]}
    assert [api.held(name, token) for token in tokens] == [True, False, True]
    waiters = [Background(api.acquire, name, f"waiter {n}", permits=3, wait_ms=20_000) for n in range(2)]
    # One permit is free: one of them has it at once, the other one waits.
    api.wait_for_waiters(name, 1)
    evicted = api.ask("POST", f"{lock(name)}/evict", {})["evicted"]
    assert {tokens[0], tokens[2]} <= set(evicted)
    assert problem(api.renew, name, tokens[0])[0] == "not-held"
    assert len({waiter.result(10)["token"] for waiter in waiters} - set(tokens)) == 2
    code, _ = problem(api.ask, "POST", f"{lock(name)}/evict", {"token": tokens[1]})
    assert code == "not-held"


NAMES = [
    "with space", "a/b/c", "ä€😀", "100%", "%2F", "a@7", "?q=1&x#y", "..", ".", "a:b;c,d", '"quoted"', "a\\b", "+plus+",
    "-", "events", "acquire", "\t", "x" * 400,
]


@pytest.mark.parametrize("odd", NAMES, ids=lambda odd: repr(odd)[:20])
def test_any_text_can_be_a_name(cluster, apis, odd):
    """Also what means something in a URL, in the tree or to us; and other clients see it in the tree under its own name."""
    grant = apis[0].acquire(odd, "ann")
    try:
        assert grant["name"] == odd
        encoded, _, token = grant["sequencer"].rpartition("@")
        assert (unquote(encoded), token) == (odd, str(grant["token"])), grant
        assert problem(apis[1].acquire, odd, "bob")[0] == "busy"
        assert apis[2].get(lock(odd))["name"] == odd
        client = KazooClient(cluster.hosts)
        client.start(10)
        try:
            client.sync("/quipu/locks")
            nodes = client.get_children("/quipu/locks")
        finally:
            client.stop()
            client.close()
        assert grant["sequencer"] in nodes, nodes
    finally:
        apis[1].release(odd, grant["token"])


def test_names_that_differ_are_locks_that_differ(api, name):
    for other in (name, f"{name}/", f"{name}%2F", f"{name}%252F", name.upper(), f" {name}"):
        api.acquire(other)


WRONG = {
    "ttl_ms": [99, 86_400_001, -1, 1.5, "1000", None, 2**64],
    "wait_ms": [-1, 86_400_001, "0"],
    "lock_delay_ms": [-1, 86_400_001],
    "permits": [0, 1_001, -1],
    "owner": ["", "x" * 513, "two\nlines", 7, None],
    "request_id": ["", "x" * 513, 7],
    "value": ["x" * 4_097, 7],
    "typo": [1],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_field_out_of_bounds_is_named(api, name, field):
    for value in WRONG[field]:
        body = {"owner": "ann", field: value}
        if value is None and field != "owner":
            continue
        answer = api.request("POST", f"{lock(name)}/acquire", body)
        assert answer.status == 400 and answer.problem == "bad-request", f"{field} = {value!r}: {answer}"
        assert field in answer.text, f"{field} = {value!r}: {answer.text}"
    assert api.request("GET", lock(name)).status == 404, "something was granted"


def test_what_is_just_within_bounds_works(api, name):
    wide = {"owner": "x" * 512, "request_id": "r" * 512, "value": "ü" * 2_048, "ttl_ms": 86_400_000, "lock_delay_ms": 86_400_000}
    grant = api.acquire(name, **wide, permits=1_000)
    assert (grant["value"], grant["permits"]) == (wide["value"], 1_000)
    api.release(name, grant["token"])
    api.release(name, api.acquire(name, ttl_ms=100)["token"])


def test_bodies_that_are_none(api, name):
    path = f"{lock(name)}/acquire"
    for body in ("", "{", "[]", "null", '"text"', "{}", '{"owner": "a"} trailing', b"\xff\xfe"):
        answer = api.request("POST", path, body)
        assert answer.status == 400 and answer.problem == "bad-request", f"{body!r}: {answer}"
    huge = '{"owner": "a", "value": "' + "x" * 10_000_000
    try:
        answer = api.request("POST", path, huge)
        assert answer.status == 413 and answer.problem == "payload-too-large", answer
    except OSError:
        # It may also stop reading and hang up, which the client notices while it still sends.
        pass
    for kind in ("text/plain", "application/xml", "multipart/form-data"):
        answer = api.request("POST", path, '{"owner": "a"}', {"Content-Type": kind})
        assert answer.status == 415 and answer.problem == "unsupported-media-type", f"{kind}: {answer}"
    for kind in ("application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"):
        answer = api.request("POST", path, '{"owner": "a", "request_id": "same"}', {"Content-Type": kind})
        assert answer.status == 200, f"{kind}: {answer}"


def test_lists_are_paged(apis, name):
    wanted = [f"{name}-{number:02}" for number in range(23)]
    for number, one in enumerate(wanted):
        apis[number % 3].acquire(one, "ann", value="v")
    pages = list(apis[1].pages("/v1/locks", 7))
    shown = [item for page in pages for item in page]
    assert all(len(page) == 7 for page in pages[:-1]), [len(page) for page in pages]
    ours = [item for item in shown if item["name"].startswith(name)]
    assert [item["name"] for item in ours] == wanted, "each once, in order"
    assert ours[0]["holders"][0]["owner"] == "ann" and ours[0]["waiting"] == 0
    assert len({item["name"] for item in shown}) == len(shown)
    for wrong in ("0", "1001", "-1", "x", ""):
        answer = apis[0].request("GET", f"/v1/locks?limit={wrong}")
        assert answer.status == 400 and "limit" in answer.text, f"{wrong}: {answer}"


def test_a_free_lock_is_not_found(api, name):
    answer = api.request("GET", lock(name))
    assert (answer.status, answer.problem) == (404, "not-found")
    assert not api.held(name, 1)


def test_reads_see_what_any_node_has_acknowledged(apis, name):
    """Linearizable: granted by one node, seen by every other at once, thirty times over."""
    for turn in range(30):
        token = apis[turn % 3].acquire(f"{name}-{turn}")["token"]
        for api in apis:
            assert api.held(f"{name}-{turn}", token)
        apis[(turn + 1) % 3].release(f"{name}-{turn}", token)
        for api in apis:
            assert not api.held(f"{name}-{turn}", token)


def test_a_locks_events_come_in_order(apis, name):
    with Stream(apis[2], f"{lock(name)}/events") as stream:
        assert stream.next().name == "state"
        first = apis[0].acquire(name, "ann", value="here")["token"]
        apis[1].release(name, first)
        second = apis[1].acquire(name, "bob", ttl_ms=300)["token"]
        events = [stream.named("granted", "ended") for _ in range(4)]
    told = [(event.name, event.json["token"]) for event in events]
    assert told == [("granted", first), ("ended", first), ("granted", second), ("ended", second)]
    assert [event.json["why"] for event in events if event.name == "ended"] == ["released", "expired"]
    ids = [place(event) for event in events]
    assert ids == sorted(set(ids)), ids


def test_many_clients_take_turns(apis, name):
    """Twelve clients, ten turns each, on a counter that nothing but the lock protects."""
    counter, tokens = [0], []

    def work(api):
        for _ in range(10):
            token = api.acquire(name, wait_ms=60_000)["token"]
            tokens.append(token)
            before = counter[0]
            time.sleep(0.001)
            counter[0] = before + 1
            api.release(name, token)

    workers = [Background(work, apis[number % 3]) for number in range(12)]
    for worker in workers:
        worker.result(80)
    assert counter[0] == 120
    assert tokens == sorted(set(tokens)), "granted in the order of their tokens"


def test_refusals_do_not_disturb_the_holder(api, name):
    token = api.acquire(name)["token"]
    for _ in range(20):
        with pytest.raises(Refused):
            api.acquire(name)
        with pytest.raises(Refused):
            api.release(name, token + 1)
    assert api.held(name, token)
