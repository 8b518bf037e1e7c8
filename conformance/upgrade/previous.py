"""The version before this one, built from the project's own history.

    python upgrade/previous.py            builds it unless that was done before, and prints where it is
    python upgrade/previous.py --check    says whether the history holds it; builds nothing
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The last version without locks, flags and feature gates. It is the coordination service of the project's fourth
# milestone and can already leave out the lab, which is half of what there is to compile.
COMMIT = "040d81db1c480954878fb9dbf0a1916ce8455abc"


class Missing(Exception):
    """It cannot be had here, and why."""


def binary() -> Path:
    """The program of the previous version. It is kept by commit, so only the first call compiles.

    Raises `Missing` where there is no history, no git or no cargo, and `RuntimeError` if it does not compile.
    """
    program = _folder() / f"quipu-{COMMIT[:12]}"
    if not program.exists():
        check()
        _build(program)
    return program


def check() -> None:
    """Raises `Missing` unless the history holds the commit."""
    for tool in ("git", os.environ.get("CARGO", "cargo")):
        if not shutil.which(tool):
            raise Missing(f"needs {tool}")
    asked = subprocess.run(["git", "cat-file", "-e", f"{COMMIT}^{{commit}}"], cwd=ROOT, capture_output=True)
    if asked.returncode != 0:
        raise Missing(f"this copy of the project has no history back to {COMMIT[:12]}")


def _build(program: Path) -> None:
    source, built = _folder() / "source", _folder() / "target"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    archive = subprocess.Popen(["git", "archive", COMMIT], cwd=ROOT, stdout=subprocess.PIPE)
    unpacked = subprocess.run(["tar", "-x", "-C", str(source)], stdin=archive.stdout)
    if archive.wait() != 0 or unpacked.returncode != 0:
        raise RuntimeError(f"git archive {COMMIT} could not be unpacked")
    # Quick to compile matters here, quick to run does not.
    profile = {"CARGO_PROFILE_DEV_OPT_LEVEL": "0", "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0"}
    command = [os.environ.get("CARGO", "cargo"), "build", "--quiet", "--locked", "-p", "quipu", "--no-default-features"]
    environment = {**os.environ, **profile, "CARGO_TARGET_DIR": str(built)}
    print(f"building the previous version, {COMMIT[:12]}", file=sys.stderr, flush=True)
    if subprocess.run(command, cwd=source, env=environment).returncode != 0:
        raise RuntimeError(f"{COMMIT[:12]} does not compile in {source}")
    # Copied under another name first: a build that is interrupted leaves nothing that looks finished.
    fresh = program.with_suffix(".new")
    shutil.copy2(built / "debug" / "quipu", fresh)
    fresh.rename(program)
    shutil.rmtree(source)
    shutil.rmtree(built)


def _folder() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "previous-version"


if __name__ == "__main__":
    try:
        check() if sys.argv[1:] == ["--check"] else print(binary())
    except Missing as missing:
        sys.exit(f"skipped: {missing}")
