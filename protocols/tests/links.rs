//! Perfect links: what is lost is sent again, what comes twice is dropped, and when all is said it is quiet.

use quipu_base::{InMemory, NodeId, Rng};
use quipu_protocols::broadcast::{BestEffort, Group, Request};
use quipu_protocols::links::{Config, Message, Perfect};
use std::time::Duration;

type Node = Perfect<BestEffort<u32>>;

const MEMBERS: u64 = 4;
const BROADCASTS: u32 = 100;

fn cluster(seed: u64) -> InMemory<Node> {
    let mut cluster = InMemory::new(seed);
    let members: Vec<NodeId> = (1..=MEMBERS).map(NodeId).collect();
    for me in &members {
        let inner = Group::new(*me, members.clone());
        cluster.add(*me, Config { repeat_after: Duration::from_millis(5), inner });
    }
    cluster
}

#[test]
fn everything_arrives_once_although_most_is_lost() {
    let mut cluster = cluster(1);
    let mut random = Rng::with_seed(7);
    cluster.lose_if(move |_, _, _| random.u8(0..100) < 70);
    for number in 0..BROADCASTS {
        cluster.request(NodeId(1 + u64::from(number) % MEMBERS), Request::Broadcast(number));
    }
    cluster.advance(Duration::from_secs(2));
    let mut delivered: Vec<(NodeId, u32)> =
        cluster.take_events().into_iter().map(|(node, told)| (node, told.payload)).collect();
    delivered.sort_unstable();
    let expected: Vec<(NodeId, u32)> =
        (1..=MEMBERS).flat_map(|node| (0..BROADCASTS).map(move |number| (NodeId(node), number))).collect();
    assert_eq!(delivered, expected);
    // Everything is acknowledged by now, and nothing more is said.
    let sent = cluster.messages();
    cluster.advance(Duration::from_secs(2));
    assert_eq!(cluster.messages(), sent);
}

#[test]
fn without_losses_each_message_is_sent_once_and_acknowledged_once() {
    let mut cluster = cluster(1);
    cluster.request(NodeId(1), Request::Broadcast(5));
    cluster.advance(Duration::from_secs(1));
    assert_eq!(cluster.messages(), 2 * (MEMBERS - 1));
}

#[test]
fn a_lost_acknowledgement_causes_no_second_delivery() {
    let mut cluster = cluster(1);
    let mut lost = 0;
    cluster.lose_if(move |_, _, message| {
        lost += u32::from(matches!(message, Message::Acknowledged { .. }));
        matches!(message, Message::Acknowledged { .. }) && lost <= 9
    });
    cluster.request(NodeId(1), Request::Broadcast(5));
    cluster.advance(Duration::from_secs(1));
    assert_eq!(cluster.events().len() as u64, MEMBERS);
    // Four times three messages, three times in vain.
    assert_eq!(cluster.messages(), 4 * 2 * (MEMBERS - 1));
}

#[test]
fn far_more_than_a_window_arrives_although_the_first_is_late() {
    let mut cluster = cluster(1);
    let mut lost = 0;
    // The first message to each is lost three times over; thousands are on their way by then.
    cluster.lose_if(move |_, _, message| {
        let first = matches!(message, Message::Data { number: 0, .. }) && lost < 9;
        lost += u32::from(first);
        first
    });
    for number in 0..3_000 {
        cluster.request(NodeId(1), Request::Broadcast(number));
    }
    cluster.advance(Duration::from_secs(1));
    assert_eq!(cluster.events().len() as u64, 3_000 * MEMBERS);
}
