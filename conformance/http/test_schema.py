"""Requests that the API's own description allows, and such that it forbids: the answers are the ones it describes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.api import Api
from harness.cluster import Node
from harness.gates import wait_for_locks
from harness.quipu import Nodes

DESCRIPTION = "/v1/openapi.json"
TOKEN = "qp_" + "s" * 43
SECONDS = 50


class Guarded(Nodes):
    """A node that wants a token; this is the token of one who may do everything."""

    def _settings(self, node: Node) -> str:
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        return super()._settings(node) + f'[[token]]\nname = "schemathesis"\nrole = "admin"\nsha256 = "{digest}"\n'


@pytest.fixture
def api():
    """One node of its own: among what is asked of it are changes of its cluster."""
    with Guarded(size=1) as cluster:
        api = Api(cluster.http(cluster.nodes[0]), TOKEN)
        wait_for_locks([api])
        yield api


def test_the_api_answers_as_it_is_described(api, tmp_path):
    folder, report = Path(__file__).parent, tmp_path / "junit.xml"
    # What a description cannot say, two fields that exclude each other for example, is refused all the same: so
    # requests that it allows may be.
    command = f"""run http://{api.address}{DESCRIPTION} --checks all --exclude-checks positive_data_acceptance
        --max-time {SECONDS} --max-examples 40 --seed 1 --request-timeout 10 --continue-on-failure
        --suppress-health-check all --no-color --report junit --report-junit-path {report}"""
    ran = subprocess.run(
        [Path(sys.executable).parent / "schemathesis", *command.split(), "-H", f"Authorization: Bearer {TOKEN}"],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS + 60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    asked = {case.get("name") for case in ElementTree.parse(report).iter("testcase")}
    described = api.get(DESCRIPTION)["paths"].items()
    operations = {f"{method.upper()} {path}" for path, item in described for method in item}
    assert operations - {f"GET {DESCRIPTION}"} <= asked, "not everything was asked for"
