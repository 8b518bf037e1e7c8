//! What `cargo xtask test` is made of. Each part is also a verb, or a word after `test`.

use crate::environment::{self, root, target};
use crate::shell::{self, Outcome, run};
use crate::tidy;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// One row of the table.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) run: Box<dyn FnOnce() -> Outcome>,
}

/// Whom the conformance tests examine.
#[derive(Clone)]
pub(crate) enum Servers {
    Ours,
    Reference,
    External(String),
}

const MINUTE: Duration = Duration::from_secs(60);
/// The benchmarks build the peers they measure, which takes minutes.
const NO_PEERS: &str = "--exclude=quipu-bench";
/// The client tests need servers: they are parts of their own.
const NO_CLIENTS: &str = "--exclude=quipu-conformance";
/// Seeds of the simulator in a test run: a few seconds' worth; the nightly count is up to whoever runs it.
const SEEDS: &str = "100";

pub(crate) fn everything() -> Vec<Part> {
    let mut parts = verification();
    parts.extend([
        unit_tests(),
        documentation_tests(),
        flag_scenarios(),
        examples(),
        release_build(),
        simulation(),
        papers(),
        report(),
    ]);
    parts.push(kazoo(Servers::Ours));
    parts.extend(clients(Servers::Ours));
    parts.push(faults(String::new()));
    parts.extend([http_api(), fences(), rolling_upgrade()]);
    parts
}

pub(crate) fn verification() -> Vec<Part> {
    let format = || cargo(["fmt", "--all", "--check"], MINUTE);
    let clippy = || {
        cargo(
            [
                "clippy",
                "--quiet",
                "--workspace",
                NO_PEERS,
                NO_CLIENTS,
                "--all-targets",
                "--",
                "--deny",
                "warnings",
            ],
            15 * MINUTE,
        )
    };
    vec![part("format", format), part("clippy", clippy), tidiness()]
}

pub(crate) fn repairs() -> Vec<Part> {
    vec![
        part("format", || cargo(["fmt", "--all"], MINUTE)),
        part("long functions", || tidy::lower_ratchet(&root())),
    ]
}

pub(crate) fn tidiness() -> Part {
    part("tidy", || tidy::check(&root()))
}

fn unit_tests() -> Part {
    part("unit tests", || {
        if shell::succeeds("cargo", &["nextest", "--version"]) {
            cargo(["nextest", "run", "--workspace", NO_PEERS, NO_CLIENTS, "--no-fail-fast"], 20 * MINUTE)
        } else {
            cargo(
                ["test", "--workspace", NO_PEERS, NO_CLIENTS, "--lib", "--bins", "--tests", "--no-fail-fast"],
                20 * MINUTE,
            )
        }
    })
}

fn documentation_tests() -> Part {
    part("documentation tests", || cargo(["test", "--quiet", "--doc"], 10 * MINUTE))
}

/// flagd's own scenarios are not ours to carry along: they are read where somebody has put them.
fn flag_scenarios() -> Part {
    part("flagd's scenarios", || {
        let folder = "shared/data/flagd-testbed";
        let here = root();
        if std::env::var_os("QUIPU_FLAGD_TESTBED").is_none()
            && !here.ancestors().any(|above| above.join(folder).is_dir())
        {
            return Outcome::Skipped(format!("needs flagd's testbed in {folder} or QUIPU_FLAGD_TESTBED"));
        }
        let test =
            ["test", "--quiet", "--package", "quipu-flags", "--test", "scenarios", "--", "--nocapture"];
        cargo(test, 10 * MINUTE)
    })
}

/// The programs that strangers learn from: each ends by asserting what it shows.
fn examples() -> Part {
    part("examples", || {
        let mut count = 0;
        for package in ["base", "protocols"] {
            let names = match examples_of(&root().join(package).join("examples")) {
                Ok(names) => names,
                Err(error) => return Outcome::Failed(format!("{package}/examples: {error}")),
            };
            for name in names {
                let package = format!("quipu-{package}");
                let ran = cargo(["run", "--quiet", "--package", &package, "--example", &name], 5 * MINUTE);
                if ran.is_failure() {
                    return Outcome::Failed(format!("example {name} of {package}"));
                }
                count += 1;
            }
        }
        Outcome::Passed(format!("{count} passed"))
    })
}

