"""The coordination tree over HTTP, beside ZooKeeper clients that see the same nodes."""

import base64
import threading
from urllib.parse import quote

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoNodeError, RolledBackError

from harness.api import problem


@pytest.fixture
def client(cluster):
    client = KazooClient(cluster.hosts)
    client.start(10)
    yield client
    client.stop()
    client.close()


@pytest.fixture
def path(name) -> str:
    return f"/{name}"


def put(api, path: str, **fields) -> dict:
    return api.ask("PUT", f"/v1/tree{path}", fields)


def get(api, path: str, **query) -> dict:
    return api.get(f"/v1/tree{path}", **query)


def delete(api, path: str, **query) -> dict:
    return api.ask("DELETE", f"/v1/tree{path}", **query)


def test_what_one_side_writes_the_other_side_reads(api, client, path):
    written = put(api, path, data="from http ä")
    assert written["path"] == path and written["zxid"] == written["stat"]["czxid"]
    client.sync(path)
    data, stat = client.get(path)
    assert (data.decode(), stat.czxid, stat.version) == ("from http ä", written["zxid"], 0)
    changed = client.set(path, b"from kazoo")
    shown = get(api, path)
    assert (shown["path"], shown["data"]) == (path, "from kazoo")
    assert (shown["stat"]["mzxid"], shown["stat"]["version"], shown["stat"]["czxid"]) == (changed.mzxid, 1, stat.czxid)
    deleted = delete(api, path)
    assert deleted["path"] == path and deleted["zxid"] > changed.mzxid
    client.sync(path)
    assert client.exists(path) is None
    assert problem(get, api, path)[0] == "not-found"
    assert problem(delete, api, path)[0] == "not-found"


def test_bytes_that_are_no_text(api, client, path):
    raw = bytes(range(256))
    put(api, path, data_base64=base64.b64encode(raw).decode())
    shown = get(api, path)
    assert base64.b64decode(shown["data_base64"]) == raw and shown.get("data") is None
    client.sync(path)
    assert client.get(path)[0] == raw
    assert problem(put, api, path, data="x", data_base64="eA==")[0] == "bad-request"
    assert problem(put, api, path, data_base64="no base64!")[0] == "bad-request"


def test_writes_that_name_a_version(api, path):
    put(api, path, data="0")
    assert put(api, path, data="1", version=0)["stat"]["version"] == 1
    code, answer = problem(put, api, path, data="x", version=0)
    assert (code, answer.status) == ("bad-version", 409)
    assert problem(delete, api, path, version=0)[0] == "bad-version"
    assert get(api, path)["data"] == "1"
    delete(api, path, version=1)
    assert problem(put, api, path, data="x", create=False)[0] == "not-found"


