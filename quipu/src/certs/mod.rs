//! `quipu certs`: a cluster's own authority, and the certificates that it signs.

mod authority;
mod show;

pub(crate) use authority::{Authority, Holder};

use crate::Failure;
use clap::Subcommand;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an authority, and a certificate for each node of a new cluster
    ///
    /// Writes DIR/ca.pem and DIR/ca.key, and DIR/node-N.pem and DIR/node-N.key for each node. Nothing that exists is
    /// overwritten. Whoever has ca.key can make itself a node: keep it away from the nodes.
    ///
    /// Examples:
    ///   quipu certs init certs --cluster example --host 1=10.0.0.1 --host 2=10.0.0.2 --host 3=10.0.0.3
    ///   quipu certs init certs --cluster example --nodes 5 --host quipu.example.com --client app
    #[command(verbatim_doc_comment)]
    Init {
        /// Where the files go
        directory: PathBuf,
        /// How many nodes, numbered from 1
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=255))]
        nodes: u64,
        /// The cluster's name, as in the nodes' configurations
        #[arg(long, value_name = "NAME", default_value = "quipu")]
        cluster: String,
        /// Make a certificate for a ZooKeeper client of this name too; may be repeated
        #[arg(long = "client", value_name = "NAME")]
        clients: Vec<String>,
        #[command(flatten)]
        terms: Terms,
    },
    /// Sign a certificate for one more node or client, or a new one for an old node
    ///
    /// To replace a certificate, move its two files away first.
    ///
    /// Examples:
    ///   quipu certs add certs --node 4 --host 10.0.0.4
    ///   quipu certs add certs --client reports --days 30
    #[command(verbatim_doc_comment)]
    Add {
        /// Where the authority is
        directory: PathBuf,
        /// The node's number
        #[arg(long, value_name = "N", required_unless_present = "client", conflicts_with = "client",
            value_parser = clap::value_parser!(u64).range(1..=255))]
        node: Option<u64>,
        /// The client's name
        #[arg(long, value_name = "NAME")]
        client: Option<String>,
        #[command(flatten)]
        terms: Terms,
    },
    /// Say whose certificates a PEM file holds, and how long they are valid
    Show {
        /// The file
        file: PathBuf,
    },
}

/// For which hosts, and for how long.
#[derive(clap::Args)]
pub(crate) struct Terms {
    /// A name or address by which clients reach the nodes; N=HOST for node N only; may be repeated
    ///
    /// Nodes know each other by number. localhost and its addresses are always among the names.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// For how many days the certificates are valid
    #[arg(long, value_name = "DAYS", default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

impl Terms {
    /// The hosts of one node.
    fn hosts_of(&self, node: u64) -> Vec<String> {
        let own = |host: &String| match host.split_once('=') {
            Some((number, host)) => (number == node.to_string()).then(|| host.to_string()),
            None => Some(host.clone()),
        };
        self.hosts.iter().filter_map(own).collect()
    }

