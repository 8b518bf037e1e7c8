"""A program that does everything right and is stopped at the worst moment: after its last look, before its write.

    python holder.py NODE LOCK TTL_MS OWNER STORE PLACE [--pause]

It takes the lock, looks at its own clock, stops itself with SIGSTOP if told to, and writes OWNER's value. Each step is a
line of JSON on standard output.
"""

import json
import os
import signal
import sys
import time

from harness.api import Api
from stores import STORES


def main() -> None:
    node, lock, ttl_ms, owner, store, place = sys.argv[1:7]
    writer = STORES[store](node, place)
    writer.prepare()
    # The lease is counted from before the request was sent, as the documentation says: the safe side.
    asked = time.monotonic()
    grant = Api(node).acquire(lock, owner, ttl_ms=int(ttl_ms), wait_ms=30_000)
    say("holds", token=grant["token"])
    left = asked + int(ttl_ms) / 1000 - time.monotonic()
    if left <= 0:
        say("too slow for its own lease", left=left)
        return
    if "--pause" in sys.argv:
        os.kill(os.getpid(), signal.SIGSTOP)
    written, why = writer.write(f"by {owner}", lock, grant["token"])
    say("written" if written else "refused", why=why)


def say(step: str, **facts) -> None:
    print(json.dumps({"step": step, **facts}), flush=True)


if __name__ == "__main__":
    main()
