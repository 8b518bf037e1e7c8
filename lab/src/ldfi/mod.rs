//! Lineage-driven fault injection (Alvaro, Rosen and Hellerstein, SIGMOD 2015), for any [`quipu_base::Protocol`].
//!
//! Start from what succeeds without faults, find by lineage what that success leaned on, and break exactly that. What
//! comes out is a minimal counterexample, or a certificate that no set of faults within a stated bound breaks the
//! promise.
//!
//! * [`Program`] is what you bring: a protocol, its nodes, what is asked, what is promised.
//! * [`Spec`] is the bound; [`search`] searches within it, [`sweep`] raises it as the paper does.
//! * [`baseline`] holds what the search is measured against: random faults, and all faults.
//!
//! What a certificate rests on: that a goal whose lineage no fault touches still happens. Where a protocol names what
//! it leans on ([`quipu_base::Env::because`]), it must name it all; where it does not, everything before counts. What
//! lineage cannot see is silence: a message that is *not* sent may matter too. The search sees what silence leads to as
//! soon as a run contains it, and [`baseline::exhaustive`] uses no lineage at all: tests compare the two.
#![allow(clippy::module_inception, reason = "the search is what this folder is about")]

pub mod baseline;
pub mod compare;
mod faults;
mod file;
mod formula;
pub mod graph;
mod hypotheses;
mod order;
mod program;
mod rounds;
mod search;
mod spec;
mod sweep;
mod symmetry;
mod tell;

pub use faults::{Fault, FaultSet};
pub use file::FaultFile;
pub use graph::{Execution, Goal, Judgement, Story};
pub use program::{Actor, Card, Expected, Line, Program, ROUND, Seen, Subject};
pub use search::{Counterexample, Limits, Outcome, Progress, Verdict, search, shrink};
pub use spec::Spec;
pub use sweep::{Sweep, sweep};
pub use tell::{picture, replay, report};
