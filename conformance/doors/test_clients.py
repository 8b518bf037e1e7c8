"""Clients that have the right papers, and clients that have not."""

import contextlib
import ssl
import time

import pytest
from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError

from harness import wire
from harness.secure import Certificates


@contextlib.contextmanager
def kazoo(hosts: str, certificates: Certificates, holder: str | None = None, **more):
    pair = dict(zip(("certfile", "keyfile"), certificates.pair(holder))) if holder else {}
    client = KazooClient(hosts, use_ssl=True, ca=certificates.authority, verify_certs=True, **pair, **more)
    client.start(timeout=5)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def test_kazoo_with_a_certificate(cluster):
    with kazoo(cluster.hosts, cluster.certificates, "client-app") as client:
        client.create("/papers", b"x" * 500_000)
        assert client.get("/papers")[0] == b"x" * 500_000
        assert client.set("/papers", b"").version == 1


def test_kazoo_without_a_certificate_where_one_is_wanted(cluster):
    before = cluster.metric("quipu_tls_handshakes_failed_total", listener="client", reason="no_certificate")
    with pytest.raises(KazooTimeoutError), kazoo(cluster.nodes[0].address, cluster.certificates):
        pass
    after = cluster.metric("quipu_tls_handshakes_failed_total", listener="client", reason="no_certificate")
    assert after > before


def test_kazoo_without_a_certificate_where_none_is_wanted(lone):
    with kazoo(lone.hosts, lone.certificates) as client:
        assert "zookeeper" in client.get_children("/")


def test_the_end_of_a_certificate_can_be_watched(cluster):
    days = (cluster.metric("quipu_certificate_not_after_seconds") - time.time()) / 86_400
    assert 729 < days <= 730


def test_four_letter_words_go_through_the_door(cluster):
    assert cluster.nodes[0].word("ruok") == "imok"


def test_a_certificate_of_another_authority_is_refused(cluster, tmp_path):
    strangers = Certificates(tmp_path / "certs")
    # It trusts us, and shows what we do not trust.
    context = cluster.certificates.context()
    context.load_cert_chain(*strangers.pair("client-app"))
    with pytest.raises((ssl.SSLError, wire.Closed, OSError)):
        with wire.Connection(cluster.nodes[0].address, context=context) as connection:
            connection.handshake()
    with pytest.raises(ssl.SSLCertVerificationError):
        wire.Connection(cluster.nodes[0].address, context=strangers.context("client-app"))


def test_a_client_in_the_open_is_closed(cluster):
    before = cluster.metric("quipu_tls_handshakes_failed_total", listener="client", reason="not_tls")
    with wire.Connection(cluster.nodes[0].address) as connection:
        with pytest.raises((wire.Closed, OSError)):
            connection.handshake()
            pytest.fail("served in the open")
    assert cluster.metric("quipu_tls_handshakes_failed_total", listener="client", reason="not_tls") > before


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_old_and_new_versions_of_tls(lone, version):
    context = lone.certificates.context()
    context.minimum_version = context.maximum_version = version
    with wire.Connection(lone.nodes[0].address, context=context) as connection:
        assert connection.handshake().session != 0


# What takes which role: the least, and a request that changes nothing that matters.
ASKED = [
    ("read", "GET", "/v1/status", None),
    ("read", "GET", "/metrics", None),
    ("write", "POST", "/v1/locks/door/acquire", {"owner": "a", "ttl_ms": 1000, "request_id": "the same"}),
    ("admin", "POST", "/v1/transfer/99", None),
]


@pytest.mark.parametrize("least, method, path, body", ASKED, ids=[path for _, _, path, _ in ASKED])
def test_a_token_opens_what_its_role_may(cluster, least, method, path, body):
    status, problem = cluster.ask(method, path, body)
    assert (status, problem["type"]) == (401, "urn:quipu:problem:unauthorized")
    assert cluster.ask(method, path, body, token="qp_" + "A" * 43)[0] == 401
    for role in ("read", "write", "admin"):
        status, answer = cluster.ask(method, path, body, role=role)
        if ("read", "write", "admin").index(role) < ("read", "write", "admin").index(least):
            assert (status, answer["type"]) == (403, "urn:quipu:problem:forbidden")
        else:
            assert status not in (401, 403), answer
    if least != "admin":
        assert cluster.ask(method, path, body, role=least)[0] == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/openapi.json"])
def test_health_and_the_description_need_no_token(cluster, path):
    assert cluster.ask("GET", path)[0] == 200
