//! Where everything of a cluster on this machine is: ports, folders, files.

use super::doors::Doors;
use crate::Failure;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// `super:base64(sha1("super:test"))`.
const SUPER_DIGEST: &str = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// The cluster's name.
const CLUSTER: &str = "dev";

/// A cluster on this machine.
pub(super) struct Layout {
    pub(super) nodes: u16,
    offset: u16,
    data: PathBuf,
    doors: Option<Doors>,
}

impl Layout {
    /// # Errors
    ///
    /// If the data directory has no absolute path.
    pub(super) fn new(nodes: u16, offset: u16, data: &Path) -> Result<Self, Failure> {
        let data = std::path::absolute(data).map_err(|error| format!("{}: {error}", data.display()))?;
        Ok(Layout { nodes, offset, data, doors: None })
    }

    /// The same with TLS and a token.
    pub(super) fn secured(mut self) -> Result<Self, Failure> {
        fs::create_dir_all(&self.data).map_err(|error| format!("{}: {error}", self.data.display()))?;
        self.doors = Some(Doors::prepare(&self.data, CLUSTER, self.nodes)?);
        Ok(self)
    }

    /// How HTTP clients reach a node.
    pub(super) fn url(&self, node: u16) -> String {
        let scheme = if self.doors.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.http_port(node))
    }

    /// Who signed the nodes' certificates.
    pub(super) fn authority(&self) -> Option<PathBuf> {
        self.doors.as_ref().map(Doors::authority)
    }

    /// What is to be said about certificates and tokens.
    pub(super) fn describe_doors(&self) -> String {
        let port = format!("127.0.0.1:{}", self.http_port(1));
        self.doors.as_ref().map(|doors| doors.describe(&port)).unwrap_or_default()
    }

    pub(super) fn client_port(&self, node: u16) -> u16 {
        2180 + node + self.offset
    }

    pub(super) fn http_port(&self, node: u16) -> u16 {
        8180 + node + self.offset
    }

    fn peer_port(&self, node: u16) -> u16 {
        7180 + node + self.offset
    }

    pub(super) fn directory(&self, node: u16) -> PathBuf {
        self.data.join(format!("node-{node}"))
    }

    pub(super) fn config_path(&self, node: u16) -> PathBuf {
        self.directory(node).join("node.toml")
    }

    pub(super) fn log_path(&self, node: u16) -> PathBuf {
        self.directory(node).join("log")
    }

    /// Sees that nothing is in the way, before anything is started, and writes the configurations.
    pub(super) fn check_and_write(&self) -> Result<(), Failure> {
        self.check_earlier_run()?;
        self.check_ports()?;
        for node in 1..=self.nodes {
            let directory = self.directory(node);
            fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
            let path = self.config_path(node);
            fs::write(&path, self.config(node)).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// A cluster remembers its members and their addresses, so a directory serves one shape of cluster only.
    fn check_earlier_run(&self) -> Result<(), Failure> {
        let Ok(entries) = fs::read_dir(&self.data) else { return Ok(()) };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let earlier: Vec<u16> =
            names.filter_map(|name| name.strip_prefix("node-").and_then(|node| node.parse().ok())).collect();
        let shown = self.data.display();
        if !earlier.is_empty() && earlier.len() != usize::from(self.nodes) {
            return Err(format!(
                "{shown} holds a cluster of {0} nodes: run `quipu dev --nodes {0} --data {shown}` to go on with \
                 it, name another directory with --data, or remove it",
                earlier.len()
            ));
        }
        for node in earlier {
            let Ok(before) = fs::read_to_string(self.config_path(node)) else { continue };
            if !before.contains(&format!("peer = \"127.0.0.1:{}\"", self.peer_port(node))) {
                return Err(format!(
                    "{shown} holds a cluster with another --port-offset: use the same, name another directory \
                     with --data, or remove it"
                ));
            }
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), Failure> {
        for node in 1..=self.nodes {
            for port in [self.client_port(node), self.http_port(node), self.peer_port(node)] {
                TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
                    format!(
                        "port {port} of node {node} cannot be used: {error}. Is another cluster running? \
                         Choose other ports with --port-offset"
                    )
                })?;
            }
        }
        Ok(())
    }

    fn config(&self, node: u16) -> String {
        let mut text = format!(
            "# Written by `quipu dev`, anew at every start.\n[node]\nid = {node}\ncluster = \"{CLUSTER}\"\n\
             data_dir = {:?}\n{}\n[zookeeper]\nsuper_digest = \"{SUPER_DIGEST}\"  # super:test\n",
            self.directory(node).display().to_string(),
            self.addresses(node)
        );
        for member in 1..=self.nodes {
            let _ = write!(text, "\n[[member]]\nid = {member}\n{}", self.addresses(member));
        }
        text += &self.doors.as_ref().map(|doors| doors.sections(node)).unwrap_or_default();
        text
    }

    fn addresses(&self, node: u16) -> String {
        format!(
            "peer = \"127.0.0.1:{}\"\nclient = \"127.0.0.1:{}\"\nhttp = \"127.0.0.1:{}\"\n",
            self.peer_port(node),
            self.client_port(node),
            self.http_port(node)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quipu_node::config::Config;

    #[test]
    fn the_configurations_are_valid_and_agree() {
        let layout = Layout::new(3, 1_000, Path::new("/tmp/a \"quoted\" place")).expect("a layout");
        for node in 1..=3 {
            let config = Config::parse(&layout.config(node), &layout.config_path(node)).expect("valid");
            assert_eq!(config.node.id.0, u64::from(node));
            assert_eq!(config.node.data_dir, layout.directory(node));
            let members = config.bootstrap().expect("a new cluster");
            assert_eq!(members.len(), 3);
            assert_eq!(members[usize::from(node) - 1].client, format!("127.0.0.1:{}", 3180 + node));
        }
    }

    #[test]
    fn a_secured_cluster_keeps_its_certificates_and_its_token() {
        let scratch = tempfile::tempdir().expect("a directory");
        let configuration = || {
            let layout = Layout::new(2, 0, scratch.path()).and_then(Layout::secured).expect("a layout");
            assert_eq!(layout.url(1), "https://127.0.0.1:8181");
            let config = Config::parse(&layout.config(2), &layout.config_path(2)).expect("valid");
            quipu_node::doors::Doors::open(&config).expect("doors");
            layout.config(2)
        };
        let first = configuration();
        assert!(first.contains("[[token]]") && !first.contains("qp_"), "{first}");
        assert_eq!(configuration(), first);
    }

    #[test]
    fn the_super_digest_is_that_of_the_documented_password() {
        assert_eq!(quipu_machines::tree::digest_id("super:test"), SUPER_DIGEST);
    }

    #[test]
    fn other_shapes_of_cluster_are_refused() {
        let data = std::env::temp_dir().join(format!("quipu-layout-{}", std::process::id()));
        let _ = fs::remove_dir_all(&data);
        let layout = |nodes, offset| Layout::new(nodes, offset, &data).expect("a layout");
        // Ports that nobody has by chance are not needed: only the files are looked at.
        assert_eq!(layout(3, 0).check_earlier_run(), Ok(()));
        for node in 1..=3 {
            fs::create_dir_all(layout(3, 0).directory(node)).expect("created");
            fs::write(layout(3, 0).config_path(node), layout(3, 0).config(node)).expect("written");
        }
        assert_eq!(layout(3, 0).check_earlier_run(), Ok(()));
        let refused = layout(5, 0).check_earlier_run().expect_err("another number");
        assert!(refused.contains("--nodes 3"), "{refused}");
        let refused = layout(3, 10).check_earlier_run().expect_err("other ports");
        assert!(refused.contains("--port-offset"), "{refused}");
        fs::remove_dir_all(&data).expect("removed");
    }
}
