//! The arrows between crates, read from their manifests.

use super::source::Tree;
use super::{Finding, Rule};

static ARROWS: Rule = Rule {
    name: "layer arrows",
    why: "base <- protocols, machines, wires <- services, flags <- lab, node <- quipu: what the lab attacks must be what the node \
          serves, and neither may reach into the other",
    remedy: "move the shared part down into the layer both may use, or pass it in from quipu",
};

static UNKNOWN: Rule = Rule {
    name: "every crate has a layer",
    why: "a crate without a layer can import anything unnoticed",
    remedy: "add it to LAYERS in xtask/src/tidy/layers.rs",
};

/// Each crate and the crates of ours that it may use. `bench`, `fuzz` and the conformance tests may use all.
const LAYERS: [(&str, &[&str]); 12] = [
    ("base", &[]),
    ("protocols", &["base"]),
    ("machines", &["base"]),
    ("wires", &["base"]),
    ("services", &["base", "protocols", "machines", "wires"]),
    ("flags", &[]),
    ("lab", &["base", "protocols", "machines", "wires", "services"]),
    ("node", &["base", "protocols", "machines", "wires", "services", "flags"]),
    ("quipu", &["base", "protocols", "machines", "wires", "services", "flags", "lab", "node"]),
    ("xtask", &[]),
    ("bench", ALL),
    ("fuzz", ALL),
];
const ALL: &[&str] = &["base", "protocols", "machines", "wires", "services", "flags", "lab", "node", "quipu"];

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in &tree.files {
        let Some(folder) = file.path.strip_suffix("/Cargo.toml") else { continue };
        if folder.starts_with("conformance/") {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == folder) else {
            findings.push(UNKNOWN.broken(&file.path, 1, folder));
            continue;
        };
        for (line, dependency) in dependencies(&file.text) {
            if !allowed.contains(&dependency) {
                findings.push(ARROWS.broken(&file.path, line, format!("{folder} may not use {dependency}")));
            }
        }
    }
}

/// Our own crates among the dependencies of a manifest, of every kind, with their lines.
fn dependencies(manifest: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    manifest.lines().enumerate().filter_map(move |(index, line)| {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end().trim_end_matches(']').ends_with("dependencies");
            return None;
        }
        let name = line.strip_prefix("quipu-").filter(|_| inside)?;
        Some((index + 1, name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::File;

    #[test]
    fn an_arrow_against_the_layers_is_found() {
        let manifest = "[package]\nname = \"quipu-lab\"\n[dependencies]\nquipu-base.workspace = true\n[dev-dependencies]\n\
                        quipu-node = { path = \"../node\" }\n";
        let tree = Tree {
            files: vec![File::new("lab/Cargo.toml".to_owned(), manifest.to_owned())],
            listed: Vec::new(),
        };
        let mut findings = Vec::new();
        check(&tree, &mut findings);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "lab/Cargo.toml:6");
    }
}
