//! Judges of what clients saw.
//!
//! * [`History`] is what a client model records: who asked what and when, and what came of it.
//! * [`file`] reads histories that anybody recorded, as JSON.
//! * [`linearizability`] asks whether some order of the operations explains every answer.
//! * [`models`] are what it is asked of: registers, sets, queues, stacks, counters, locks, maps.
//! * [`picture`] draws what no order explains.
//! * [`transactions`] asks which isolation levels a history of transactions contradicts.
//! * [`causal`] and [`guarantees`] ask the same of registers: causal consistency, and what a session is promised.
//! * [`sessions`] asks whether each session saw time go forward, as ZooKeeper promises.

pub mod causal;
mod diagram;
pub mod file;
mod graph;
pub mod guarantees;
mod history;
pub mod linearizability;
mod map;
pub mod models;
pub mod picture;
mod registers;
pub mod sessions;
#[cfg(test)]
mod testing;
pub mod transactions;

pub use diagram::{Arrow, Diagram, Node, Tone};
pub use history::{Completion, History, Operation, OperationId};
pub use linearizability::{Budget, Decision, Model, Part, Verdict, Violation, check, check_by_key};
pub use models::{Register, RegisterInput, RegisterOutput};
