"""The classic: a holder is paused past its lease, another one takes over, and the first one wakes up and writes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from fences import postgresql
from fences.stores import Rows
from harness.api import Api, problem
from harness.process import wait_until

TTL_MS = 1_000
HOLDER = Path(__file__).with_name("holder.py")


class Holder:
    """holder.py as a process."""

    def __init__(self, api: Api, lock: str, ttl_ms: int, owner: str, store: str, place: str, *options: str):
        words = [sys.executable, str(HOLDER), api.address, lock, str(ttl_ms), owner, store, place, *options]
        path = f"{HOLDER.parent}:{HOLDER.parents[1]}"
        environment = {**os.environ, "PYTHONPATH": path}
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)

    def next(self) -> dict:
        """The next step it reports."""
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait(10)} and said nothing"
        return json.loads(line)

    def is_stopped(self) -> bool:
        """Whether the kernel holds it: state T of /proc/PID/stat."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(params=["unfenced", "register", "tree", "kazoo", "postgresql"])
def place(request, cluster, api, name, tmp_path):
    """The store's name, where in it to write, and how to read what is there."""
    store = request.param
    if store in ("unfenced", "register"):
        path = tmp_path / "value"
        return store, str(path), path.read_text
    if store == "tree":
        return store, f"/{name}", lambda: api.get(f"/v1/tree/{name}")["data"]
    if store == "kazoo":
        return store, f"{cluster.hosts}|/{name}", lambda: read(cluster.hosts, f"/{name}")
    rows = Rows(request.getfixturevalue("postgresql_server"))

    def select() -> str:
        with rows.connect() as connection:
            return connection.execute("SELECT body FROM plain WHERE name = %s", (name,)).fetchone()[0]

    return store, f"host={rows.server.directory} user=test dbname={rows.database}", select


@pytest.fixture(scope="session")
def postgresql_server():
    if why := postgresql.missing():
        pytest.skip(why)
    server = postgresql.PostgreSQL().start()
    yield server
    server.stop()


def read(hosts: str, path: str) -> str:
    client = KazooClient(hosts)
    client.start(10)
    client.sync(path)
    data, _ = client.get(path)
    client.stop()
    client.close()
    return data.decode()


def test_a_holder_that_was_stopped_past_its_lease_cannot_write(api, name, place):
    store, where, value = place
    first = Holder(api, name, TTL_MS, "first", store, where, "--pause")
    second = None
    try:
        stale = first.next()
        assert stale["step"] == "holds", stale
        wait_until(first.is_stopped, 5, "the first holder to stop itself")
        stopped = time.monotonic()

        second = Holder(api, name, 60_000, "second", store, where)
        assert (fresh := second.next())["step"] == "holds", fresh
        print(f"\n  {store}: taken over {time.monotonic() - stopped:.2f} s after the first holder was stopped", flush=True)
        assert fresh["token"] > stale["token"]
        assert second.next() == {"step": "written", "why": ""}
        assert value() == "by second"
        assert first.is_stopped(), "it was to sleep through all this"

        first.process.send_signal(subprocess.signal.SIGCONT)
        outcome = first.next()
        print(f"  {store}: {outcome}", flush=True)
        if store == "unfenced":
            assert outcome["step"] == "written", outcome
            assert value() == "by first", "the control: without a fence the second holder's write is lost"
        else:
            assert outcome["step"] == "refused", f"a stale holder has written: {outcome}"
            assert value() == "by second", "it was refused and has written all the same"
        assert api.held(name, fresh["token"])
        assert problem(api.renew, name, stale["token"])[0] == "not-held"
    finally:
        for holder in (first, second):
            if holder:
                holder.close()