    /// A host that is given to a node there is not would be forgotten without a word.
    fn check(&self, is_node: impl Fn(u64) -> bool) -> Result<(), Failure> {
        let is_lost = |host: &&String| {
            host.split_once('=').is_some_and(|(number, _)| !number.parse().is_ok_and(&is_node))
        };
        match self.hosts.iter().find(is_lost) {
            Some(host) => Err(format!("--host {host}: there is no such node")),
            None => Ok(()),
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Init { directory, nodes, cluster, clients, terms } => {
            init(directory, *nodes, cluster, clients, terms)
        }
        Command::Add { directory, node, client, terms } => {
            let holder = match (node, client) {
                (Some(id), _) => Holder::Node(*id),
                (None, Some(name)) => Holder::Client(name.clone()),
                (None, None) => unreachable!("the command line demands one of them"),
            };
            add(directory, &holder, terms)
        }
        Command::Show { file } => show::run(file),
    }
}

fn init(
    directory: &Path,
    nodes: u64,
    cluster: &str,
    clients: &[String],
    terms: &Terms,
) -> Result<(), Failure> {
    terms.check(|node| (1..=nodes).contains(&node))?;
    let holders: Vec<Holder> =
        (1..=nodes).map(Holder::Node).chain(clients.iter().cloned().map(Holder::Client)).collect();
    let authority = Authority::create(directory, cluster, &holders)?;
    for holder in &holders {
        issue(&authority, holder, terms)?;
    }
    println!("authority of cluster {cluster}: {}", authority.certificate().display());
    println!("its key, to be kept away from the nodes: {}", authority.key().display());
    println!("\nfor the configuration of node 1, and of the others with their own number:\n");
    println!("[node]\ncluster = \"{cluster}\"\n\n{}", authority.section(&Holder::Node(1)));
    for client in clients {
        let (certificate, key) = authority.files(&Holder::Client(client.clone()));
        println!("for the client {client}: {} and {}", certificate.display(), key.display());
    }
    Ok(())
}

fn add(directory: &Path, holder: &Holder, terms: &Terms) -> Result<(), Failure> {
    terms.check(|node| *holder == Holder::Node(node))?;
    let authority = Authority::open(directory)?;
    issue(&authority, holder, terms)?;
    match holder {
        Holder::Node(id) => {
            println!("for the configuration of node {id}:\n\n{}", authority.section(holder));
        }
        Holder::Client(name) => {
            let (certificate, key) = authority.files(holder);
            println!("for the client {name}: {} and {}", certificate.display(), key.display());
        }
    }
    Ok(())
}

fn issue(authority: &Authority, holder: &Holder, terms: &Terms) -> Result<(), Failure> {
    let hosts = match holder {
        Holder::Node(id) => terms.hosts_of(*id),
        Holder::Client(_) => Vec::new(),
    };
    authority.issue(holder, &hosts, terms.days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quipu_node::config::Config;
    use quipu_node::doors::Doors;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn terms(hosts: &[&str]) -> Terms {
        Terms { hosts: hosts.iter().map(|host| (*host).to_string()).collect(), days: 30 }
    }

    fn config(id: u64, section: &str) -> Config {
        let node = format!(
            "[node]\nid = {id}\ncluster = \"here\"\ndata_dir = \"d\"\npeer = \"localhost:1\"\n\
             client = \"localhost:2\"\nhttp = \"localhost:3\"\n"
        );
        Config::parse(&format!("{node}{section}"), Path::new("x")).expect("valid")
    }

    #[test]
    fn nodes_open_their_doors_with_what_is_made() {
        let scratch = tempfile::tempdir().expect("a directory");
        let directory = scratch.path().join("certs");
        init(&directory, 2, "here", &["app".into()], &terms(&["1=10.0.0.1", "quipu.example"])).expect("made");
        add(&directory, &Holder::Node(3), &terms(&["3=h"])).expect("added");
        let authority = Authority::open(&directory).expect("an authority");
        for id in 1..=3 {
            let doors = Doors::open(&config(id, &authority.section(&Holder::Node(id))));
            assert!(doors.is_ok_and(|doors| doors.peer.is_tls() && doors.client.is_tls()), "node {id}");
        }
        let of_another = config(2, &authority.section(&Holder::Node(1)));
        assert!(Doors::open(&of_another).is_err(), "node 2 with node 1's certificate");
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
            let is_key = path.extension().is_some_and(|extension| extension == "key");
            assert_eq!(mode == 0o600, is_key, "{} has mode {mode:o}", path.display());
        }
        let shown = show::describe(&directory.join("node-1.pem")).expect("a certificate");
        let names = ["CN=node-1", "node-1.here.quipu.internal", "10.0.0.1", "quipu.example", "localhost"];
        assert!(names.iter().all(|name| shown.contains(name)) && shown.contains("30 days"), "{shown}");
        let shown = show::describe(&directory.join("node-2.pem")).expect("a certificate");
        assert!(!shown.contains("10.0.0.1"), "{shown}");
        let shown = show::describe(&directory.join("client-app.pem")).expect("a certificate");
        assert!(shown.contains("CN=app") && shown.contains("client-app.here.quipu.internal"), "{shown}");
    }

    #[test]
    fn nothing_is_overwritten() {
        let scratch = tempfile::tempdir().expect("a directory");
        let directory = scratch.path();
        fs::write(directory.join("node-2.key"), "precious").expect("written");
        let refused = init(directory, 2, "here", &[], &terms(&[])).expect_err("in the way");
        assert!(refused.contains("node-2.key exists"), "{refused}");
        assert!(!directory.join("ca.key").exists(), "nothing was begun");
        init(directory, 1, "here", &[], &terms(&[])).expect("made");
        let refused = init(directory, 1, "here", &[], &terms(&[])).expect_err("made already");
        assert!(refused.contains("exists"), "{refused}");
        let refused = add(directory, &Holder::Node(2), &terms(&[])).expect_err("in the way");
        assert!(refused.contains("node-2.key exists"), "{refused}");
        assert_eq!(fs::read_to_string(directory.join("node-2.key")).expect("read"), "precious");
    }

    #[test]
    fn mistakes_are_told() {
        let scratch = tempfile::tempdir().expect("a directory");
        let directory = scratch.path();
        let refused = init(directory, 1, "not a label", &[], &terms(&[])).expect_err("a mistake");
        assert!(refused.contains("letters, digits and hyphens"), "{refused}");
        let refused = init(directory, 1, "here", &[], &terms(&["2=h"])).expect_err("a mistake");
        assert!(refused.contains("--host 2=h: there is no such node"), "{refused}");
        let refused = init(directory, 1, "here", &["a/b".into()], &terms(&[])).expect_err("a mistake");
        assert!(refused.contains("letters, digits and hyphens"), "{refused}");
        assert!(!directory.join("ca.key").exists(), "nothing was begun");
        let refused = add(directory, &Holder::Node(1), &terms(&[])).expect_err("no authority");
        assert!(refused.contains("ca.pem"), "{refused}");
        fs::write(directory.join("x.pem"), "no certificate").expect("written");
        let refused = show::describe(&directory.join("x.pem")).expect_err("none");
        assert!(refused.contains("holds no certificate"), "{refused}");
    }
}
