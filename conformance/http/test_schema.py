"""Requests that the API's own description allows, and such that it forbids: the answers are the ones it describes."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.api import Api
from harness.gates import wait_for_locks
from harness.quipu import Nodes

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,negative_data_rejection"
)
DESCRIPTION = "/v1/openapi.json"
SECONDS = 45


@pytest.fixture
def node():
    """One node of its own: among what is asked of it are changes of its cluster."""
    with Nodes(size=1) as cluster:
        address = cluster.http(cluster.nodes[0])
        wait_for_locks([Api(address)])
        yield address


def test_the_api_answers_as_it_is_described(node, tmp_path):
    folder = Path(__file__).parent
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"http://{node}{DESCRIPTION}",
        "--checks", CHECKS, "--max-time", str(SECONDS), "--max-examples", "30", "--seed", "1",
        "--phases", "examples,coverage,fuzzing", "--request-timeout", "10", "--continue-on-failure", "--no-color",
        "--suppress-health-check", "all", "--report", "junit", "--report-junit-path", str(tmp_path / "junit.xml"),
    ]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": str(folder)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS + 60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    asked = {case.get("name") for case in ElementTree.parse(tmp_path / "junit.xml").iter("testcase")}
    described = Api(node).get(DESCRIPTION)["paths"].items()
    operations = {f"{method.upper()} {path}" for path, item in described for method in item}
    assert asked == operations - {f"GET {DESCRIPTION}"}, "not everything was asked for"
