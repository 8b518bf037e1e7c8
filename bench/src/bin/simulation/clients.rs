//! What the clients of one run saw, and the judge of it: the same for every simulator but stateright, which has its
//! own.

use crate::program::{Counts, Operation, REPLICAS, Replica, operation};
use quipu_bench::Failure;
use quipu_lab::check::{
    Budget, History, OperationId, Register, RegisterInput, RegisterOutput, Verdict, check,
};

/// The clients of one run, one at each replica.
pub(crate) struct Clients {
    operations: u64,
    history: History<RegisterInput, RegisterOutput>,
    /// Each client's operation under way.
    current: Vec<OperationId>,
    /// How many operations each client was answered.
    done: Vec<u64>,
    /// What each replica has done.
    counts: Vec<Counts>,
    /// Counts what was recorded, and stands for the time: a simulator is one thread, so that the order in which
    /// things are recorded is the order in which they happen.
    clock: u64,
}

impl Clients {
    /// Clients that ask for so many operations each. They all have asked for their first.
    pub(crate) fn new(operations: u64) -> Self {
        let mut clients = Clients {
            operations,
            history: History::new(),
            current: Vec::new(),
            done: vec![0; REPLICAS as usize],
            counts: vec![Counts::default(); REPLICAS as usize],
            clock: 0,
        };
        for client in 0..REPLICAS {
            let first = clients.invoke(client);
            clients.current.push(first);
        }
        clients
    }

    /// A replica has handled something, and may have answered its client with that.
    pub(crate) fn handled(&mut self, id: u64, replica: &Replica) {
        self.counts[id as usize] = replica.counts();
        if replica.done() > self.done[id as usize] {
            self.answered(id, replica.answer());
        }
    }

    /// How many events the replicas have handled.
    pub(crate) fn events(&self) -> u64 {
        self.counts.iter().map(Counts::events).sum()
    }

    /// The share of the messages sent that did not arrive: what was lost, and what is still under way.
    #[cfg(test)]
    pub(crate) fn share_lost(&self) -> f64 {
        let [sent, received] = [|one: &Counts| one.sent, |one: &Counts| one.received]
            .map(|count| self.counts.iter().map(count).sum::<u64>());
        1.0 - received as f64 / sent as f64
    }

    /// A client was answered; it asks for its next operation, if it has any left, and that is returned.
    pub(crate) fn answered(&mut self, client: u64, answer: Option<u64>) -> Option<Operation> {
        let place = client as usize;
        let output = match operation(client, self.done[place]) {
            Operation::Read => RegisterOutput::Value(answer),
            Operation::Write(_) => RegisterOutput::Written,
        };
        self.clock += 1;
        self.history.ok(self.current[place], output, self.clock);
        self.done[place] += 1;
        if self.done[place] == self.operations {
            return None;
        }
        self.current[place] = self.invoke(client);
        Some(operation(client, self.done[place]))
    }

    /// Whether every client was answered everything.
    pub(crate) fn all_done(&self) -> bool {
        self.done.iter().all(|done| *done == self.operations)
    }

    /// Whether what they saw is right, and is all there should be.
    pub(crate) fn judge(&self) -> Result<(), Failure> {
        let expected = (REPLICAS * self.operations) as usize;
        if self.history.answered() != expected {
            return Err(format!("{} of {expected} operations were answered", self.history.answered()).into());
        }
        match check(&Register, &self.history, Budget::default()) {
            Verdict::Linearizable => Ok(()),
            Verdict::Violation(violation) => Err(violation.to_string().into()),
            Verdict::Undecided => Err("the check ran out of steps".into()),
        }
    }

    fn invoke(&mut self, client: u64) -> OperationId {
        let input = match operation(client, self.done[client as usize]) {
            Operation::Read => RegisterInput::Read,
            Operation::Write(value) => RegisterInput::Write(value),
        };
        self.clock += 1;
        self.history.invoke(client, input, self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_found() {
        let mut clients = Clients::new(2);
        for client in 0..REPLICAS {
            clients.answered(client, None);
        }
        assert!(clients.judge().is_err(), "half of the answers are missing");
        for client in 0..REPLICAS {
            assert_eq!(clients.answered(client, Some(0)), None);
        }
        assert!(clients.all_done() && clients.judge().is_ok());
        let mut clients = Clients::new(2);
        for client in 0..REPLICAS {
            clients.answered(client, None);
            clients.answered(client, None);
        }
        assert!(clients.judge().is_err(), "nothing was read after everybody had written");
    }
}
