//! Looks after the service now and then, and tells operators what they must know: one line for each change.

use crate::clock::Clock;
use crate::control::Control;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::sleep;

const INTERVAL: Duration = Duration::from_millis(100);

/// What was seen last.
pub(crate) struct Watchman {
    control: Rc<Control>,
    repaired: Rc<Cell<bool>>,
    clock: Clock,
    is_damaged: bool,
    is_ready: bool,
    leader: Option<u64>,
    snapshots: u64,
}

impl Watchman {
    pub(crate) fn new(
        control: Rc<Control>,
        repaired: Rc<Cell<bool>>,
        is_damaged: bool,
        clock: Clock,
    ) -> Self {
        if is_damaged {
            tracing::error!("durable records were lost: this node does not vote until it has been refilled");
        }
        Watchman { control, repaired, clock, is_damaged, is_ready: false, leader: None, snapshots: 0 }
    }

    pub(crate) async fn run(mut self) {
        loop {
            self.look();
            sleep(INTERVAL).await;
        }
    }

    fn look(&mut self) {
        let core = self.control.core().borrow();
        let raft = core.raft();
        let leader = raft.leader().map(|leader| leader.0);
        if leader != self.leader {
            match leader {
                Some(leader) => tracing::info!(leader, term = raft.term(), "leader"),
                None => tracing::info!(term = raft.term(), "no leader"),
            }
            self.leader = leader;
        }
        if !self.is_ready && core.report().ready {
            tracing::info!(elapsed_ms = self.clock.now().0 / 1_000_000, "ready");
            self.is_ready = true;
        }
        if self.is_damaged && !raft.is_damaged() {
            tracing::info!("refilled: what was lost has been replaced by peers");
            self.is_damaged = false;
            self.repaired.set(true);
        }
        let snapshots = core.counters().snapshots;
        if snapshots != self.snapshots {
            tracing::info!(index = raft.snapshot_index(), "snapshot taken");
            self.snapshots = snapshots;
        }
    }
}
