//! The files of the project, and Rust text without its comments and literals.

use std::io;
use std::path::Path;
use std::process::Command;

/// Crates that hold the functional core: no clock, socket, file, thread, global or random seed of their own.
pub(super) const CORE: [&str; 5] = ["base", "protocols", "machines", "wires", "services"];

/// One text file.
pub(super) struct File {
    /// Relative to the project's folder, with `/` between its parts.
    pub(super) path: String,
    pub(super) text: String,
    /// Rust only: the text with comments and literals blanked, line by line as long as before.
    pub(super) code: String,
    /// Rust only: the line, from 0, where the file's own test module begins.
    tests_from: usize,
}

impl File {
    pub(super) fn new(path: String, text: String) -> File {
        let code = if path.ends_with(".rs") { blank(&text) } else { String::new() };
        let tests_from = inline_tests(&code).unwrap_or(usize::MAX);
        let tests_from = if is_test_file(&path) { 0 } else { tests_from };
        File { path, text, code, tests_from }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The top-level folder, which is the crate.
    pub(super) fn crate_folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    pub(super) fn is_core(&self) -> bool {
        CORE.contains(&self.crate_folder())
    }

    /// The code that ships: its lines, numbered from 1, without those of tests.
    pub(super) fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().take(self.tests_from).enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The line where `#[cfg(test)] mod name {` begins; other uses of the attribute stand among code that ships.
fn inline_tests(code: &str) -> Option<usize> {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{'))
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
        || path.starts_with("conformance/")
}

/// Every text file that is committed or could be.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    /// The paths of all files, binary ones too.
    pub(super) listed: Vec<String>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> io::Result<Tree> {
        let listing = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(root)
            .output()?;
        if !listing.status.success() {
            return Err(io::Error::other("git ls-files failed"));
        }
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        let listed: Vec<_> = listing.split_terminator('\0').map(str::to_owned).collect();
        let files = listed.iter().filter_map(|path| {
            // Binary files are not text, and a deleted file is still listed until its removal is committed.
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(File::new(path.clone(), text))
        });
        Ok(Tree { files: files.collect(), listed })
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// Blanks comments, strings and characters, so that what is left is code and braces match.
pub(super) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => text[at..].find('\n').map_or(bytes.len(), |length| at + length),
            [b'/', b'*', ..] => end_of_comment(bytes, at),
            [b'"', ..] => end_of_string(bytes, at),
            [b'r' | b'b', ..] if !follows_word(bytes, at) && raw_hashes(bytes, at).is_some() => {
                end_of_raw(bytes, at)
            }
            [b'\'', ..] => end_of_character(bytes, at),
            _ => at,
        };
        if end == at {
            code.push(if bytes[at].is_ascii() { bytes[at] as char } else { '_' });
            at += 1;
        } else {
            code.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

/// Comments nest in Rust.
fn end_of_comment(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The count of hashes when a raw string (`r"`, `br#"`) begins here.
fn raw_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes[at..].strip_prefix(b"b").unwrap_or(&bytes[at..]).strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

fn end_of_raw(bytes: &[u8], start: usize) -> usize {
    let hashes = raw_hashes(bytes, start).unwrap_or_default();
    let closing = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let opening =
        bytes[start..].iter().position(|byte| *byte == b'"').map_or(bytes.len(), |length| start + length + 1);
    bytes[opening..]
        .windows(closing.len())
        .position(|window| window == closing)
        .map_or(bytes.len(), |length| opening + length + closing.len())
}

/// A character literal, or `start` itself when the quote begins a lifetime.
fn end_of_character(bytes: &[u8], start: usize) -> usize {
    match &bytes[start + 1..] {
        [b'\\', ..] => {
            bytes[start + 3..].iter().position(|byte| *byte == b'\'').map_or(bytes.len(), |at| start + at + 4)
        }
        // One character may take up to four bytes.
        rest => {
            let closing = rest.iter().take(5).position(|byte| *byte == b'\'');
            let is_lifetime = |length: usize| length != 1 && rest[0].is_ascii();
            closing
                .filter(|length| *length > 0 && !is_lifetime(*length))
                .map_or(start, |length| start + length + 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_what_is_not_code_and_keeps_its_length() {
        for (text, code) in [
            ("a // b {\nc", "a       \nc"),
            ("a /* { /* } */ { */ b", "a                     b"),
            (r#"f("\"{", b"}")"#, "f(     , b   )"),
            (r##"f(r#"{"{"#) }"##, "f(         ) }"),
            ("'{' '\\'' 'ä' &'a str", "              &'a str"),
        ] {
            let blanked = blank(text);
            assert_eq!(
                blanked.split_whitespace().collect::<String>(),
                code.split_whitespace().collect::<String>(),
                "{text}"
            );
            assert_eq!(blanked.len(), text.len(), "{text}");
        }
    }

    #[test]
    fn the_test_module_is_not_shipped() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n".to_owned();
        let file = File::new("base/src/a.rs".to_owned(), text);
        assert_eq!(file.shipped_lines().count(), 1);
        let declared = "#[cfg(test)]\nmod tests;\nfn a() {}\n".to_owned();
        assert_eq!(File::new("base/src/b.rs".to_owned(), declared).shipped_lines().count(), 3);
    }
}
