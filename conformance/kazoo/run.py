"""Runs kazoo's own suite against ZOOKEEPER_HOSTS and compares the outcomes with expected.txt.

    python kazoo/run.py            # fails when a test fails that a real three-node ZooKeeper passes
    python kazoo/run.py --record   # against that ZooKeeper: writes expected.txt

A line of expected.txt is `passed TEST` or `skipped TEST: reason`. A test that fails is run once more on its own;
if it passes then, it counts as passed and is reported as flaky.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected.txt"
TEST_SECONDS = 45
Outcomes = dict[str, tuple[str, str]]  # The test's name to its state and the reason or failure.


def main(arguments: list[str]) -> int:
    outcomes = run_suite([])
    flaky = retry_failures(outcomes)
    if "--record" in arguments:
        record(outcomes)
    return report(outcomes, read_expected(), flaky)


def run_suite(selection: list[str]) -> Outcomes:
    """Runs the selected tests, or all of them, and prints pytest's progress."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as results:
        command = [
            sys.executable, "-m", "pytest", "-p", "external_cluster", "-p", "no:cacheprovider", "-p", "no:logging",
            "-p", "pytest_timeout", "--timeout", str(TEST_SECONDS), "--tb=short", "-q", "--junitxml", results.name,
            "--pyargs", *(selection or ["kazoo.tests"]),
        ]
        path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
        # Plugins that other tests of ours have brought along keep objects alive that this suite counts.
        environment = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        # The suite's own background threads write to a closed log after it ended; only the report matters here.
        subprocess.run(command, env=environment, stderr=subprocess.DEVNULL)
        if os.path.getsize(results.name) == 0:
            sys.exit("kazoo's suite ended without a report")
        return read_report(results.name)


def read_report(path: str) -> Outcomes:
    outcomes: Outcomes = {}
    for case in xml.parse(path).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        state, why = "passed", ""
        for child in case:
            if child.tag == "skipped":
                state, why = "skipped", child.get("message", "")
            elif child.tag in ("failure", "error"):
                state, why = "failed", (child.get("message") or "").splitlines()[0][:200]
        outcomes[name] = (state, why)
    return outcomes


def retry_failures(outcomes: Outcomes) -> list[str]:
    failed = [name for name, (state, _) in outcomes.items() if state == "failed"]
    if not failed:
        return []
    print(f"\n{len(failed)} failed; each gets one more try on its own", flush=True)
    again = run_suite([node_id(name) for name in failed])
    flaky = [name for name in failed if again.get(name, ("failed",))[0] == "passed"]
    for name in flaky:
        outcomes[name] = ("passed", "")
    return flaky


def node_id(name: str) -> str:
    """`test_lock.LockTests.test_x` to `kazoo.tests.test_lock::LockTests::test_x`."""
    return "kazoo.tests." + "::".join(name.removeprefix("kazoo.tests.").split(".", 2))


def record(outcomes: Outcomes) -> None:
    lines = [f"{state} {name}" + (f": {why}" if why else "") for name, (state, why) in sorted(outcomes.items())]
    EXPECTED.write_text("\n".join(lines) + "\n")


def read_expected() -> Outcomes:
    expected: Outcomes = {}
    for line in EXPECTED.read_text().splitlines():
        state, _, rest = line.partition(" ")
        name, _, why = rest.partition(": ")
        expected[name] = (state, why)
    return expected


def report(outcomes: Outcomes, expected: Outcomes, flaky: list[str]) -> int:
    states = [state for state, _ in outcomes.values()]
    print("\nSkipped:")
    for name, (state, why) in sorted(outcomes.items()):
        if state == "skipped":
            print(f"  {name}: {why}")
    for name in flaky:
        print(f"FLAKY {name}: failed, then passed on its own")
    wrong = [name for name, wanted in sorted(expected.items()) if broken(outcomes.get(name), wanted)]
    for name in wrong:
        state, why = outcomes.get(name, ("missing", "did not run"))
        print(f"BROKEN {name}: {expected[name][0]} on ZooKeeper, {state} here: {why}")
    new = sorted(name for name, (state, _) in outcomes.items() if state == "failed" and name not in expected)
    for name in new:
        print(f"FAILED {name}: unknown to {EXPECTED.name}: {outcomes[name][1]}")
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("passed", "failed", "skipped"))
    print(f"kazoo: {counts}; {len(flaky)} flaky; {len(wrong)} worse than ZooKeeper", flush=True)
    return 1 if wrong or new else 0


def broken(outcome: tuple[str, str] | None, wanted: tuple[str, str]) -> bool:
    """True when a test does worse than on a real ZooKeeper: not passed, though it passes there."""
    state = outcome[0] if outcome else "missing"
    return state == "failed" or (wanted[0] == "passed" and state != "passed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
