//! Rules for any text: marks of unfinished work, paths of somebody's machine, length.

use super::source::{File, Tree};
use super::{Finding, Rule};

static MARKS: Rule = Rule {
    name: "no marks of unfinished work",
    why: "a mark in the source is an issue nobody reads",
    remedy: "do it now, or open an issue",
};

static MACHINE_PATHS: Rule = Rule {
    name: "no path of one machine",
    why: "it exists nowhere else",
    remedy: "use a path relative to the project, or ask the system for its temporary folder",
};

static LENGTH: Rule = Rule {
    name: "files stay under 800 lines",
    why: "one idea a file; a longer one holds several",
    remedy: "move one of its ideas into a file of its own",
};

const MARK_WORDS: [&str; 3] = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")];
const PATHS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/t", "mp/target"),
    concat!("/Use", "rs/"),
];
const LINES: usize = 800;

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in &tree.files {
        if is_generated(file) {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            for word in MARK_WORDS.iter().filter(|word| has_word(line, word)) {
                findings.push(MARKS.broken(&file.path, index + 1, *word));
            }
            for path in PATHS.iter().filter(|path| names_path(line, path)) {
                findings.push(MACHINE_PATHS.broken(&file.path, index + 1, *path));
            }
        }
        let lines = file.text.lines().count();
        if lines >= LINES && [".rs", ".py", ".mjs"].iter().any(|end| file.path.ends_with(end)) {
            findings.push(LENGTH.broken(&file.path, lines, format!("{lines} lines")));
        }
    }
}

fn is_generated(file: &File) -> bool {
    file.path.ends_with(".lock") || file.path.ends_with("package-lock.json")
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

/// True when an absolute path begins here: `./work/` and `https://host/root/` are not of this machine.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}/".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_words_of_their_own() {
        assert!(has_word(concat!("// TO", "DO: later"), MARK_WORDS[2]));
        assert!(!has_word("let XXXL = 1;", MARK_WORDS[1]));
    }

    #[test]
    fn only_absolute_paths_count() {
        assert!(names_path(concat!("\"/ro", "ot/file\""), PATHS[1]));
        assert!(!names_path(concat!("https://host/ro", "ot/file"), PATHS[1]));
        assert!(!names_path(concat!("./wo", "rk/file"), PATHS[0]));
    }
}
