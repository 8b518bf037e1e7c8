"""How the API says no, and how it describes itself."""

import json
import socket

import pytest
from openapi_spec_validator import validate

from harness.api import Api

# What a user was promised. {} stands for one segment that is chosen by the user.
PROMISED = """
POST /v1/locks/{}/acquire | POST /v1/locks/{}/renew | POST /v1/locks/{}/release | POST /v1/locks/{}/check
POST /v1/locks/{}/evict | GET /v1/locks/{} | GET /v1/locks | GET /v1/locks/{}/events
POST /v1/elections/{}/campaign | POST /v1/elections/{}/renew | POST /v1/elections/{}/resign
GET /v1/elections/{} | GET /v1/elections | GET /v1/elections/{}/events
POST /v1/fences/{}/check | GET /v1/fences/{} | GET /v1/fences
GET /v1/tree/{} | PUT /v1/tree/{} | DELETE /v1/tree/{}
GET /v1/flags | GET /v1/flags/{} | PUT /v1/flags/{} | DELETE /v1/flags/{} | GET /v1/flags/{}/history
GET /v1/flag-evaluators | GET /v1/flag-evaluators/{} | PUT /v1/flag-evaluators/{} | DELETE /v1/flag-evaluators/{}
POST /ofrep/v1/evaluate/flags/{} | POST /ofrep/v1/evaluate/flags
GET /v1/flag-events
GET /v1/openapi.json | GET /metrics | GET /health | GET /ready | GET /v1/status
POST /v1/members | POST /v1/members/{}/promote | DELETE /v1/members/{} | POST /v1/transfer/{}
"""


@pytest.fixture(scope="module")
def document(cluster) -> dict:
    answer = Api(cluster.http(cluster.nodes[0])).request("GET", "/v1/openapi.json")
    assert answer.status == 200 and answer.headers.get_content_type() == "application/json", answer.status
    return answer.json


def operations(document: dict) -> dict[str, dict]:
    methods = {"get", "put", "post", "delete", "head", "patch", "options"}
    return {f"{method.upper()} {path}": item[method] for path, item in document["paths"].items() for method in methods & set(item)}


def test_the_description_is_valid_openapi(document):
    assert document["openapi"].startswith("3."), document["openapi"]
    validate(document)
    ids = [operation["operationId"] for operation in operations(document).values() if "operationId" in operation]
    assert len(ids) == len(set(ids))


def test_every_promise_is_described(document):
    import re

    described = {re.sub(r"\{[^}]*\}", "{}", operation) for operation in operations(document)}
    promised = {promise.strip() for line in PROMISED.strip().splitlines() for promise in line.split("|")}
    assert promised <= described, f"not described: {sorted(promised - described)}"


def test_every_operation_says_how_it_fails(document):
    """All but those for probes can be refused, and say so as problems."""
    silent = []
    for name, operation in operations(document).items():
        kinds = {kind for answer in operation["responses"].values() for kind in answer.get("content", {})}
        if name.startswith(("GET /v1/", "POST /v1/", "PUT /v1/", "DELETE /v1/")) and "openapi" not in name:
            silent += [] if "application/problem+json" in json.dumps(operation) or _refers_to_problem(document, operation) else [name]
        assert kinds or operation["responses"], name
    assert not silent, silent


def _refers_to_problem(document: dict, operation: dict) -> bool:
    shared = document.get("components", {}).get("responses", {})
    names = [answer["$ref"].rpartition("/")[2] for answer in operation["responses"].values() if "$ref" in answer]
    return any("application/problem+json" in json.dumps(shared.get(name, {})) for name in names)


def test_what_is_described_is_there(cluster, document):
    """No operation of the description is answered as unknown by its own server."""
    api = Api(cluster.http(cluster.nodes[0]))
    for operation in operations(document):
        method, path = operation.split(" ")
        if "{" in path or method != "GET" or "events" in path:
            continue
        answer = api.request(method, path)
        assert answer.status == 200, f"{operation}: {answer}"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v2/locks", "/v1/locks/a/b/c", "/v1/locks/a/acquire/x", "/favicon.ico"])
def test_unknown_paths(api, path):
    answer = api.request("GET", path)
    assert (answer.status, answer.problem) == (404, "not-found"), answer


@pytest.mark.parametrize("method, path, allowed", [
    ("PUT", "/v1/locks", {"GET"}),
    ("DELETE", "/v1/locks/a", {"GET"}),
    ("GET", "/v1/locks/a/acquire", {"POST"}),
    ("POST", "/v1/status", {"GET"}),
    ("PATCH", "/v1/tree/a", {"GET", "PUT", "DELETE"}),
])
def test_other_methods_are_told_which_ones_work(api, method, path, allowed):
    answer = api.request(method, path, None)
    assert (answer.status, answer.problem) == (405, "method-not-allowed"), answer
    told = {word.strip() for word in answer.headers["Allow"].split(",")}
    assert allowed <= told and method not in told, told


def test_problems_repeat_their_status_and_name_their_fields(api, name):
    answer = api.request("POST", f"/v1/locks/{name}/acquire", {"owner": "a", "ttl_ms": 1})
    body = answer.json
    assert answer.problem == "bad-request" and body["status"] == answer.status == 400
    assert "ttl_ms" in body["detail"]


def test_a_connection_that_is_kept_open_serves_after_a_problem(api, name):
    """Refused bodies must not be taken for the next request."""
    import http.client

    connection = http.client.HTTPConnection(api.address, timeout=10)
    try:
        for status, path, body in (
            (400, f"/v1/locks/{name}/acquire", b'{"owner": 1}'),
            (404, "/v1/nothing", b"GET /v1/status HTTP/1.1\r\n\r\n"),
            (405, "/v1/status", b"POST /v1/locks/smuggled/acquire HTTP/1.1\r\n\r\n"),
            (200, f"/v1/locks/{name}/acquire", b'{"owner": "ann"}'),
        ):
            connection.request("POST", path, body)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == status, f"{path}: {answer.status} {text}"
    finally:
        connection.close()
    assert api.request("GET", "/v1/locks/smuggled").status == 404


@pytest.mark.parametrize("raw", [
    b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET / HTTP/9.9\r\n\r\n", b"ruok",
    b"POST /v1/locks/a/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/locks/a/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5_000)) + b"\r\n",
], ids=["no-path", "tls", "version", "word", "negative", "two-lengths", "long-path", "many-headers"])
def test_bytes_that_are_no_request_cost_only_their_sender(api, raw):
    host, port = api.address.split(":")
    with socket.create_connection((host, int(port)), 5) as hostile:
        hostile.settimeout(15)
        try:
            hostile.sendall(raw)
            hostile.shutdown(socket.SHUT_WR)
            answer = hostile.recv(65536)
        except OSError:
            answer = b""
    assert not answer or answer.split(b" ")[1][:1] in (b"4", b"5"), answer[:200]
    assert api.request("GET", "/health").status == 200
