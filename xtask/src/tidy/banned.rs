//! Calls with a better one, and the crates in which they are banned.

use super::source::{File, Tree};
use super::{Finding, Rule};

/// A call, where it is banned, and the rule that says what to use.
struct Ban {
    calls: &'static [&'static str],
    applies: fn(&File) -> bool,
    rule: Rule,
}

static BANS: [Ban; 7] = [
    Ban {
        calls: &["Instant::now", "SystemTime::now", "UNIX_EPOCH"],
        applies: is_simulated,
        rule: Rule {
            name: "no clock of its own",
            why: "the lab replays a run from its seed, clocks included; a core that asks the machine for the time cannot be replayed",
            remedy: "use env.now(), or a Time that the driver passed in",
        },
    },
    Ban {
        calls: &[
            "thread_rng",
            "rand::random",
            "rand::rng",
            "fastrand::u",
            "fastrand::i",
            "fastrand::bool",
            "from_entropy",
            "Rng::new()",
        ],
        applies: is_simulated,
        rule: Rule {
            name: "no random seed of its own",
            why: "one seed must give one run",
            remedy: "use env.rng(), or fork the generator that the driver passed in",
        },
    },
    Ban {
        calls: &["HashMap", "HashSet", "hashbrown", "RandomState"],
        applies: is_simulated,
        rule: Rule {
            name: "no map in random order",
            why: "their order differs from run to run, so two runs of one seed would differ",
            remedy: "use BTreeMap or BTreeSet, or a Vec where the keys are dense",
        },
    },
    Ban {
        calls: &[
            "extern crate std",
            "std::thread",
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "tokio::",
        ],
        applies: is_simulated,
        rule: Rule {
            name: "no operating system in the core",
            why: "what touches the machine cannot run in the lab",
            remedy: "leave an effect in Env and let the node carry it out",
        },
    },
    Ban {
        calls: &[
            "unbounded_channel",
            "UnboundedSender",
            "mpsc::channel()",
            "channel::unbounded",
            "flume::unbounded",
        ],
        applies: |_| true,
        rule: Rule {
            name: "every queue has a bound",
            why: "a queue without one turns overload into a crash, minutes later and somewhere else",
            remedy: "use a bounded channel, and refuse and count what does not fit",
        },
    },
    Ban {
        calls: &[concat!("db", "g!("), concat!("to", "do!("), concat!("unimple", "mented!(")],
        applies: |_| true,
        rule: Rule {
            name: "nothing unfinished",
            why: "what is committed must be whole",
            remedy: "finish it, or open an issue and return an error that says so",
        },
    },
    Ban {
        calls: &["println!", "print!("],
        applies: |file| {
            (file.is_core() || file.crate_folder() == "node") && !file.path.contains("/examples/")
        },
        rule: Rule {
            name: "no printing in libraries",
            why: "a server's output is its structured log",
            remedy: "use tracing in node; return a value elsewhere",
        },
    },
];

/// The core, and the parts of the lab that run inside a simulation; the lab's own runner may look at the clock.
fn is_simulated(file: &File) -> bool {
    file.is_core()
        || ["lab/src/sim", "lab/src/programs", "lab/src/coordination"]
            .iter()
            .any(|part| file.path.starts_with(part))
}

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in tree.rust() {
        for ban in BANS.iter().filter(|ban| (ban.applies)(file)) {
            for (line, code) in file.shipped_lines() {
                for call in ban.calls.iter().filter(|call| calls(code, call)) {
                    findings.push(ban.rule.broken(&file.path, line, *call));
                }
            }
        }
    }
}

/// True when the call stands in the line as a word of its own: `eprint!(` is not `print!(`.
fn calls(code: &str, call: &str) -> bool {
    code.match_indices(call)
        .any(|(at, _)| !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        let tree = Tree { files: vec![File::new(path.to_owned(), text.to_owned())], listed: Vec::new() };
        let mut findings = Vec::new();
        check(&tree, &mut findings);
        findings.len()
    }

    #[test]
    fn a_banned_call_is_found_where_it_is_banned() {
        let text = "fn a() { let now = std::time::Instant::now(); }";
        assert_eq!(found("machines/src/a.rs", text), 1);
        assert_eq!(found("lab/src/sim/a.rs", text), 1);
        assert_eq!(found("node/src/a.rs", text), 0);
    }

    #[test]
    fn comments_strings_and_tests_may_name_it() {
        assert_eq!(found("machines/src/a.rs", "// Instant::now\nconst A: &str = \"Instant::now\";"), 0);
        assert_eq!(
            found("machines/src/a.rs", "#[cfg(test)]\nmod tests {\n  fn a() { Instant::now(); }\n}"),
            0
        );
    }

    #[test]
    fn a_longer_word_is_another_word() {
        assert_eq!(found("node/src/a.rs", "fn a() { eprintln!(); }"), 0);
        assert_eq!(found("node/src/a.rs", "fn a() { println!(); }"), 1);
    }
}
