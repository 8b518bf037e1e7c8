//! Three nodes of each system on loopback, with the durable defaults of each, started and ended by us.

use super::session::{Session, four_letter_word};
use crate::processes::{Process, cpu_of};
use crate::{Failure, machine};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How many nodes each system has.
pub const NODES: usize = 3;

/// The JVM options of ZooKeeper: Debian sets none, so this is all there is besides logging.
pub const JAVA_OPTIONS: &str = "-Xmx512m";

const START_PATIENCE: Duration = Duration::from_secs(60);

/// Where Debian's packages put ZooKeeper.
const ZOOKEEPER_JARS: &str =
    "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-log4j12.jar:/usr/share/java/log4j-1.2.jar";
const ZOOKEEPER_LOGGING: &str = "/etc/zookeeper/conf_example/log4j.properties";

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// Ours: `quipu dev`.
    Quipu,
    /// Debian's `zookeeper`.
    ZooKeeper,
    /// Debian's `etcd-server`.
    Etcd,
}

impl System {
    /// All of them, ours first.
    pub const ALL: [System; 3] = [System::Quipu, System::ZooKeeper, System::Etcd];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            System::Quipu => "Quipu",
            System::ZooKeeper => "ZooKeeper",
            System::Etcd => "etcd",
        }
    }

    /// Whether it speaks ZooKeeper's protocol.
    pub fn speaks_zookeeper(self) -> bool {
        self != System::Etcd
    }
}

impl std::str::FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = System::ALL.into_iter().find(|system| system.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| "one of quipu, zookeeper, etcd".into())
    }
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The binary of ours.
    pub quipu: PathBuf,
    /// Where all nodes keep their data; emptied before each start.
    pub data: PathBuf,
    /// The lowest port that may be used; the 250 above it are ours.
    pub port_base: u16,
}

/// Three running nodes.
pub struct Cluster {
    /// Which system this is.
    pub system: System,
    /// Where clients connect, by node.
    pub clients: Vec<SocketAddr>,
    /// Where the HTTP API is, by node; only ours has one.
    pub http: Vec<SocketAddr>,
    /// The serving processes, by node.
    pub nodes: Vec<Process>,
    /// From the start of the first process until a client on each node had a write acknowledged.
    pub ready_after: Duration,
    /// Dropped after `nodes`: it would bring them back.
    supervisor: Option<Process>,
}

impl Cluster {
    /// Starts three empty nodes and waits until each of them serves writes.
    pub fn start(system: System, places: &Places) -> Result<Cluster, Failure> {
        let data = places.data.join(system.name().to_lowercase());
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let begun = Instant::now();
        let mut cluster = match system {
            System::Quipu => start_quipu(places, &data)?,
            System::ZooKeeper => start_zookeeper(places, &data)?,
            System::Etcd => start_etcd(places, &data)?,
        };
        cluster.wait_until_ready(begun, &data)?;
        cluster.ready_after = begun.elapsed();
        Ok(cluster)
    }

