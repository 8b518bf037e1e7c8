"""Bearer tokens: what each role may do, and what none may see."""

import hashlib
import secrets
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from harness.api import Api, lock
from harness.gates import wait_for_locks
from harness.quipu import Nodes

TOKENS = {role: f"qp_{secrets.token_hex(32)}" for role in ("read", "write", "admin")}
SETTINGS = "".join(
    f'[[token]]\nname = "the {role} one"\nrole = "{role}"\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
    for role, token in TOKENS.items()
)


@pytest.fixture(scope="module")
def guarded():
    """Three nodes that let nobody in without a token."""
    with Nodes(settings=SETTINGS) as cluster:
        wait_for_locks([Api(cluster.http(node), TOKENS["write"]) for node in cluster.nodes])
        yield cluster


def api_of(cluster: Nodes, role: str | None) -> Api:
    """A follower, so that whatever is decided elsewhere is asked for there."""
    return Api(cluster.http(cluster.followers()[0]), TOKENS.get(role, role))


def statuses(cluster: Nodes, method: str, path: str, body=None) -> dict[str, int]:
    roles = [None, "qp_unknown", "read", "write", "admin"]
    return {str(role): api_of(cluster, role).request(method, path, body).status for role in roles}


def test_without_a_token_there_is_only_what_probes_need(guarded):
    api = api_of(guarded, None)
    for path in ("/health", "/ready", "/v1/openapi.json"):
        assert api.request("GET", path).status == 200, path
    for method, path in (("GET", "/v1/locks"), ("GET", "/metrics"), ("GET", "/v1/status"), ("POST", "/v1/transfer/1"), ("PUT", "/v1/tree/x")):
        answer = api.request(method, path, None if method == "GET" else {})
        assert (answer.status, answer.problem) == (401, "unauthorized"), f"{method} {path}: {answer}"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer"), path


def test_each_role_includes_the_one_before_it(guarded, name):
    acquire = statuses(guarded, "POST", f"{lock(name)}/acquire", {"owner": "ann", "request_id": "once"})
    assert acquire == {"None": 401, "qp_unknown": 401, "read": 403, "write": 200, "admin": 200}
    look = statuses(guarded, "GET", lock(name))
    assert look == {"None": 401, "qp_unknown": 401, "read": 200, "write": 200, "admin": 200}
    evict = statuses(guarded, "POST", f"{lock(name)}/evict", {})
    assert evict == {"None": 401, "qp_unknown": 401, "read": 403, "write": 403, "admin": 200}
    transfer = statuses(guarded, "POST", "/v1/transfer/255")
    assert {role: status for role, status in transfer.items() if role != "admin"} == {
        "None": 401, "qp_unknown": 401, "read": 403, "write": 403,
    }
    assert transfer["admin"] not in (401, 403), transfer


def test_rights_of_nodes_hold_over_http(guarded, name):
    """A node that one ZooKeeper user keeps for himself is not open to whoever comes by HTTP, unless with the role admin."""
    client = KazooClient(guarded.hosts)
    client.start(10)
    try:
        client.add_auth("digest", "ann:secret")
        client.create(f"/{name}", b"hidden", acl=[make_digest_acl("ann", "secret", all=True)])
        path = f"/v1/tree/{name}"
        for role in ("read", "write"):
            answers = [api_of(guarded, role).request("GET", path)]
            if role == "write":
                writes = [("PUT", path, {"data": "x"}), ("PUT", f"{path}/child", {"data": "x"})]
                answers += [api_of(guarded, role).request(*write) for write in writes]
            for answer in answers:
                assert (answer.status, answer.problem) == (403, "forbidden"), f"{role}: {answer}"
                assert "hidden" not in answer.text
        assert api_of(guarded, "admin").get(path)["data"] == "hidden"
        assert client.get(f"/{name}")[0] == b"hidden"
    finally:
        client.stop()
        client.close()


def test_tokens_are_written_down_nowhere(guarded):
    """Neither in what a node says nor in what it logs nor on its disk: it only knows their digests."""
    api = api_of(guarded, "admin")
    said = "".join(api.request("GET", path).text for path in ("/metrics", "/v1/status", "/v1/openapi.json"))
    files = [path for path in Path(guarded.directory).rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in files) and len(files) > 6, "nothing to look at"
    for role, token in TOKENS.items():
        assert token not in said, role
        for path in files:
            assert token.encode() not in path.read_bytes(), f"{role}'s token is in {path}"
