//! One attempt to renew what is held.

use super::blocking;
use super::kind::{Grant, Place};
use super::lease::{Lease, Moment};
use crate::client::{Client, Refusal};

/// What an attempt came to.
pub(super) enum Renewal {
    /// It is held on.
    Renewed(Lease),
    /// It is certainly not held any more.
    Gone(String),
    /// Nobody knows: to be tried again while there is time.
    Unknown(String),
}

/// Asks the node that answered last; if it fails, the next attempt goes to the next one.
pub(super) async fn renew(client: &Client, place: &Place, grant: &Grant, lease: Lease) -> Renewal {
    let request = place.renew(grant.number).within(lease.patience());
    let (asking, node) = (client.clone(), client.preferred());
    let asked = Moment::now();
    let answer = blocking(move || asking.ask_node(node, &request)).await;
    let refusal = match answer.map(|answer| answer.json()) {
        Ok(Ok(value)) => match place.granted(value) {
            Ok(renewed) => return Renewal::Renewed(Lease::new(renewed.ttl, asked)),
            Err(failure) => Refusal::NoAnswer(failure),
        },
        Ok(Err(refusal)) => refusal,
        Err(no_answer) => Refusal::NoAnswer(no_answer.why),
    };
    if matches!(refusal.code(), "not-held" | "not-found") {
        return Renewal::Gone(refusal.to_string());
    }
    client.avoid(node);
    Renewal::Unknown(refusal.to_string())
}
