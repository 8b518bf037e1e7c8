//! CRDTs: every type converges whatever is merged with what, in which order and how often; and means what it says.

mod convergence;
mod meaning;
mod replica;

use quipu_base::{NodeId, Rng};
use quipu_protocols::crdt::Join;
use std::fmt::Debug;

/// Three replicas of `C`, and all states that they have ever sent.
struct World<C> {
    replicas: Vec<C>,
    sent: Vec<C>,
}

/// What happened, for models beside a world.
enum Happened {
    /// This replica changes.
    Change(usize),
    /// This replica sends its state, for anybody and any time.
    Send(usize),
    /// This replica joins what was sent as the so-manyth: again perhaps, and after what was sent later.
    Receive(usize, usize),
}

impl<C: Join + Clone + Default> World<C> {
    const REPLICAS: usize = 3;

    fn new() -> Self {
        World { replicas: vec![C::default(); Self::REPLICAS], sent: Vec::new() }
    }

    fn act(&mut self, random: &mut Rng, change: impl FnOnce(&mut C, NodeId, &mut Rng)) -> Happened {
        let replica = random.usize(..Self::REPLICAS);
        match random.u32(..4) {
            0 | 1 => {
                change(&mut self.replicas[replica], NodeId(replica as u64), random);
                Happened::Change(replica)
            }
            2 if !self.sent.is_empty() => {
                let letter = random.usize(..self.sent.len());
                self.replicas[replica].join(&self.sent[letter]);
                Happened::Receive(replica, letter)
            }
            _ => {
                self.sent.push(self.replicas[replica].clone());
                Happened::Send(replica)
            }
        }
    }
}

fn joined<C: Join + Clone>(one: &C, other: &C) -> C {
    let mut joined = one.clone();
    joined.join(other);
    joined
}

/// The laws of a lattice, on states that replicas can have; and that all replicas end equal, whatever the order.
fn is_a_lattice<C: Join + Clone + Default + PartialEq + Debug>(change: impl Fn(&mut C, NodeId, &mut Rng)) {
    for seed in 0..300 {
        let random = &mut Rng::with_seed(seed);
        let mut world = World::<C>::new();
        for _ in 0..random.usize(1..40) {
            world.act(random, &change);
        }
        let mut states = [world.replicas, world.sent].concat();
        let [a, b, c] = [(); 3].map(|()| states[random.usize(..states.len())].clone());
        assert_eq!(joined(&a, &a), a, "idempotent (seed {seed})");
        assert_eq!(joined(&a, &b), joined(&b, &a), "commutative (seed {seed})");
        assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)), "associative (seed {seed})");
        assert_eq!(joined(&joined(&a, &b), &a), joined(&a, &b), "an upper bound (seed {seed})");
        let all = states.iter().fold(C::default(), |all, state| joined(&all, state));
        random.shuffle(&mut states);
        // In any grouping: two states become one until one is left.
        while states.len() > 1 {
            let (one, other) =
                (states.swap_remove(random.usize(..states.len())), random.usize(..states.len()));
            states[other].join(&one);
        }
        assert_eq!(states[0], all, "any order, any grouping, anything twice (seed {seed})");
    }
}
