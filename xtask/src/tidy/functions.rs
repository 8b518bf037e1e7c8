//! Functions fit a screen. A checked-in list holds those that do not; it may only shrink.

use super::source::{File, Tree};
use super::{Finding, Rule};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

const LINES: usize = 80;
const LIST: &str = "xtask/long-functions.txt";
const HEADING: &str = "# Functions over 80 lines, with their lines at most. This list only shrinks: `cargo xtask fix` lowers it.\n";

static LONG: Rule = Rule {
    name: "functions fit a screen",
    why: "what does not fit a screen is not read as a whole",
    remedy: "give one of its steps a name and a function of its own",
};

static STALE: Rule = Rule {
    name: "the list of long functions shrinks",
    why: "an entry above the truth lets the function grow again",
    remedy: "cargo xtask fix",
};

/// The file and name of a function to its count of lines; of namesakes in one file, the longest counts.
type Lengths = BTreeMap<(String, String), usize>;

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let (allowed, current) = (read_list(tree), long_functions(tree));
    for ((path, name), lines) in &current {
        let limit = allowed.get(&(path.clone(), name.clone())).copied().unwrap_or(LINES);
        if *lines > limit {
            findings.push(LONG.broken(
                path,
                line_of(tree, path, name),
                format!("{name} has {lines} lines, at most {limit} are allowed"),
            ));
        }
    }
    for (key, limit) in &allowed {
        let lines = current.get(key).copied().unwrap_or_default();
        if lines < *limit {
            findings.push(STALE.broken(
                LIST,
                1,
                format!("{} {} is listed with {limit} lines and has fewer", key.0, key.1),
            ));
        }
    }
}

/// Rewrites the list with what its entries have come to; new ones are not added.
pub(super) fn lower(tree: &Tree, root: &Path) -> io::Result<()> {
    let (allowed, current) = (read_list(tree), long_functions(tree));
    let mut text = HEADING.to_owned();
    for (key, limit) in &allowed {
        if let Some(lines) = current.get(key) {
            text += &format!("{} {} {}\n", key.0, key.1, lines.min(limit));
        }
    }
    std::fs::write(root.join(LIST), text)
}

fn read_list(tree: &Tree) -> Lengths {
    let text = tree.get(LIST).map_or("", |file| &file.text);
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let [path, name, lines] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
            Some(((path.to_owned(), name.to_owned()), lines.parse().ok()?))
        })
        .collect()
}

fn long_functions(tree: &Tree) -> Lengths {
    let mut lengths = Lengths::new();
    for file in tree.rust() {
        for (name, lines) in functions(&file.code).into_iter().filter(|(_, lines)| *lines > LINES) {
            let longest = lengths.entry((file.path.clone(), name)).or_default();
            *longest = lines.max(*longest);
        }
    }
    lengths
}

/// The name of each function with a body, and its lines from `fn` to the closing brace.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if let Some(length) = body_end(&code[at..]).filter(|_| !name.is_empty()) {
            found.push((name, code[at..at + length].lines().count()));
        }
    }
    found
}

/// Where the function's body ends; None for a declaration without one.
fn body_end(code: &str) -> Option<usize> {
    let mut depth = 0;
    let mut brackets = 0;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            // The semicolon of `[u8; 4]` in a signature ends nothing.
            b'[' | b'(' => brackets += 1,
            b']' | b')' => brackets -= 1,
            b';' if depth == 0 && brackets == 0 => return None,
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn line_of(tree: &Tree, path: &str, name: &str) -> usize {
    let code = tree.get(path).map_or("", |file: &File| &file.code);
    code.lines().position(|line| line.contains(&format!("fn {name}"))).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_bodies_and_passes_over_declarations() {
        let code = "trait A { fn a(&self, b: [u8; 4]); }\nfn c() {\n  if x { y }\n}\n";
        assert_eq!(functions(code), [("c".to_owned(), 3)]);
    }

    #[test]
    fn a_function_may_not_grow_and_the_list_may_not_be_stale() {
        let long = format!("fn f() {{\n{}}}\n", "a;\n".repeat(90));
        let with_list = |list: &str| {
            let files = vec![
                File::new("a/src/a.rs".to_owned(), long.clone()),
                File::new(LIST.to_owned(), list.to_owned()),
            ];
            let mut findings = Vec::new();
            check(&Tree { files, listed: Vec::new() }, &mut findings);
            findings.iter().map(|finding| finding.rule.name).collect::<Vec<_>>()
        };
        assert_eq!(with_list(""), [LONG.name]);
        assert_eq!(with_list("a/src/a.rs f 92\n"), [] as [&str; 0]);
        assert_eq!(with_list("a/src/a.rs f 99\n"), [STALE.name]);
    }
}
