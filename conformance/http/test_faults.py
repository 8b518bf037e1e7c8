"""Locks while nodes die: the holder keeps what it holds, whoever waits is served, and tokens only grow."""

import time

import pytest
from kazoo.client import KazooClient

from harness.api import Api, Background, Refused, Stream, election, lock
from harness.gates import wait_for_locks
from harness.process import wait_until

SLACK = 4.0


def api_of(cluster, node) -> Api:
    return Api(cluster.http(node))


def insist(call, *arguments, seconds: float = 30, **keywords):
    """Asks again while nobody leads or nothing is known, as clients should: the same request_id makes that safe."""

    def once():
        try:
            return [call(*arguments, **keywords)]
        except OSError:
            return None
        except Refused as refused:
            if refused.answer.status in (503, 504):
                return None
            raise

    return wait_until(once, seconds, f"{call.__name__}{arguments}")[0]


def test_kill_the_leader_while_a_lock_is_held_and_waited_for(own_cluster):
    cluster = own_cluster
    leader = cluster.leader()
    mine, theirs = (api_of(cluster, node) for node in cluster.followers())
    held = mine.acquire("held", "ann", ttl_ms=60_000)["token"]
    short = mine.acquire("short", "ann", ttl_ms=3_000)["token"]
    term = mine.campaign("office", "ann", ttl_ms=60_000)["term"]
    waiting = Background(insist, theirs.acquire, "held", "bob", request_id="bob's only one", wait_ms=60_000, seconds=60)
    mine.wait_for_waiters("held", 1)
    mine.ask("POST", "/v1/fences/store/check", {"token": held})
    killed = cluster.kill(leader)

    assert insist(mine.held, "held", held), "the lock was lost with the leader"
    print(f"\n  held locks are confirmed {time.monotonic() - killed:.2f} s after kill -9 of the leader", flush=True)
    assert insist(mine.renew, "held", held)["token"] == held
    assert insist(theirs.get, election("office"))["leader"]["term"] == term
    assert waiting.ended is None, "the waiter was served although the lock is held"
    mine.wait_for_waiters("held", 1)

    # The new leader gives every lease its full time again, and then no more.
    assert insist(mine.held, "short", short) or time.monotonic() - killed > 3
    after = insist(theirs.acquire, "short", "bob", request_id="bob wants this too", wait_ms=30_000)
    waited = time.monotonic() - killed
    assert 3.0 <= waited < 3.0 + 3 * SLACK, f"{waited:.2f} s"
    assert after["token"] > max(held, short, term)

    mine.release("held", held)
    grant = waiting.result(20)
    assert grant["owner"] == "bob" and grant["token"] > after["token"]
    assert theirs.get("/v1/fences/store")["minimum"] == held, "the fence was lost with the leader"
    cluster.restart(leader)
    cluster.wait_ready()
    back = api_of(cluster, leader)
    assert insist(back.held, "held", grant["token"]) and not back.held("held", held)


def test_kill_the_node_a_waiter_asked(own_cluster):
    """Its connection is gone, so the waiter asks another node with the same request_id and is still the next in line."""
    cluster = own_cluster
    first, second = cluster.followers()
    token = api_of(cluster, second).acquire("line", "holder", ttl_ms=60_000)["token"]
    lost = Background(api_of(cluster, first).acquire, "line", "ann", request_id="ann's", wait_ms=60_000)
    api_of(cluster, second).wait_for_waiters("line", 1)
    behind = Background(api_of(cluster, second).acquire, "line", "bob", wait_ms=60_000)
    api_of(cluster, second).wait_for_waiters("line", 2)
    cluster.kill(first)
    with pytest.raises(OSError):
        lost.result(10)
    again = Background(api_of(cluster, second).acquire, "line", "ann", request_id="ann's", wait_ms=60_000)
    time.sleep(0.5)
    api_of(cluster, second).release("line", token)
    grant = again.result(20)
    assert grant["owner"] == "ann" and behind.ended is None, "she lost her place"
    api_of(cluster, second).release("line", grant["token"])
    assert behind.result(20)["token"] > grant["token"]


