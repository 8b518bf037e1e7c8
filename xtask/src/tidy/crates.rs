//! What the first lines of every core crate promise, and what every format must have.

use super::source::{CORE, Tree};
use super::{Finding, Rule};

static PURITY: Rule = Rule {
    name: "core crates prove their purity",
    why: "without the standard library and unsafe code the compiler itself proves that a core has no clock, socket, file or thread",
    remedy: "write the attribute at the top of the crate's lib.rs",
};

static GOLDEN: Rule = Rule {
    name: "every format has a golden file",
    why: "a change of a disk or wire format must be seen in review, not by the user whose data can no longer be read",
    remedy: "write the bytes of the current version into a file under golden/ and a test that reads it",
};

const ATTRIBUTES: [&str; 3] = ["#![no_std]", "#![forbid(unsafe_code)]", "#![deny(missing_docs)]"];

/// A crate that writes bytes others will read, with the format's name in the golden file's.
const FORMATS: [(&str, &str); 2] = [("node", "journal"), ("wires", "zookeeper")];

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for name in CORE {
        let path = format!("{name}/src/lib.rs");
        let text = tree.get(&path).map_or("", |file| &file.text);
        for attribute in ATTRIBUTES.into_iter().filter(|attribute| !text.contains(attribute)) {
            findings.push(PURITY.broken(&path, 1, format!("{attribute} is missing")));
        }
    }
    for (name, format) in FORMATS {
        let belongs = |path: &str| path.starts_with(name) && path.contains("golden") && path.contains(format);
        if !tree.listed.iter().any(|path| belongs(path)) {
            findings.push(GOLDEN.broken(name, 1, format!("no golden file for the {format} format")));
        }
    }
}
