//! Locks: ours over HTTP, kazoo's recipe on ZooKeeper and on us, and etcd's lock.
//!
//! The load is a closed loop: a client acquires, releases at once, and acquires again. On locks of their own clients are
//! in nobody's way, and what is timed is acquiring and releasing. On one lock all others wait, and what is timed is the
//! hand-over: from the moment when the holder sends its release to the moment when the next holder knows that it holds.
//!
//! No client lives long enough for its lease to need renewing; a service that holds locks for long pays for that too.

pub mod api;
#[cfg(feature = "etcd")]
pub mod etcd;
pub mod generator;
pub mod recipe;
pub mod results;

use crate::Failure;
use crate::coordination::clusters::{Cluster, System};
use crate::coordination::{Meter, Sample, Window};
use std::fmt;
use std::str::FromStr;
use std::time::Instant;

/// The lease of a grant, and the timeout of a session, in milliseconds.
pub const LEASE_MS: u32 = 30_000;

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contender {
    /// Our locks, over HTTP.
    Quipu,
    /// kazoo's recipe, on the same nodes of ours.
    QuipuRecipe,
    /// kazoo's recipe on ZooKeeper.
    ZooKeeper,
    /// etcd's lock, as its Go client takes it.
    Etcd,
    /// etcd's lock, as etcd itself takes it for those who ask its lock service.
    EtcdService,
}

impl Contender {
    /// All of them, ours first.
    pub const ALL: [Contender; 5] = [
        Contender::Quipu,
        Contender::QuipuRecipe,
        Contender::ZooKeeper,
        Contender::Etcd,
        Contender::EtcdService,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Quipu => "quipu",
            Contender::QuipuRecipe => "quipu-recipe",
            Contender::ZooKeeper => "zookeeper",
            Contender::Etcd => "etcd",
            Contender::EtcdService => "etcd-service",
        }
    }

    /// Its name in the table.
    pub fn title(self) -> &'static str {
        match self {
            Contender::Quipu => "Quipu",
            Contender::QuipuRecipe => "kazoo's recipe on Quipu",
            Contender::ZooKeeper => "kazoo's recipe on ZooKeeper",
            Contender::Etcd => "etcd, clientv3's lock",
            Contender::EtcdService => "etcd, its lock service",
        }
    }

    /// Whose nodes it runs on.
    pub fn system(self) -> System {
        match self {
            Contender::Quipu | Contender::QuipuRecipe => System::Quipu,
            Contender::ZooKeeper => System::ZooKeeper,
            Contender::Etcd | Contender::EtcdService => System::Etcd,
        }
    }
}

impl FromStr for Contender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Contender::ALL.into_iter().find(|contender| contender.name() == text);
        found.ok_or_else(|| format!("one of {}", Contender::ALL.map(Contender::name).join(", ")))
    }
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Whether all want the same lock.
    pub contended: bool,
    /// How many clients there are, each with a connection of its own, spread evenly over the nodes.
    pub clients: usize,
}

impl Cell {
    /// What the lock is called that client number `client` wants.
    pub fn lock(self, client: usize) -> String {
        if self.contended { "shared".into() } else { format!("own-{client:03}") }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.contended, self.clients) {
            (true, clients) => write!(f, "one lock, {clients} clients"),
            (false, 1) => write!(f, "locks of their own, 1 client"),
            (false, clients) => write!(f, "locks of their own, {clients} clients"),
        }
    }
}

/// Keeps the times of one run, and sees that a contended lock is handed on in order.
pub struct Account {
    contended: bool,
    meter: Meter,
    begun: Vec<Instant>,
    released: Option<Instant>,
    last: u64,
}

impl Account {
    /// An account of `cell` on `cluster`; the calling thread is the generator.
    pub fn new(cell: Cell, cluster: &Cluster) -> Self {
        Account {
            contended: cell.contended,
            meter: Meter::new(cluster),
            begun: vec![Instant::now(); cell.clients],
            released: None,
            last: 0,
        }
    }

    /// Opens the measured window.
    ///
    /// # Errors
    ///
    /// If a server is gone.
    pub fn begin(&mut self) -> Result<(), Failure> {
        self.meter.begin()
    }

    /// Closes the measured window.
    ///
    /// # Errors
    ///
    /// If a server is gone, or not a single lock was acquired.
    pub fn end(&self) -> Result<Sample, Failure> {
        self.meter.end()
    }

    /// A client is about to ask for its lock.
    pub fn asks(&mut self, client: usize, now: Instant) {
        self.begun[client] = now;
    }

    /// A client knows that it holds its lock, by a grant with this number, and is about to release it.
    ///
    /// # Errors
    ///
    /// If the lock is contended and an earlier grant had a higher number: then it was not handed on in order.
    pub fn holds(&mut self, number: u64, now: Instant) -> Result<(), Failure> {
        if !self.contended {
            return Ok(());
        }
        if number <= self.last {
            return Err(format!("grant {number} came after grant {}", self.last).into());
        }
        self.last = number;
        if let Some(released) = self.released.replace(now) {
            self.meter.record(now - released);
        }
        Ok(())
    }

    /// A client knows that it has released its lock.
    pub fn released(&mut self, client: usize, now: Instant) {
        if !self.contended {
            self.meter.record(now - self.begun[client]);
        }
    }
}

/// Makes what a contender's clients expect to be there.
///
/// # Errors
///
/// If its nodes do not serve it.
pub fn prepare(contender: Contender, cluster: &Cluster, clients: usize) -> Result<(), Failure> {
    match contender {
        Contender::Quipu => api::prepare(cluster),
        Contender::QuipuRecipe | Contender::ZooKeeper => recipe::prepare(cluster, clients),
        Contender::Etcd | Contender::EtcdService => Ok(()),
    }
}

/// Runs one cell for one contender, which has been prepared for that many clients.
///
/// # Errors
///
/// If a server refuses something, or leaves something unanswered.
pub fn run(contender: Contender, cluster: &Cluster, cell: Cell, window: Window) -> Result<Sample, Failure> {
    let longest = (window.warm_up + window.measure).as_millis();
    assert!(longest < u128::from(LEASE_MS) / 3, "nobody renews, so a run must be over before anybody should");
    match contender {
        Contender::Quipu => api::run(cluster, cell, window),
        Contender::QuipuRecipe | Contender::ZooKeeper => recipe::run(cluster, cell, window),
        #[cfg(feature = "etcd")]
        Contender::Etcd => etcd::run(cluster, cell, window, etcd::Way::Client),
        #[cfg(feature = "etcd")]
        Contender::EtcdService => etcd::run(cluster, cell, window, etcd::Way::Service),
        #[cfg(not(feature = "etcd"))]
        Contender::Etcd | Contender::EtcdService => Err("built without the feature etcd".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for contender in Contender::ALL {
            assert_eq!(contender.name().parse(), Ok(contender));
        }
        assert!("redis".parse::<Contender>().is_err());
    }

    #[test]
    fn clients_share_a_lock_only_when_they_contend() {
        let own = Cell { contended: false, clients: 2 };
        assert_ne!(own.lock(0), own.lock(1));
        let shared = Cell { contended: true, clients: 2 };
        assert_eq!(shared.lock(0), shared.lock(1));
    }
}
