//! Causal memory: does one order of all writes explain everything that a process ever read?
//!
//! For each session an order of its own grows out of the causal one (the paper's happened-before for the session's
//! last operation): whenever one of its reads follows a write of the register, and read another, the first write must
//! come before the other. Each such edge may put further writes before further reads, so this goes on until nothing is
//! new. It must be without a cycle, and no read of nothing may then follow a write.
//!
//! The paper restricts the order to what the operation causally follows. Since nothing from outside comes before
//! anything inside, the order on all operations says the same about those inside.

use super::explain::Found;
use super::order::{NOTHING, Order};
use super::patterns::Pattern;
use crate::check::causal::Action;

/// Looks at each session.
pub(super) fn find(order: &Order<'_>, found: &mut Found<'_>) {
    (0..order.sessions.len()).for_each(|session| look_at(order, session, found));
}

fn look_at(order: &Order<'_>, session: usize, found: &mut Found<'_>) {
    let mut demands: Vec<(u32, u32, u32)> = Vec::new();
    loop {
        let edges: Vec<(u32, u32)> = demands.iter().map(|(from, to, _)| (*from, *to)).collect();
        let Some(clocks) = order.clocks(&edges) else {
            found.cycle(Pattern::CyclicHB, &demands);
            return;
        };
        let known = demands.len();
        for number in &order.sessions[session] {
            let operation = &order.history.operations()[*number as usize];
            let Action::Read(value) = operation.action else { continue };
            let source = order.source[*number as usize];
            if value.is_some() && source == NOTHING {
                continue;
            }
            for write in order.last_writes(operation.register.0, clocks.of(*number), source) {
                if source == NOTHING {
                    found.not_seen(Pattern::WriteHBInitRead, write, *number, &demands[..known]);
                    return;
                }
                if !order.is_before(write, clocks.of(source)) {
                    demands.push((write, source, *number));
                }
            }
        }
        if demands.len() == known {
            return;
        }
    }
}
