//! The lab's linearizability checker beside Porcupine's published algorithm, on the same histories and models.

pub mod generate;
pub mod porcupine;

use generate::{Keyed, Kind};
use quipu_lab::check::models::Queue;
use quipu_lab::check::{Budget, Model, Register, Verdict, check_by_key};
use std::time::{Duration, Instant};

/// What a checker made of a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// It is linearizable, after this time.
    Linearizable(Duration),
    /// It did not come to an end: it gave up after this time.
    GaveUp(Duration),
}

/// One cell of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// What is asked.
    pub kind: Kind,
    /// How many operations there are.
    pub operations: usize,
    /// By how many processes.
    pub processes: usize,
}

/// Runs both checkers on the history that this seed gives in this cell: ours, which gives up after six million
/// steps of its search (and would after twenty, left alone), then the baseline, which gives up after `limit`.
pub fn run(cell: Cell, seed: u64, limit: Duration) -> [Found; 2] {
    let Cell { kind, operations, processes } = cell;
    match kind {
        Kind::Register | Kind::CasRegister | Kind::Map => {
            both(Register, generate::registers(kind, operations, processes, seed), limit)
        }
        Kind::Queue => both(Queue, generate::queue(operations, processes, seed), limit),
    }
}

fn both<M: Model>(model: M, history: generate::HistoryOf<M>, limit: Duration) -> [Found; 2] {
    let model = Keyed(model);
    let start = Instant::now();
    let verdict = check_by_key(&model, &history, |(key, _)| *key, Budget(6_000_000));
    let ours = match verdict {
        Verdict::Linearizable => Found::Linearizable(start.elapsed()),
        Verdict::Undecided => Found::GaveUp(start.elapsed()),
        Verdict::Violation(violation) => {
            panic!("the generator makes linearizable histories only: {violation}")
        }
    };
    let start = Instant::now();
    let baseline = match porcupine::check_by_key(&model, &history, |(key, _)| *key, start + limit) {
        Some(true) => Found::Linearizable(start.elapsed()),
        None => Found::GaveUp(start.elapsed()),
        Some(false) => panic!("the generator makes linearizable histories only"),
    };
    [ours, baseline]
}
