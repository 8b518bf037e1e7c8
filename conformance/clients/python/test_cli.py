"""Debian's zkCli.sh, scripted: what a person types, and what ZooKeeper's own Java client makes of our replies."""

import os
import re
import subprocess

import pytest

from harness import quipu, reference

ZKCLI = "/usr/share/zookeeper/bin/zkCli.sh"
pytestmark = pytest.mark.skipif(not os.path.exists(ZKCLI), reason=f"{ZKCLI} is missing: apt-get install zookeeper")


def type_in(address: str, *commands: str) -> str:
    """Types the commands into one zkCli session; returns all that it printed, errors too."""
    done = subprocess.run(
        [ZKCLI, "-server", address], input="\n".join([*commands, "quit", ""]), capture_output=True, text=True, timeout=60
    )
    return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("SLF4J"))


def test_create_every_kind_of_node(address, path):
    printed = type_in(
        address, f"create {path} data", f"create -s {path}/s x", f"create -e {path}/e x", f"create -s -e {path}/se x",
        f"create -c {path}/c", f"create -t 60000 {path}/t x", f"create {path} again", f"ls {path}",
    )
    assert f"Created {path}\n" in printed
    assert f"Created {path}/s0000000000" in printed and f"Created {path}/se0000000002" in printed
    assert f"Node already exists: {path}" in printed
    assert "[c, e, s0000000000, se0000000002, t]" in printed


def test_ephemerals_end_with_the_command_line(address, path):
    type_in(address, f"create -e {path} x")
    assert f"Node does not exist: {path}" in type_in(address, f"get {path}")


def test_ls_recursively_and_with_stat(address, path):
    printed = type_in(
        address, f"create {path}", f"create {path}/b", f"create {path}/b/c", f"create {path}/a", f"ls -R {path}", f"ls -s {path}"
    )
    assert f"{path}\n{path}/a\n{path}/b\n{path}/b/c\n" in printed
    assert "[a, b]" in printed and "numChildren = 2" in printed and "cversion = 2" in printed


def test_get_and_stat_show_every_field(address, path):
    printed = type_in(address, f"create {path} hello", f"get -s {path}")
    assert "hello" in printed
    for field in ("cZxid = 0x", "mZxid = 0x", "pZxid = 0x", "ctime = ", "mtime = ", "cversion = 0", "dataVersion = 0",
                  "aclVersion = 0", "ephemeralOwner = 0x0", "dataLength = 5", "numChildren = 0"):
        assert field in printed, field
    assert "dataLength = 5" in type_in(address, f"stat {path}")


def test_set_checks_the_version(address, path):
    printed = type_in(address, f"create {path} one", f"set -v 0 {path} two", f"set -v 0 {path} three", f"get {path}")
    assert re.search("version No is not valid", printed) and "\ntwo\n" in printed


def test_delete_checks_version_and_children(address, path):
    printed = type_in(
        address, f"create {path}", f"create {path}/a", f"delete {path}", f"delete -v 7 {path}/a", f"deleteall {path}", f"ls {path}"
    )
    assert f"Node not empty: {path}" in printed
    assert f"version No is not valid : {path}/a" in printed
    assert f"Node does not exist: {path}" in printed


def test_acl_guards_a_node(address, path):
    printed = type_in(
        address, f"create {path} secret", "addauth digest bob:builder", f"setAcl {path} auth::cdrwa", f"getAcl -s {path}", "whoami"
    )
    assert "'digest,'bob:" in printed and ": cdrwa" in printed and "aclVersion = 1" in printed
    assert re.search(r"^digest: bob$", printed, re.M) and re.search(r"^ip: 127\.0\.0\.1$", printed, re.M)
    assert f"Insufficient permission : {path}" in type_in(address, f"get {path}")
    assert "secret" in type_in(address, "addauth digest bob:builder", f"get {path}")


def test_watches_fire_in_the_command_line(address, path):
    printed = type_in(address, f"create {path} one", f"get -w {path}", f"set {path} two", f"stat -w {path}", f"delete {path}")
    assert f"type:NodeDataChanged path:{path}" in printed and f"type:NodeDeleted path:{path}" in printed


def test_a_recursive_watch_fires_for_descendants_until_it_is_removed(address, path):
    printed = type_in(
        address, f"create {path}", f"addWatch -m PERSISTENT_RECURSIVE {path}", f"create {path}/a", f"create {path}/a/b",
        f"set {path}/a/b x", f"removewatches {path}", f"delete {path}/a/b", "sync /",
    )
    for event in (f"NodeCreated path:{path}/a\n", f"NodeCreated path:{path}/a/b\n", f"NodeDataChanged path:{path}/a/b\n"):
        assert f"type:{event}" in printed, event
    assert "NodeChildrenChanged" not in printed and "NodeDeleted" not in printed


def test_counting_and_listing(address, path):
    printed = type_in(
        address, f"create {path}", f"create -e {path}/a", f"create {path}/b", f"getAllChildrenNumber {path}",
        f"getEphemerals {path}", "sync /",
    )
    assert "\n2\n" in printed and f"[{path}/a]" in printed and "Sync is OK" in printed


def test_config_lists_every_member(address, hosts):
    printed = type_in(address, "config")
    assert len(re.findall(r"^server\.\d+=\S+:participant;\S+$", printed, re.M)) == len(hosts)
    assert re.search(r"^version=[0-9a-f]+$", printed, re.M)
    for host in hosts:
        assert host.rsplit(":", 1)[1] in printed


def test_reconfig_needs_permission(address):
    assert "Insufficient permission" in type_in(address, "reconfig -remove 3") or "NoAuth" in type_in(address, "reconfig -remove 3")


def test_reconfig_removes_a_member_and_takes_it_back():
    """On servers of its own, for it changes who they are."""
    makers = {"quipu": quipu.Dev, "reference": reference.Reference}
    servers = os.environ.get("ZOOKEEPER_SERVERS")
    if servers not in makers:
        pytest.skip("changes the membership, which must not happen to servers that someone else runs")
    with makers[servers]() as cluster:
        leader, removed = cluster.leader(), cluster.followers()[0]
        login = "addauth digest super:test"
        line = re.search(rf"^server\.{removed.number}=(\S+)$", type_in(leader.address, "config"), re.M)[0]
        printed = type_in(leader.address, login, f"reconfig -remove {removed.number}", "config")
        assert "Committed new configuration" in printed
        assert line not in printed
        printed = type_in(leader.address, login, f"reconfig -add {line.removeprefix('server.')}", "config")
        assert printed.count(line) >= 1
        assert len(re.findall(r"^server\.\d+=", printed, re.M)) >= 3
