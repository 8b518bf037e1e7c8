//! What happened before what: three clocks, and the shopping cart that only the third keeps whole.
//!
//! `cargo run -p quipu-base --example clocks`

use quipu_base::clocks::{DottedVersions, HybridClock, VectorClock};
use quipu_base::{NodeId, WallTime};
use std::time::Duration;

const SERVER: NodeId = NodeId(1);

fn main() {
    a_message_between_clocks_that_disagree();
    two_writes_and_whether_they_knew_of_each_other();
    let lost = a_cart_under_plain_version_vectors();
    let kept = a_cart_under_dotted_version_vectors();
    assert_eq!((lost, kept), (vec!["milk"], vec!["bread", "milk"]));
}

/// Hybrid time: the receiver's clock is a third of a second behind, and yet the receipt comes after the send.
fn a_message_between_clocks_that_disagree() {
    let tolerance = Duration::from_millis(500);
    let (mut sender, mut receiver) = (HybridClock::new(tolerance), HybridClock::new(tolerance));
    let sent = sender.now(WallTime(10_300));
    let received = receiver.receive(WallTime(10_000), sent).expect("300 ms are tolerated");
    println!("hybrid:  sent at {sent:?}, received at {received:?} by a clock that reads 10000");
    assert!(sent < received);
    let refused = receiver.receive(WallTime(9_000), sent).expect_err("1.3 s are not");
    println!("hybrid:  refused: {refused}");
}

/// Vector clocks: less means before, and not ordered means that neither knew of the other.
fn two_writes_and_whether_they_knew_of_each_other() {
    let (mut ann, mut bob) = (VectorClock::new(), VectorClock::new());
    ann.tick(NodeId(1));
    bob.tick(NodeId(2));
    println!("vector:  Ann's and Bob's first events: {:?}", ann.partial_cmp(&bob));
    assert_eq!(ann.partial_cmp(&bob), None);
    bob.join(&ann);
    bob.tick(NodeId(2));
    println!("vector:  Ann's, and what Bob does after he has heard of it: {:?}", ann.partial_cmp(&bob));
    assert!(ann < bob);
}

/// Two phones put something into the same empty cart, through one server that counts writes in a version vector. The second
/// write gets a vector that includes the first, though its phone never saw that: so the first is dropped as if it were old.
fn a_cart_under_plain_version_vectors() -> Vec<&'static str> {
    let mut cart: Vec<(VectorClock, &str)> = Vec::new();
    let mut counted = VectorClock::new();
    for item in ["bread", "milk"] {
        counted.tick(SERVER);
        cart.retain(|(earlier, _)| earlier.partial_cmp(&counted).is_none());
        cart.push((counted.clone(), item));
    }
    let values = cart.into_iter().map(|(_, item)| item).collect();
    println!("plain:   the cart holds {values:?}");
    values
}

/// The same with a dot on each value: it says which write the value is, apart from what its phone had seen. Whoever reads
/// sees both, and a write that has seen both replaces both.
fn a_cart_under_dotted_version_vectors() -> Vec<&'static str> {
    let mut cart = DottedVersions::new();
    let empty_cart = cart.context();
    for item in ["bread", "milk"] {
        cart.write(&empty_cart, SERVER, item);
    }
    let both: Vec<&str> = cart.values().copied().collect();
    println!("dotted:  the cart holds {both:?}");

    // Another replica gets the cart; a phone reads it there and merges what it finds.
    let mut replica = DottedVersions::new();
    replica.sync(&cart);
    let seen = replica.context();
    replica.write(&seen, NodeId(2), "bread and milk");
    cart.sync(&replica);
    assert_eq!(cart, replica);
    println!("dotted:  and after somebody has seen both: {:?}", cart.values().collect::<Vec<_>>());
    both
}