def test_of_concurrent_writes_with_one_version_one_wins(apis, path):
    put(apis[0], path, data="start")
    outcomes = []

    def write(number):
        answer = apis[number % 3].request("PUT", f"/v1/tree{path}", {"data": str(number), "version": 0})
        outcomes.append((answer.status, number))

    writers = [threading.Thread(target=write, args=[number]) for number in range(9)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    winners = [number for status, number in outcomes if status == 200]
    assert len(winners) == 1 and sorted(status for status, _ in outcomes) == [200] + [409] * 8, outcomes
    assert get(apis[1], path)["data"] == str(winners[0])


def test_children_are_paged(apis, path):
    put(apis[0], path, data="")
    wanted = [f"child-{number:02}" for number in range(11)]
    for number, child in enumerate(wanted):
        put(apis[number % 3], f"{path}/{child}", data=child)
    shown, after = [], {}
    for _ in range(4):
        page = get(apis[1], path, children="true", limit=4, **after)
        page = page["children"]
        shown += page["items"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert shown == wanted
    assert problem(delete, apis[0], path)[0] == "not-empty"


def test_a_guarded_write_needs_a_grant_that_is_in_force(api, path, name):
    token = api.acquire(name)["token"]
    put(api, path, data="held", guard={"lock": name, "token": token})
    for wrong in ({"lock": name, "token": token + 1}, {"lock": f"{name}-other", "token": token}):
        code, answer = problem(put, api, path, data="wrong", guard=wrong)
        assert (code, answer.status) == ("stale", 409)
    api.release(name, token)
    assert problem(put, api, path, data="late", guard={"lock": name, "token": token})[0] == "stale"
    assert problem(delete, api, path, lock=name, token=token)[0] == "stale"
    assert get(api, path)["data"] == "held"
    again = api.acquire(name)["token"]
    assert problem(put, api, path, data="late", guard={"lock": name, "token": token})[0] == "stale"
    delete(api, path, lock=name, token=again)


def test_any_zookeeper_client_can_guard_its_writes(api, client, path, name):
    client.create(path, b"")
    token = api.acquire(name)["token"]
    assert guarded(client, path, name, token, b"held") is None
    api.release(name, token)
    errors = guarded(client, path, name, token, b"late")
    assert errors == [NoNodeError, RolledBackError] or errors[0] is NoNodeError, errors
    assert client.get(path)[0] == b"held"


def guarded(client, path: str, name: str, token: int, data: bytes) -> list[type] | None:
    """None when written, else the kinds of errors."""
    transaction = client.transaction()
    transaction.check(f"/quipu/locks/{name}@{token}", -1)
    transaction.set_data(path, data)
    results = transaction.commit()
    failed = [type(result) for result in results if isinstance(result, Exception)]
    return failed or None


def test_nobody_can_forge_a_grant(api, client, path, name):
    """What guards look at is written by locks alone: neither door may make such a node, change it or take it away."""
    token = api.acquire(name)["token"]
    real, forged = f"/quipu/locks/{name}@{token}", f"/quipu/locks/{name}@{token + 1_000_000}"
    with pytest.raises(KazooException):
        client.create(forged, b"")
    with pytest.raises(KazooException):
        client.set(real, b"")
    with pytest.raises(KazooException):
        client.delete(real)
    for method, target in (("PUT", forged), ("PUT", real), ("DELETE", real)):
        answer = api.request(method, f"/v1/tree{target}", {"data": ""} if method == "PUT" else None)
        assert 400 <= answer.status < 500 and answer.problem, f"{method} {target}: {answer}"
    assert api.held(name, token)
    client.sync(real)
    assert client.exists(real) and not client.exists(forged)


@pytest.mark.parametrize("odd", ["a b", "ä€", "100%25", "q?x#y", "a@b"])
def test_paths_are_percent_encoded(api, client, path, odd):
    put(api, path, data="")
    shown = put(api, f"{path}/{quote(odd)}", data=odd)
    assert shown["path"] == f"{path}/{odd}"
    client.sync(path)
    assert client.get(f"{path}/{odd}")[0].decode() == odd


@pytest.mark.parametrize("wrong", ["//double", "/trailing/", "/a/../b", "/a/./b", "/nul%00"])
def test_paths_that_are_none_are_refused(api, name, wrong):
    answer = api.request("PUT", f"/v1/tree/{name}{wrong}", {"data": "x"})
    assert 400 <= answer.status < 500 and answer.problem, answer


def test_a_value_that_is_too_large_is_refused(api, path):
    try:
        answer = api.request("PUT", f"/v1/tree{path}", {"data": "x" * 1_100_000})
        assert (answer.status, answer.problem) == (413, "payload-too-large"), answer.status
    except OSError:
        # A node that hangs up on the rest of the body may take its answer with it.
        pass
    assert api.request("GET", f"/v1/tree{path}").status == 404


def test_reads_see_what_any_node_has_acknowledged(apis, path):
    put(apis[0], path, data="start")
    for turn in range(30):
        put(apis[turn % 3], path, data=str(turn))
        assert [get(api, path)["data"] for api in apis] == [str(turn)] * 3
    assert get(apis[0], path, stale="true")["path"] == path
