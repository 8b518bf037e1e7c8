//! The anomaly that dotted version vectors are for: two clients write one key through one server, neither having seen the
//! other's write. Both values must stay, and no more than both.

use quipu_base::NodeId;
use quipu_base::clocks::{DottedVersions, VectorClock};

const SERVER: NodeId = NodeId(1);

/// A key's siblings under plain version vectors: each value with the writes that its own includes.
#[derive(Default)]
struct PlainVersions {
    values: Vec<(VectorClock, &'static str)>,
}

impl PlainVersions {
    fn context(&self) -> VectorClock {
        let mut context = VectorClock::new();
        self.values.iter().for_each(|(clock, _)| context.join(clock));
        context
    }

    /// A write with `clock` replaces what is before it, and is ignored if it is before or equal to what is there.
    fn put(&mut self, clock: VectorClock, value: &'static str) {
        if self.values.iter().any(|(known, _)| clock <= *known) {
            return;
        }
        self.values.retain(|(known, _)| known.partial_cmp(&clock).is_none());
        self.values.push((clock, value));
    }

    fn values(&self) -> Vec<&'static str> {
        self.values.iter().map(|(_, value)| *value).collect()
    }
}

#[test]
fn with_a_number_per_server_the_second_write_is_lost() {
    // The server counts on from what the client has seen: both writes get the same vector.
    let mut plain = PlainVersions::default();
    for value in ["peter", "paul"] {
        let mut clock = VectorClock::new();
        clock.tick(SERVER);
        plain.put(clock, value);
    }
    assert_eq!(plain.values(), ["peter"]);
}

#[test]
fn with_a_number_per_server_the_first_write_is_falsely_replaced() {
    // The server counts on from what it has itself: the second write seems to have seen the first.
    let mut plain = PlainVersions::default();
    for value in ["peter", "paul"] {
        let mut clock = plain.context();
        clock.tick(SERVER);
        plain.put(clock, value);
    }
    assert_eq!(plain.values(), ["paul"]);
}

#[test]
fn with_a_number_per_client_vectors_grow_with_the_clients() {
    let (mut plain, mut dotted) = (PlainVersions::default(), DottedVersions::new());
    for client in 100..200 {
        let mut clock = plain.context();
        clock.tick(NodeId(client));
        plain.put(clock, "value");
        let context = dotted.context();
        dotted.write(&context, SERVER, "value");
    }
    assert_eq!(plain.context().len(), 100);
    assert_eq!(dotted.context().len(), 1);
}

#[test]
fn with_dots_exactly_the_two_siblings_stay() {
    let mut dotted = DottedVersions::new();
    let nothing_seen = dotted.context();
    dotted.write(&nothing_seen, SERVER, "peter");
    dotted.write(&nothing_seen, SERVER, "paul");
    assert_eq!(dotted.values().collect::<Vec<_>>(), [&"peter", &"paul"]);
}

/// Two clients in turn: each reads, the other writes, it writes. A store that would rather keep false siblings than lose
/// writes, and has one vector for all values of a key, can replace nothing: no client has seen all of it.
#[test]
fn clients_that_take_turns_do_not_pile_up_siblings() {
    let mut piled: (VectorClock, Vec<usize>) = Default::default();
    let mut dotted = DottedVersions::new();
    let mut read = [(VectorClock::new(), VectorClock::new()), Default::default()];
    for turn in 0..100 {
        let (of_piled, of_dotted) = &mut read[turn % 2];
        if piled.0 <= *of_piled {
            piled.1.clear();
        }
        piled.0.tick(SERVER);
        piled.1.push(turn);
        dotted.write(of_dotted, SERVER, turn);
        (*of_piled, *of_dotted) = (piled.0.clone(), dotted.context());
        assert!(dotted.values().copied().eq(turn.saturating_sub(1)..=turn));
    }
    assert_eq!(piled.1.len(), 100);
}