    /// The processor time that all nodes have used.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        self.nodes.iter().map(|node| cpu_of(node.pid())).sum()
    }

    /// The ids of the serving processes.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(Process::pid).collect()
    }

    /// The largest resident memory of any node, in bytes.
    pub fn resident_memory(&self) -> Result<u64, Failure> {
        let sizes: Result<Vec<u64>, Failure> = self.nodes.iter().map(Process::resident_memory).collect();
        Ok(sizes?.into_iter().max().unwrap_or_default())
    }

    /// Which node leads, by what the nodes of a system that speaks ZooKeeper's protocol say of themselves.
    pub fn leader(&self) -> Result<usize, Failure> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let leads = |address: &SocketAddr| {
                four_letter_word(*address, "srvr").is_ok_and(|answer| answer.contains("Mode: leader"))
            };
            if let Some(leader) = self.clients.iter().position(leads) {
                return Ok(leader);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("no node of {} says that it leads", self.system.name()).into())
    }

    /// Which version runs.
    pub fn version(&self, places: &Places) -> String {
        let version = match self.system {
            System::Quipu => machine::first_line(Command::new(&places.quipu).arg("--version")),
            System::Etcd => machine::first_line(Command::new("etcd").arg("--version")),
            System::ZooKeeper => four_letter_word(self.clients[0], "srvr").ok(),
        };
        // The first word with a digit in front: "etcd Version: 3.4.23", "Zookeeper version: 3.8.0-x, built on ...".
        let version = version.unwrap_or_default();
        let number =
            version.split([' ', '-', ',', '\n']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        format!("{} {}", self.system.name(), number.unwrap_or("of unknown version"))
    }

    fn wait_until_ready(&mut self, begun: Instant, data: &Path) -> Result<(), Failure> {
        for node in 0..NODES {
            while !self.serves(node) {
                if begun.elapsed() > START_PATIENCE
                    || self.nodes.iter_mut().any(|process| !process.is_running())
                {
                    let (name, logs) = (self.system.name(), data.display());
                    return Err(format!("{name} did not become ready: see the logs in {logs}").into());
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    fn serves(&self, node: usize) -> bool {
        let address = self.clients[node];
        if !self.system.speaks_zookeeper() {
            return etcd_is_healthy(address);
        }
        let attempt = || -> Result<(), Failure> {
            let mut session = Session::connect(address, None, Duration::from_secs(2))?;
            session.create_all(&["/ready".to_owned()])?;
            Ok(session.close()?)
        };
        attempt().is_ok()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Whoever supervises the nodes ends them better than we, and would start again what we end.
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.stop(Duration::from_secs(10));
        }
        for node in &mut self.nodes {
            if self.supervisor.is_none() && node.is_running() {
                node.kill();
            }
        }
    }
}

fn start_quipu(places: &Places, data: &Path) -> Result<Cluster, Failure> {
    let offset = places.port_base;
    let log = data.join("dev.log");
    let mut command = Command::new(&places.quipu);
    command.args(["dev", "--port-offset", &offset.to_string(), "--data"]).arg(data.join("nodes"));
    let mut supervisor = Process::spawn(&mut command, &log)?;
    let deadline = Instant::now() + START_PATIENCE;
    while !fs::read_to_string(&log)?.lines().any(|line| line.starts_with("ready")) {
        if !supervisor.is_running() || Instant::now() > deadline {
            return Err(format!("quipu dev did not say that it is ready: see {}", log.display()).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut nodes = Vec::new();
    for node in 1..=NODES {
        let pid = fs::read_to_string(data.join(format!("nodes/node-{node}/pid")))?;
        nodes.push(Process::adopt(pid.trim().parse()?));
    }
    let clients = (0..NODES as u16).map(|node| loopback(2181 + offset + node)).collect();
    let mut cluster = cluster(System::Quipu, clients, nodes, Some(supervisor));
    cluster.http = (0..NODES as u16).map(|node| loopback(8181 + offset + node)).collect();
    Ok(cluster)
}

fn start_zookeeper(places: &Places, data: &Path) -> Result<Cluster, Failure> {
    let port = |kind: u16, node: usize| places.port_base + 100 + kind * 10 + node as u16;
    let members: String = (0..NODES)
        .map(|node| format!("server.{}=127.0.0.1:{}:{}\n", node + 1, port(1, node), port(2, node)))
        .collect();
    let mut nodes = Vec::new();
    for node in 0..NODES {
        let folder = data.join(format!("node-{}", node + 1));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("myid"), format!("{}\n", node + 1))?;
        let settings = format!(
            "tickTime=2000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=0\nadmin.enableServer=false\n\
             dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\n{members}",
            folder.canonicalize()?.display(),
            port(0, node)
        );
        let file = folder.join("zoo.cfg");
        fs::write(&file, settings)?;
        let mut command = Command::new("java");
        command
            .args(JAVA_OPTIONS.split_whitespace())
            .arg("-Dzookeeper.root.logger=INFO,CONSOLE")
            .arg(format!("-Dlog4j.configuration=file:{ZOOKEEPER_LOGGING}"))
            .args(["-cp", ZOOKEEPER_JARS])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(file);
        nodes.push(Process::spawn(&mut command, &folder.join("log"))?);
    }
    let clients = (0..NODES).map(|node| loopback(port(0, node))).collect();
    Ok(cluster(System::ZooKeeper, clients, nodes, None))
}

fn start_etcd(places: &Places, data: &Path) -> Result<Cluster, Failure> {
    let url = |kind: u16, node: usize| {
        format!("http://127.0.0.1:{}", places.port_base + 200 + kind * 10 + node as u16)
    };
    let members: Vec<String> = (0..NODES).map(|node| format!("n{node}={}", url(1, node))).collect();
    let mut nodes = Vec::new();
    for node in 0..NODES {
        let mut command = Command::new("etcd");
        command
            .args(["--name", &format!("n{node}")])
            .arg("--data-dir")
            .arg(data.join(format!("node-{}", node + 1)))
            .args(["--listen-client-urls", &url(0, node), "--advertise-client-urls", &url(0, node)])
            .args(["--listen-peer-urls", &url(1, node), "--initial-advertise-peer-urls", &url(1, node)])
            .args(["--initial-cluster", &members.join(","), "--initial-cluster-state", "new"])
            .args(["--initial-cluster-token", "quipu-bench"]);
        nodes.push(Process::spawn(&mut command, &data.join(format!("log-{}", node + 1)))?);
    }
    let clients = (0..NODES).map(|node| loopback(places.port_base + 200 + node as u16)).collect();
    Ok(cluster(System::Etcd, clients, nodes, None))
}

fn cluster(
    system: System,
    clients: Vec<SocketAddr>,
    nodes: Vec<Process>,
    supervisor: Option<Process>,
) -> Cluster {
    Cluster { system, clients, http: Vec::new(), nodes, ready_after: Duration::ZERO, supervisor }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// etcd answers this only after a linearizable read of its own.
fn etcd_is_healthy(address: SocketAddr) -> bool {
    let attempt = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.contains("\"health\":\"true\""))
    };
    attempt().unwrap_or(false)
}
