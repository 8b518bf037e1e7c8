//! What a fresh machine lacks: made here, or named when it cannot be.

use crate::shell::{Outcome, run, succeeds};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Where Cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Python with the pinned packages, in `.venv`; made on first use and again whenever the pins change.
pub(crate) fn python() -> Result<PathBuf, Outcome> {
    let folder = root().join(".venv");
    let python = folder.join("bin/python");
    let wanted = std::fs::read_to_string(root().join("conformance/requirements.txt"))
        .map_err(|error| Outcome::Failed(format!("conformance/requirements.txt: {error}")))?;
    let stamp = folder.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if !succeeds("python3", &["-c", "import venv, ensurepip"]) && !install("python3-venv") {
        return Err(Outcome::Skipped(
            "needs python3 and its venv module: apt-get install python3-venv".to_owned(),
        ));
    }
    println!("making a Python environment in .venv");
    step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let requirements = root().join("conformance/requirements.txt");
    step(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    std::fs::write(&stamp, wanted)
        .map_err(|error| Outcome::Failed(format!("{}: {error}", stamp.display())))?;
    Ok(python)
}

/// Debian's ZooKeeper: its command line examines us, its server is the reference.
pub(crate) fn zookeeper() -> bool {
    Path::new("/usr/share/zookeeper/bin/zkCli.sh").exists() || install("zookeeper")
}

/// A PostgreSQL server to start. Debian does not put it into PATH.
pub(crate) fn postgresql() -> bool {
    let installed = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        versions.into_iter().any(|version| version.path().join("bin/initdb").exists())
            || succeeds("initdb", &["--version"])
    };
    installed() || (install("postgresql") && installed())
}

/// `ip`, and the right to make network namespaces.
pub(crate) fn network_namespaces() -> bool {
    is_root() && (succeeds("ip", &["-V"]) || install("iproute2"))
}

/// The JavaScript client, installed beside what Cargo builds. Returns the folder to run `node --test` in.
pub(crate) fn javascript() -> Result<PathBuf, Outcome> {
    if !succeeds("node", &["--version"]) || !succeeds("npm", &["--version"]) {
        return Err(Outcome::Skipped("needs node and npm".to_owned()));
    }
    let folder = target().join("conformance-node");
    let source = root().join("conformance/clients/node");
    for file in ["package.json", "package-lock.json", "client.test.mjs"] {
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::copy(source.join(file), folder.join(file)))
            .map_err(|error| Outcome::Failed(format!("{file}: {error}")))?;
    }
    step(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    Ok(folder)
}

/// A browser to look at reports with.
pub(crate) fn chromium() -> bool {
    let installed = || {
        ["chromium", "chromium-browser", "google-chrome"].iter().any(|name| succeeds(name, &["--version"]))
    };
    installed() || (install("chromium") && installed())
}

/// Installs a Debian package where that is possible without asking anybody.
fn install(package: &str) -> bool {
    if !is_root() || !succeeds("apt-get", &["--version"]) {
        return false;
    }
    println!("installing Debian's {package}");
    let arguments = ["install", "--yes", "--quiet", "--no-install-recommends", package];
    let try_once = || succeeds("apt-get", &arguments);
    try_once() || (succeeds("apt-get", &["update"]) && try_once())
}

fn is_root() -> bool {
    succeeds("sh", &["-c", "test $(id -u) = 0"])
}

/// A network that is down is no fault of ours: such a step is skipped, not failed.
fn step(command: &mut Command) -> Result<(), Outcome> {
    match run(command, Duration::from_secs(300)) {
        Outcome::Passed(_) => Ok(()),
        _ => {
            let program = command.get_program().to_string_lossy().into_owned();
            Err(Outcome::Skipped(format!("{program} could not install what the tests need; see above")))
        }
    }
}
