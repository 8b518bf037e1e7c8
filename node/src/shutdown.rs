//! Ending in good order.

use crate::control::Control;
use crate::gateway::Gateway;
use quipu_base::NodeId;
use quipu_protocols::raft::Role;
use quipu_services::coordination::Administer;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

/// How long a leader that stops tries to hand its leadership over.
const HAND_OVER: Duration = Duration::from_millis(1000);

/// How long clients may take to fetch their last answers.
const FAREWELL: Duration = Duration::from_millis(500);

/// Waits for SIGTERM or SIGINT, and says which came.
pub(crate) async fn wanted() -> &'static str {
    let handlers = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = handlers else {
        // Then the signals still end the process, only without ceremony.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// Hands the leadership to the follower that is furthest, so that the cluster need not miss this node first.
pub(crate) async fn hand_over(control: &Control) {
    let Some(successor) = successor(control) else { return };
    let handed = async {
        let _ = control.administer(Administer::Transfer(successor)).await;
        while leads(control) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let is_done = timeout(HAND_OVER, handed).await.is_ok();
    tracing::info!(to = successor.0, is_done, "handing the leadership over");
}

fn leads(control: &Control) -> bool {
    matches!(control.core().borrow().raft().role(), Role::Leader { .. })
}

fn successor(control: &Control) -> Option<NodeId> {
    if !leads(control) {
        return None;
    }
    let report = control.core().borrow().report();
    let others = report.members.iter().filter(|member| member.member.id != report.id && member.member.voting);
    let active = others.filter(|member| member.active == Some(true));
    active.max_by_key(|member| member.matched).map(|member| member.member.id)
}

/// Closes the clients' connections and waits a little until they are.
pub(crate) async fn part(gateway: &Gateway) {
    gateway.stop();
    let gone = async {
        while gateway.connections() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = timeout(FAREWELL, gone).await;
}
