//! The project's own chores: `cargo xtask <verb>`.

mod environment;
mod parts;
mod shell;
mod summary;
mod tidy;

use parts::Servers;
use std::process::ExitCode;
use summary::Summary;

const USAGE: &str = "cargo xtask <verb>

  test [PART..]                  everything, or the parts whose names contain one of the words; ends with one table
  verify                         formatting, clippy and tidy; writes nothing
  fix                            formats, and lowers the list of long functions where they shrank
  tidy                           the style rules that are tests
  conformance zookeeper          kazoo's own suite against three nodes of ours
  conformance clients            our Rust, Python, JavaScript and zkCli tests against three nodes of ours
      --against HOST:PORT,..     against servers that already run
      --reference                against three nodes of Debian's ZooKeeper, and records what it passes
  faults [WORD]                  three real processes: kill, stop, partition, full disk, corruption, growth
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", wanted @ ..] => run(parts::everything(), wanted),
        ["verify"] => run(parts::verification(), &[]),
        ["fix"] => run(parts::repairs(), &[]),
        ["tidy"] => run(vec![parts::tidiness()], &[]),
        ["conformance", "zookeeper", options @ ..] => {
            with_servers(options, |servers| vec![parts::kazoo(servers)])
        }
        ["conformance", "clients", options @ ..] => with_servers(options, parts::clients),
        ["faults", words @ ..] => run(vec![parts::faults(words.join(" "))], &[]),
        _ => usage(),
    }
}

fn run(parts: Vec<parts::Part>, wanted: &[&str]) -> ExitCode {
    let selected: Vec<_> = parts
        .into_iter()
        .filter(|part| wanted.is_empty() || wanted.iter().any(|w| part.name.contains(w)))
        .collect();
    if selected.is_empty() {
        return usage();
    }
    let mut summary = Summary::default();
    let count = selected.len();
    for (index, part) in selected.into_iter().enumerate() {
        println!("\n== [{}/{count}] {}", index + 1, part.name);
        summary.measure(&part.name, part.run);
    }
    summary.print();
    if summary.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn with_servers(options: &[&str], parts: impl Fn(Servers) -> Vec<parts::Part>) -> ExitCode {
    match options {
        [] => run(parts(Servers::Ours), &[]),
        ["--reference"] => run(parts(Servers::Reference), &[]),
        ["--against", hosts] => run(parts(Servers::External((*hosts).to_owned())), &[]),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}
