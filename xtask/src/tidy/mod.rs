//! Style as a test: each rule says where it was broken, why it exists and what to do instead.

mod banned;
mod crates;
mod functions;
mod layers;
mod modules;
mod source;
mod text;

use crate::shell::Outcome;
use source::Tree;
use std::collections::BTreeSet;
use std::path::Path;

/// One broken rule at one place. `why` and `remedy` belong to the rule and are printed once.
struct Finding {
    place: String,
    what: String,
    rule: &'static Rule,
}

/// What is wanted, why, and what to write instead.
struct Rule {
    name: &'static str,
    why: &'static str,
    remedy: &'static str,
}

impl Rule {
    fn broken(&'static self, file: &str, line: usize, what: impl Into<String>) -> Finding {
        Finding { place: format!("{file}:{line}"), what: what.into(), rule: self }
    }
}

/// Checks every rule on every file that is or could be committed.
pub(crate) fn check(root: &Path) -> Outcome {
    let tree = match Tree::read(root) {
        Ok(tree) => tree,
        Err(error) => return Outcome::Failed(format!("the source tree could not be read: {error}")),
    };
    let mut findings = Vec::new();
    layers::check(&tree, &mut findings);
    crates::check(&tree, &mut findings);
    banned::check(&tree, &mut findings);
    text::check(&tree, &mut findings);
    functions::check(&tree, &mut findings);
    modules::check(&tree, &mut findings);
    report(&findings, tree.files.len())
}

/// Lowers the checked-in list of long functions where they shrank; never raises it.
pub(crate) fn lower_ratchet(root: &Path) -> Outcome {
    match Tree::read(root).and_then(|tree| functions::lower(&tree, root)) {
        Ok(()) => Outcome::Passed(String::new()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn report(findings: &[Finding], files: usize) -> Outcome {
    let rules: BTreeSet<_> = findings.iter().map(|finding| finding.rule.name).collect();
    for name in &rules {
        let of_rule: Vec<_> = findings.iter().filter(|finding| finding.rule.name == *name).collect();
        println!("\n{name}\n  why: {}\n  do:  {}", of_rule[0].rule.why, of_rule[0].rule.remedy);
        for finding in of_rule {
            println!("  {}: {}", finding.place, finding.what);
        }
    }
    match findings.len() {
        0 => Outcome::Passed(format!("{files} files")),
        count => Outcome::Failed(format!("{count} findings against {} rules in {files} files", rules.len())),
    }
}
