//! Sequential specifications to check histories against.
//!
//! * [`Register`]: read, write, compare-and-set.
//! * [`Set`]: add, remove, contains, read.
//! * [`Queue`], first in, first out, and [`Stack`], last in, first out.
//! * [`Counter`]: add, read.
//! * [`Mutex`]: acquire, release, with an owner.
//! * [`Keyed`]: many of any of them, each under its key. Of registers it is a key-value map.
//!
//! Values are numbers; what they stand for is up to whoever records the history. Each model also says how a search
//! in its histories is kept small, and which operations may be left out of a violation: see [`Model`].

mod counter;
mod keyed;
mod list;
mod mutex;
mod queue;
mod register;
mod set;

pub use counter::{Counter, CounterInput, CounterOutput};
pub use keyed::Keyed;
pub use mutex::{Mutex, MutexInput, MutexOutput};
pub use queue::{Queue, QueueInput, QueueOutput, Sequence, Stack};
pub use register::{Register, RegisterInput, RegisterOutput};
pub use set::{Set, SetInput, SetOutput};

use super::linearizability::{Decision, Model, Part};