fn examples_of(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// Every number of docs/PAPERS.md is measured again; one that is missed without a reason fails.
fn papers() -> Part {
    part("papers", || {
        let page = target().join("papers/PAPERS.md");
        if let Some(folder) = page.parent()
            && let Err(error) = std::fs::create_dir_all(folder)
        {
            return Outcome::Failed(format!("{}: {error}", folder.display()));
        }
        run(Command::new(quipu()).args(["lab", "papers", "--out"]).arg(&page), 20 * MINUTE)
    })
}

fn release_build() -> Part {
    part("release build", build_release)
}

fn build_release() -> Outcome {
    cargo(["build", "--quiet", "--release", "--package", "quipu"], 20 * MINUTE)
}

fn simulation() -> Part {
    part("lab simulation", || run(Command::new(quipu()).args(["lab", "sim", "--seeds", SEEDS]), 5 * MINUTE))
}

/// The lab's report as its reader meets it. What was seen is kept in target/report, to be looked at.
fn report() -> Part {
    part("report in a browser", || {
        if !environment::chromium() {
            return Outcome::Skipped("needs Chromium: apt-get install chromium".to_owned());
        }
        let python = match environment::python() {
            Ok(python) => python,
            Err(outcome) => return outcome,
        };
        let folder = target().join("report");
        let pages = folder.join("pages");
        let written = run(
            cargo_command(["run", "--quiet", "--package", "quipu-lab", "--example", "sample_reports", "--"])
                .arg(&pages),
            10 * MINUTE,
        );
        if written.is_failure() {
            return written;
        }
        let mut pytest = Command::new(python);
        pytest
            .args("-m pytest report --quiet -rs --tb=short --timeout 120 -p no:cacheprovider".split(' '))
            .env("REPORTS", &pages)
            .env("SCREENSHOTS", folder.join("screenshots"));
        run(with_harness(&mut pytest), 5 * MINUTE)
    })
}

pub(crate) fn kazoo(servers: Servers) -> Part {
    part("conformance zookeeper", move || {
        let record = if matches!(servers, Servers::Reference) { vec!["--record"] } else { vec![] };
        beside(&servers, 10 * MINUTE, |python| {
            [python, OsStr::new("kazoo/run.py")]
                .into_iter()
                .chain(record.iter().map(OsStr::new))
                .map(Into::into)
                .collect()
        })
    })
}

/// One part for each language that examines us.
pub(crate) fn clients(servers: Servers) -> Vec<Part> {
    let (ours, theirs, others) = (servers.clone(), servers.clone(), servers);
    vec![
        part("clients python", move || {
            // Without it those tests skip themselves and say so.
            environment::zookeeper();
            let pytest = "-m pytest clients/python --quiet -rs --tb=short --timeout 90 -p no:cacheprovider";
            beside(&ours, 6 * MINUTE, |python| {
                std::iter::once(python).chain(pytest.split(' ').map(OsStr::new)).map(Into::into).collect()
            })
        }),
        part("clients rust", move || {
            // Built first, so that compiling does not count against the servers' time.
            let built = cargo(["test", "--quiet", "--package", "quipu-conformance", "--no-run"], 10 * MINUTE);
            if built.is_failure() {
                return built;
            }
            let test = "cargo test --quiet --package quipu-conformance";
            beside(&theirs, 6 * MINUTE, |_| test.split(' ').map(Into::into).collect())
        }),
        part("clients javascript", move || match environment::javascript() {
            Err(outcome) => outcome,
            Ok(folder) => beside(&others, 2 * MINUTE, |_| {
                vec!["node".into(), "--test".into(), folder.join("client.test.mjs").into_os_string()]
            }),
        }),
    ]
}

/// `filter` selects tests by name, as pytest's -k does.
pub(crate) fn faults(filter: String) -> Part {
    part("process faults", move || {
        if let Err(outcome) = ours_is_built() {
            return outcome;
        }
        // Without it the tests that need namespaces skip themselves and say so.
        environment::network_namespaces();
        let python = match environment::python() {
            Ok(python) => python,
            Err(outcome) => return outcome,
        };
        let mut command = Command::new(python);
        command
            .args("-m pytest faults --quiet -s -rs --tb=short --timeout 180 -p no:cacheprovider".split(' '));
        if !filter.is_empty() {
            command.args(["-k", &filter]);
        }
        run(with_harness(&mut command), 15 * MINUTE)
    })
}

/// The HTTP API, feature flags and doors of three real nodes, as programs and their enemies use them.
fn http_api() -> Part {
    part("http api", || {
        if let Err(outcome) = ours_is_built() {
            return outcome;
        }
        // Without it the tests of stale writes to PostgreSQL skip themselves and say so.
        environment::postgresql();
        let folders: Vec<_> = ["http", "doors"]
            .into_iter()
            .filter(|name| root().join("conformance").join(name).is_dir())
            .collect();
        pytest(&folders, 10 * MINUTE)
    })
}

/// The snippets of docs/fences.
fn fences() -> Part {
    part("fences", || {
        // Likewise.
        environment::postgresql();
        pytest(&["fences"], 3 * MINUTE)
    })
}

/// Nodes of the previous version are replaced one by one. Building that version is a step of its own and is done once.
fn rolling_upgrade() -> Part {
    part("rolling upgrade", || {
        let previous = |python: &Path, option: Option<&str>, limit| {
            run(with_harness(Command::new(python).arg("upgrade/previous.py").args(option)), limit)
        };
        let python = match environment::python() {
            Ok(python) => python,
            Err(outcome) => return outcome,
        };
        if previous(&python, Some("--check"), MINUTE).is_failure() {
            return Outcome::Skipped("the previous version cannot be built here; see above".to_owned());
        }
        if let Err(outcome) = ours_is_built() {
            return outcome;
        }
        let built = previous(&python, None, 15 * MINUTE);
        if built.is_failure() { built } else { pytest(&["upgrade"], 5 * MINUTE) }
    })
}

/// Tests of the conformance folder that start what they need themselves.
fn pytest(folders: &[&str], limit: Duration) -> Outcome {
    let python = match environment::python() {
        Ok(python) => python,
        Err(outcome) => return outcome,
    };
    let mut command = Command::new(python);
    command.args(["-m", "pytest"]).args(folders);
    command.args("--quiet -rs --tb=short --timeout 120 -p no:cacheprovider".split(' '));
    run(with_harness(&mut command), limit)
}

/// Runs a command of the conformance folder beside the wanted servers; `harness.serve` starts and stops them.
fn beside(
    servers: &Servers,
    limit: Duration,
    command: impl Fn(&OsStr) -> Vec<std::ffi::OsString>,
) -> Outcome {
    let kind = match servers {
        Servers::Ours => "quipu",
        Servers::Reference => "reference",
        Servers::External(hosts) => hosts,
    };
    if matches!(servers, Servers::Ours)
        && let Err(outcome) = ours_is_built()
    {
        return outcome;
    }
    if matches!(servers, Servers::Reference) && !environment::zookeeper() {
        return Outcome::Skipped("needs Debian's ZooKeeper: apt-get install zookeeper".to_owned());
    }
    let python = match environment::python() {
        Ok(python) => python,
        Err(outcome) => return outcome,
    };
    let mut serve = Command::new(&python);
    serve.args(["-m", "harness.serve", kind, "--"]).args(command(python.as_os_str()));
    run(with_harness(&mut serve), limit)
}

fn with_harness(command: &mut Command) -> &mut Command {
    let folder = root().join("conformance");
    command
        .env("PYTHONPATH", &folder)
        .env("PYTHONUNBUFFERED", "1")
        .env("QUIPU_BINARY", quipu())
        .current_dir(folder)
}

fn ours_is_built() -> Result<(), Outcome> {
    match build_release() {
        Outcome::Passed(_) => Ok(()),
        _ => Err(Outcome::Failed("the release build failed".to_owned())),
    }
}

fn quipu() -> std::path::PathBuf {
    target().join("release/quipu")
}

fn cargo<const N: usize>(arguments: [&str; N], limit: Duration) -> Outcome {
    run(&mut cargo_command(arguments), limit)
}

fn cargo_command<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

fn part(name: &str, work: impl FnOnce() -> Outcome + 'static) -> Part {
    Part { name: name.to_owned(), run: Box::new(work) }
}
