"""What the HTTP service and the file script answer to whoever holds them wrong."""

import fcntl
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fences.stores import SNIPPETS, Files, Http
from harness.process import Child


@pytest.fixture
def service():
    store = Http()
    yield store
    store.close()


@pytest.fixture
def files():
    store = Files()
    yield store
    store.close()


def test_http_refusals_say_what_is_wrong(service):
    assert service.request("PUT", "a", "x")[0] == 428, "a write without a token"
    for nonsense in ("", "x", "-1", "0", "1.5", "9223372036854775808", "9" * 5000):
        assert service.request("PUT", "a", "x", {"X-Fence-Token": nonsense})[0] == 400, nonsense[:30]
    assert service.write("a", "seven", 7)
    status, headers, _ = service.request("PUT", "a", "x", {"X-Fence-Token": "6"})
    assert (status, headers["X-Fence-Minimum"]) == (409, "7")
    status, headers, body = service.request("GET", "a")
    assert (status, headers["X-Fence-Token"], body) == (200, "7", "seven")
    assert service.request("GET", "b")[0] == 404


def test_http_deleted_objects_keep_their_fence(service):
    assert service.write("a", "five", 5)
    assert service.request("DELETE", "a", None, {"X-Fence-Token": "4"})[0] == 409
    assert service.request("DELETE", "a", None, {"X-Fence-Token": "6"})[0] == 204
    assert service.request("GET", "a")[0] == 404
    assert not service.write("a", "five again", 5)


def test_http_objects_have_fences_of_their_own(service):
    assert service.write("a", "x", 9)
    assert service.write("b", "x", 3)


def test_files_guards_its_own(files):
    for name in ("", ".", "..", ".fence", ".fence.lock", "../escape"):
        assert files.run(name, "x", "5").returncode not in (0, 3), name
    for token in ("", "x", "-1", "1.5"):
        done = files.run("a", "x", token)
        assert (done.returncode, "usage" in done.stderr) == (2, True), token
    assert sorted(path.name for path in files.folder.iterdir()) in ([], [".fence.lock"])


def test_files_one_fence_for_the_folder(files):
    assert files.write("a", "x", 9)
    assert not files.write("b", "x", 3), "a folder is one resource"
    assert files.read("b") is None


def test_files_compares_while_nobody_else_can_write(files):
    """A later holder is writing. Whoever comes meanwhile must wait for it and then compare with what it left."""
    assert files.write("a", "five", 5)
    with open(files.folder / ".fence.lock") as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        late = pool.submit(files.write, "a", "six", 6)
        time.sleep(0.5)
        waited = not late.done()
        (files.folder / ".fence").write_text("7\n")
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert waited, "it did not wait for the one who was writing"
        assert late.result(20) is False, "it compared before it had the folder to itself"
    assert files.read("a") == "five"


def test_files_a_reader_never_sees_half_a_file(files):
    """Files of 1 MB, written again and again, read without any lock meanwhile."""
    contents = {letter * 1_000_000 for letter in "ab"}
    assert files.write("a", "a" * 1_000_000, 1)
    loop = "while :; do for l in a b; do head -c 1000000 /dev/zero | tr '\\0' $l | QUIPU_FENCE=1 $2 $0 $1 a; done; done"
    words = ["sh", "-c", loop, str(SNIPPETS / "fenced_files.py"), str(files.folder), sys.executable]
    writer = Child(words, str(files.folder / "log"))
    seen = set()
    deadline = time.monotonic() + 20
    while len(seen) < 2 and time.monotonic() < deadline:
        text = files.read("a")
        assert text in contents, f"{len(text)} bytes of {set(text)}"
        seen.add(text[0])
    writer.kill()
    assert seen == {"a", "b"}, "no change was seen, so this test shows nothing"
