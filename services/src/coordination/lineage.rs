//! What the service leans on, for whoever wants to know why: its own words are few, since a write is Raft's doing.
//!
//! Commands on their way, and the beginning of a read round, lean on the inputs that asked for them and on who is known to
//! lead; a read's confirmation on the answers to its round. Everything else that the service sends leans on all that came before.

use super::service::Coordination;
use alloc::vec::Vec;
use quipu_base::{Env, EventId, Support};

/// The inputs that confirmed the last read round; empty while nobody wants to know.
pub(super) type Confirmed = Vec<EventId>;

impl Coordination {
    /// What it leans on that this node has applied all that it has; `None` if everything before counts.
    pub fn why_applied(&self) -> Option<Support> {
        self.raft().why_committed()
    }

    /// What an answer to a read leans on that waited for a round; `None` if everything before counts.
    pub fn why_read(&self) -> Option<Support> {
        let confirmed = Support::all(self.confirmed_by.iter().copied());
        Some(self.raft().why_committed()?.and(confirmed))
    }

    /// What is sent next to the leader leans on these inputs, and on who leads.
    pub(super) fn because_of_leader(&self, asked: Vec<EventId>, env: &mut Env<Self>) {
        if env.traces()
            && let Some(support) = self.raft().why_following()
        {
            env.because(|| support.and(Support::all(asked)));
        }
    }

    /// A read round of a follower's has been confirmed in this step.
    pub(super) fn because_of_round(&self, env: &mut Env<Self>) {
        if env.traces()
            && let Some(support) = self.raft().why_read()
        {
            env.because(|| support);
        }
    }
}
