//! The whole coordination service under simulation, its clients included.
//!
//! Three nodes (five while the membership changes) run [`quipu_services::coordination::Coordination`], the very
//! value that a node runs. Simulated clients speak to it as ZooKeeper clients do: they open sessions, write and
//! read registers, hold locks by ephemeral nodes, set watches, ping, lose their connections and come back
//! elsewhere. A nemesis breaks the network, the disks, the clocks and the nodes. What clients saw is checked:
//!
//! | promise | how it is checked |
//! |---|---|
//! | writes and synced reads are linearizable | [`crate::check::linearizability`], per register, with versions |
//! | a session's reads never go back in time | zxids of its replies, over all its connections |
//! | a session reads its own writes | the zxid of what it reads |
//! | replies come in the order of requests | `client.rs` |
//! | a watch event precedes the new data | `client.rs` |
//! | an ephemeral lives as long as its session | its owner looks for it |
//! | replicas agree | digests of trees that have applied the same entries |
//! | when the faults end, everybody gets on | every client completes an operation, every node catches up |
//!
//! In most runs other clients hold locks with tokens meanwhile; what they check stands in `locks/mod.rs`. [`StorageScenario`] has
//! only these, and a storage outside that they write to.
//!
//! [`planted`] switches bugs on, one at a time, to show that these checks would find them.

mod client;
mod founder;
mod locks;
mod model;
pub mod planted;
pub mod program;
mod scenario;
mod script;
mod storage;
mod world;

pub use model::{RegisterModel, VersionedInput, VersionedOutput};
pub use program::{CoordinationProgram, Served, ServedConfig};
pub use scenario::{CoordinationScenario, Options};
pub use script::{Asked, Plan, Told};
pub use storage::StorageScenario;
