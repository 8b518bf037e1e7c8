"""What schemathesis must not do, or it would wait all day: whatever waits, waits shortly."""

import schemathesis

LONGEST_MS = 50


@schemathesis.hook
def before_call(context, case, **keywords):
    if case.path.endswith("/events") and isinstance(case.query, dict):
        timeout = case.query.get("timeout_ms", LONGEST_MS + 1)
        if str(timeout).isdecimal() and LONGEST_MS < int(timeout) <= 86_400_000:
            case.query["timeout_ms"] = LONGEST_MS
    if isinstance(case.body, dict):
        wait = case.body.get("wait_ms")
        if isinstance(wait, int) and not isinstance(wait, bool) and LONGEST_MS < wait <= 86_400_000:
            case.body["wait_ms"] = LONGEST_MS
