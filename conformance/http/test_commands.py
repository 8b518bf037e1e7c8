"""The commands of locks, elections and fences, as people and scripts use them."""

import json
import re
import subprocess

import pytest

from harness.api import Api, election
from harness.process import wait_until
from harness.quipu import binary

LOST, NOT_ACQUIRED = 75, 69


def test_a_lock_step_by_step(quipu, name):
    token = quipu("lock", "acquire", name, "--ttl", "1m", "--owner", "ann").strip()
    assert re.fullmatch(r"\d+", token)
    assert "held by ann" in quipu("lock", "acquire", name, status=NOT_ACQUIRED)
    quipu("lock", "check", name, token)
    assert json.loads(quipu("lock", "renew", name, token, "--json"))["token"] == int(token)
    shown = json.loads(quipu("lock", "ls", name, "--json"))["items"]
    assert [(item["name"], item["holders"][0]["owner"]) for item in shown] == [(name, "ann")]
    assert "ann" in quipu("lock", "show", name)
    quipu("lock", "release", name, token)
    for verb in ("release", "renew", "check"):
        quipu("lock", verb, name, token, status=LOST)
    assert "free" in quipu("lock", "show", name, status=1)


def test_evicting(quipu, name):
    tokens = [int(quipu("lock", "acquire", name, "--permits", "3")) for _ in range(3)]
    assert json.loads(quipu("lock", "evict", name, str(tokens[1]), "--json"))["evicted"] == [tokens[1]]
    assert json.loads(quipu("lock", "evict", name, "--json"))["evicted"] == [tokens[0], tokens[2]]
    assert "nobody" in quipu("lock", "evict", name)


def test_fences(quipu, name):
    assert json.loads(quipu("fence", "show", name, "--json"))["minimum"] == 0
    quipu("fence", "check", name, "7")
    quipu("fence", "check", name, "7")
    assert "none below 7" in quipu("fence", "check", name, "6", status=LOST)
    quipu("fence", "check", name, "9")
    assert "9" in quipu("fence", "show", name)
    assert f"{name}  9" in quipu("fence", "ls")


def test_an_election_is_watched_from_state_to_state(quipu, watch, apis, name):
    lines = watch("elect", "watch", name)
    objects = watch("elect", "watch", name, "--json")
    wait_until(lambda: lines() and objects(), 10, "how it stands")
    first = quipu("elect", "run", name, "--candidate", "ann", "--value", "10.0.0.1:1", "--", "sh", "-c", "echo $QUIPU_TERM")
    second = apis[1].campaign(name, "bob")["term"]
    assert second > int(first)
    assert json.loads(quipu("elect", "ls", name, "--json"))["items"][0]["leader"]["candidate"] == "bob"
    quipu("elect", "resign", name, str(second))
    quipu("elect", "resign", name, str(second), status=LOST)
    wait_until(lambda: len(lines()) == 5 and len(objects()) == 5, 10, "all that has happened")
    assert lines() == [
        "nobody leads",
        f"elected  term {int(first)}  ann  10.0.0.1:1", f"vacant   term {int(first)}  released",
        f"elected  term {second}  bob", f"vacant   term {second}  released",
    ]
    seen = [json.loads(line) for line in objects()]
    assert [one["event"] for one in seen] == ["state", "elected", "vacant", "elected", "vacant"]
    assert seen[1]["term"] == int(first) and seen[1]["candidate"] == "ann"
    ids = [float(one["id"]) for one in seen]
    assert ids == sorted(ids), ids


def test_a_watch_goes_on_at_another_node_without_a_gap(own_cluster, tmp_path, name):
    """The node that is watched dies; what happens meanwhile is told by the next, in order and once."""
    dies, lives = own_cluster.followers()
    nodes = ",".join(f"http://{own_cluster.http(node)}" for node in (dies, lives))
    api = Api(own_cluster.http(lives))
    with open(tmp_path / "out", "wb") as out:
        command = [binary(), "elect", "watch", name, "--json", "--node", nodes]
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
    try:
        lines = lambda: [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]  # noqa: E731
        wait_until(lines, 10, "how it stands")
        terms = []
        for turn in range(6):
            if turn == 3:
                own_cluster.kill(dies)
            term = api.campaign(name, f"candidate {turn}")["term"]
            api.ask("POST", f"{election(name)}/resign", {"term": term})
            terms.append(term)
        changes = lambda: [one for one in lines() if one["event"] != "state"]  # noqa: E731
        wait_until(lambda: len(changes()) >= 12, 20, "all changes")
        expected = [(kind, term) for term in terms for kind in ("elected", "vacant")]
        assert [(one["event"], one["term"]) for one in changes()] == expected
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("words, expected", [
    (["lock", "run", "x", "--", "true"], 69),
    (["lock", "ls"], 1),
    (["elect", "watch", "x"], 1),
    (["flags", "watch"], 1),
    (["fence", "check", "x", "7"], 1),
])
def test_nobody_answers(words, expected):
    done = subprocess.run(
        [binary(), *words[:2], "--node", "127.0.0.1:1", *words[2:]], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == expected
    assert "no node answers" in done.stderr and "127.0.0.1:1" in done.stderr


def test_what_makes_no_sense_is_told_by_name(quipu):
    assert "--ttl" in quipu("lock", "run", "x", "--ttl", "10", "--", "true", status=2)
    assert "ttl_ms" in quipu("lock", "run", "x", "--ttl", "1ms", "--", "true", status=125)
    assert "name" in quipu("lock", "run", "", "--", "true", status=125)
    assert "25%" in quipu("flags", "set", "x", "--on", "101%", status=2)
