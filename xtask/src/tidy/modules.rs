//! No dead files: each Rust file is reached by a `mod` from the root of its crate.

use super::source::Tree;
use super::{Finding, Rule};
use std::collections::BTreeSet;

static DEAD: Rule = Rule {
    name: "no dead files",
    why: "a file that nothing includes is not compiled, tested or right",
    remedy: "declare it with mod, or delete it",
};

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let mut reached = BTreeSet::new();
    for file in tree.rust().filter(|file| is_root(tree, &file.path)) {
        reach(tree, &file.path, &mut reached);
    }
    for file in tree.rust().filter(|file| !reached.contains(&file.path)) {
        findings.push(DEAD.broken(&file.path, 1, "no mod leads here"));
    }
}

/// What Cargo compiles by itself: lib.rs, main.rs, build.rs, and each file or folder of bin, tests, benches and examples.
fn is_root(tree: &Tree, path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let crate_of = |folder: &str| tree.get(&format!("{folder}/Cargo.toml")).is_some();
    match name {
        "lib.rs" | "main.rs" if folder.ends_with("/src") => folder.strip_suffix("/src").is_some_and(crate_of),
        "main.rs" => is_target_folder(parent(folder), crate_of),
        "build.rs" => crate_of(folder),
        _ => is_target_folder(folder, crate_of),
    }
}

fn is_target_folder(folder: &str, crate_of: impl Fn(&str) -> bool) -> bool {
    ["/src/bin", "/tests", "/benches", "/examples", "/fuzz_targets"]
        .iter()
        .any(|end| folder.strip_suffix(end).is_some_and(&crate_of))
}

fn reach(tree: &Tree, path: &str, reached: &mut BTreeSet<String>) {
    let Some(file) = tree.get(path) else { return };
    if !reached.insert(path.to_owned()) {
        return;
    }
    let folder = children_folder(tree, path);
    let mut named_path = None;
    for (code, text) in file.code.lines().zip(file.text.lines()) {
        if code.trim_start().starts_with("#[path") {
            named_path = text.split('"').nth(1);
        }
        let Some(name) = declared_module(code) else { continue };
        match named_path.take() {
            Some(named) => reach(tree, &normal(&format!("{}/{named}", parent(path))), reached),
            None => {
                reach(tree, &format!("{folder}/{name}.rs"), reached);
                reach(tree, &format!("{folder}/{name}/mod.rs"), reached);
            }
        }
    }
}

/// Where the modules that a file declares are looked for.
fn children_folder(tree: &Tree, path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name.trim_end_matches(".rs") {
        "mod" | "lib" | "main" => folder.to_owned(),
        _ if is_root(tree, path) => folder.to_owned(),
        stem => format!("{folder}/{stem}"),
    }
}

/// The name in `mod name;`, with whatever stands before it.
fn declared_module(code: &str) -> Option<&str> {
    let (before, rest) = code.split_once("mod ")?;
    let is_declaration = before.is_empty() || before.ends_with(' ');
    rest.trim_end()
        .strip_suffix(';')
        .filter(|name| is_declaration && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::File;

    #[test]
    fn finds_the_file_that_no_module_declares() {
        let file = |path: &str, text: &str| File::new(path.to_owned(), text.to_owned());
        let files = vec![
            file("a/Cargo.toml", ""),
            file("a/src/lib.rs", "mod b;\npub mod c;\n#[path = \"odd/name.rs\"]\nmod d;\n"),
            file("a/src/b.rs", "mod e;"),
            file("a/src/b/e.rs", ""),
            file("a/src/c/mod.rs", ""),
            file("a/src/odd/name.rs", ""),
            file("a/src/dead.rs", ""),
            file("a/tests/whole.rs", "mod common;"),
            file("a/tests/common/mod.rs", ""),
        ];
        let mut findings = Vec::new();
        check(&Tree { files, listed: Vec::new() }, &mut findings);
        assert_eq!(
            findings.iter().map(|finding| finding.place.as_str()).collect::<Vec<_>>(),
            ["a/src/dead.rs:1"]
        );
    }
}
