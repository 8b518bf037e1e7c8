"""Every four-letter word, with the lines that monitoring tools read."""

import re
import socket

import pytest

from harness import wire


def ask(address: str, word: str) -> str:
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(word.encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode()


def test_ruok(address):
    assert ask(address, "ruok") == "imok"


def test_srvr_names_version_and_mode(address):
    answer = ask(address, "srvr")
    assert re.match(r"Zookeeper version: 3\.8\.\d", answer)
    for key in ("Latency min/avg/max:", "Received:", "Sent:", "Connections:", "Outstanding:", "Zxid: 0x", "Node count:"):
        assert f"\n{key}" in answer, key
    assert re.search(r"^Mode: (leader|follower)$", answer, re.M)


def test_exactly_one_node_says_that_it_leads(hosts):
    modes = [re.search(r"^Mode: (\w+)$", ask(host, "srvr"), re.M)[1] for host in hosts]
    assert sorted(modes) == ["follower"] * (len(hosts) - 1) + ["leader"]


def test_stat_lists_clients(address, connection):
    answer = ask(address, "stat")
    port = connection.socket.getsockname()[1]
    assert "Clients:" in answer and "\nMode: " in answer
    assert re.search(rf"/127\.0\.0\.1:{port}\[1\]\(queued=\d+,recved=\d+,sent=\d+\)", answer)


def test_cons_details_clients(address, connection):
    answer = ask(address, "cons")
    port = connection.socket.getsockname()[1]
    line = next(line for line in answer.splitlines() if f":{port}[" in line)
    assert f"sid=0x{connection.session & (2**64 - 1):x}" in line and "to=10000" in line


def test_mntr_is_tab_separated(address):
    lines = ask(address, "mntr").strip().splitlines()
    values = dict(line.split("\t", 1) for line in lines)
    for key in (
        "zk_version zk_server_state zk_avg_latency zk_max_latency zk_min_latency zk_packets_received zk_packets_sent "
        "zk_num_alive_connections zk_outstanding_requests zk_znode_count zk_watch_count zk_ephemerals_count "
        "zk_approximate_data_size zk_open_file_descriptor_count zk_max_file_descriptor_count"
    ).split():
        assert key in values, key
    assert values["zk_server_state"] in ("leader", "follower")
    assert int(values["zk_znode_count"]) >= 1


def test_the_leader_counts_its_followers(hosts):
    leader = next(host for host in hosts if "Mode: leader" in ask(host, "srvr"))
    values = dict(line.split("\t", 1) for line in ask(leader, "mntr").strip().splitlines())
    assert int(float(values["zk_synced_followers"])) == len(hosts) - 1


@pytest.mark.parametrize("word", ["wchs", "wchc", "wchp"])
def test_watches_are_listed(address, connection, path, word):
    connection.call(wire.EXISTS, wire.string(path) + b"\1")
    answer = ask(address, word)
    if word == "wchs":
        assert re.match(r"\d+ connections watching \d+ paths\nTotal watches:\d+", answer)
    else:
        assert path in answer and f"0x{connection.session & (2**64 - 1):x}" in answer


def test_envi_names_the_version(address):
    answer = ask(address, "envi")
    assert answer.startswith("Environment:\n") and re.search(r"^zookeeper\.version=3\.8\.\d", answer, re.M)


def test_conf_shows_the_client_port(address):
    answer = ask(address, "conf")
    assert f"clientPort={address.rsplit(':', 1)[1]}" in answer.splitlines()
    for key in ("tickTime=", "maxClientCnxns=", "minSessionTimeout=4000", "maxSessionTimeout=40000", "serverId="):
        assert f"\n{key}" in f"\n{answer}", key


def test_isro_says_read_and_write(address):
    assert ask(address, "isro") == "rw"


def test_dump_lists_ephemerals_by_session(hosts, path):
    leader = next(host for host in hosts if "Mode: leader" in ask(host, "srvr"))
    with wire.Connection(leader) as connection:
        connection.handshake()
        assert connection.create(path, b"", wire.EPHEMERAL)[0] == 0
        answer = ask(leader, "dump")
        assert f"0x{connection.session & (2**64 - 1):x}:\n\t{path}" in answer


def test_dirs_gives_sizes_in_bytes(address):
    answer = ask(address, "dirs")
    assert re.search(r"^datadir_size: \d+$", answer, re.M) and re.search(r"^logdir_size: \d+$", answer, re.M)


def test_crst_and_srst_reset_counters(address):
    assert ask(address, "crst") == "Connection stats reset.\n"
    assert ask(address, "srst") == "Server stats reset.\n"
    assert int(re.search(r"^Received: (\d+)$", ask(address, "srvr"), re.M)[1]) < 100


def test_hash_lists_digests_by_zxid(address):
    """One line for every 128 transactions or so: their zxid in hex and a digest of the tree."""
    for line in ask(address, "hash").splitlines():
        assert re.fullmatch(r"[0-9a-f]+: -?\d+", line)


def test_gtmk_and_stmk_show_and_set_the_trace_mask(address):
    before = int(ask(address, "gtmk"))
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(b"stmk" + before.to_bytes(8, "big"))
        assert int(connection.recv(64)) == before


def test_an_unknown_word_gets_no_answer_and_disturbs_nobody(address, connection):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5) as other:
        other.sendall(b"nope")
        other.shutdown(socket.SHUT_WR)
        assert other.recv(64) in (b"", b"nope is not executed because it is not in the whitelist.\n")
    connection.ping()