def test_restart_of_all_nodes_at_once(own_cluster):
    cluster = own_cluster
    apis = [api_of(cluster, node) for node in cluster.nodes]
    lease_ms = 6_000
    tokens = [apis[turn % 3].acquire(f"lock-{turn}", "ann", ttl_ms=lease_ms)["token"] for turn in range(5)]
    released = apis[0].acquire("released", "ann", request_id="once")["token"]
    apis[0].release("released", released)
    apis[1].ask("POST", "/v1/fences/store/check", {"token": tokens[4]})
    # Half of the leases have passed when the cluster goes down; it must not count against the holders.
    time.sleep(lease_ms / 2000)
    for node in cluster.nodes:
        node.child.signal(9)
    for node in cluster.nodes:
        cluster.kill(node)
    time.sleep(1)
    started = time.monotonic()
    for node in cluster.nodes:
        cluster.restart(node)
    cluster.wait_ready()
    back = time.monotonic()
    wait_for_locks(apis)

    assert all(insist(apis[0].held, f"lock-{turn}", token) for turn, token in enumerate(tokens))
    insist(apis[0].renew, "lock-4", tokens[4])
    fresh = insist(apis[1].acquire, "fresh", "bob")["token"]
    assert fresh > max(*tokens, released), "tokens went back"
    assert apis[2].get("/v1/fences/store")["minimum"] == tokens[4]
    with pytest.raises(Refused) as refused:
        apis[1].acquire("released", "ann", request_id="once")
    assert refused.value.answer.problem == "ended"
    # The leases began anew with the new leader, which came after the start: 6 s from then on, not the 3 s that were left.
    taken = insist(apis[2].acquire, "lock-0", "bob", request_id="bob's", wait_ms=30_000)
    ended = time.monotonic()
    print(f"\n  a lease of {lease_ms / 1000:.0f} s ended {ended - started:.2f} s after the restart", flush=True)
    assert ended - started >= lease_ms / 1000, "it was cut short"
    assert ended - back < lease_ms / 1000 + SLACK
    assert taken["token"] > fresh


def test_an_observer_moves_to_another_node_when_its_own_dies(own_cluster):
    cluster = own_cluster
    watched, other = cluster.followers()
    api, elsewhere = api_of(cluster, watched), api_of(cluster, other)
    stream = Stream(api, f"{election('office')}/events")
    first = elsewhere.campaign("office", "ann", ttl_ms=60_000)["term"]
    event = stream.named("elected")
    assert event.json["term"] == first
    cluster.kill(watched)
    try:
        assert stream.next(10) is None
    except OSError:
        pass
    stream.close()
    insist(elsewhere.ask, "POST", f"{election('office')}/resign", {"term": first})
    second = insist(elsewhere.campaign, "office", "bob", ttl_ms=60_000, request_id="bob's")["term"]
    with Stream(elsewhere, f"{election('office')}/events", last_event_id=event.id) as stream:
        missed = [stream.named("elected", "vacant") for _ in range(2)]
    assert [(event.name, event.json["term"]) for event in missed] == [("vacant", first), ("elected", second)]


def test_without_a_majority_nothing_is_granted(own_cluster):
    cluster = own_cluster
    leader = cluster.leader()
    api = api_of(cluster, leader)
    token = api.acquire("held", ttl_ms=600)["token"]
    for node in cluster.followers():
        cluster.kill(node)
    time.sleep(1.5)
    asked = [
        ("POST", f"{lock('other')}/acquire", {"owner": "ann", "request_id": "ann's"}),
        ("POST", f"{lock('held')}/check", {"token": token}),
        ("GET", lock("held"), None),
    ]
    answers = [Background(api.request, *question, timeout=40) for question in asked]
    for (method, path, _), answer in zip(asked, answers):
        answer = answer.result(45)
        assert answer.status in (503, 504) and answer.problem in ("no-leader", "unknown"), f"{method} {path}: {answer}"


def test_a_recipes_czxid_and_our_tokens_are_one_number_space(cluster, apis, name):
    """kazoo's lock has no token of its own; the czxid of its node is one, and our fences compare it with ours."""
    client = KazooClient(cluster.hosts)
    client.start(10)
    try:
        before = apis[0].acquire(f"{name}-before")["token"]
        recipe = client.Lock(f"/{name}", "ann")
        with recipe:
            czxid = client.exists(f"{recipe.path}/{recipe.node}").czxid
        after = apis[1].acquire(f"{name}-after")["token"]
        assert before < czxid < after
        check = f"/v1/fences/{name}/check"
        apis[2].ask("POST", check, {"token": czxid})
        assert apis[0].request("POST", check, {"token": before}).problem == "stale"
        apis[1].ask("POST", check, {"token": after})
        assert apis[0].request("POST", check, {"token": czxid}).problem == "stale"
    finally:
        client.stop()
        client.close()
