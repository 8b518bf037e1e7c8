//! The membership list: what one member believes of every other.

use alloc::sync::Arc;
use alloc::vec::Vec;
use quipu_base::{NodeId, Rng};

/// What is believed of a member. Later ones are worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// It answers.
    Alive,
    /// It did not answer somebody. It is treated as alive, and may still say that it is.
    Suspect,
    /// It did not answer, and did not say that it is alive either.
    Dead,
    /// It said that it goes.
    Left,
}

impl State {
    /// Whether the member takes part: suspects do.
    pub fn is_active(self) -> bool {
        matches!(self, State::Alive | State::Suspect)
    }
}

/// The incarnation in which a member is believed to be in a state; section 4.2 of the paper.
///
/// Of two beliefs the greater is right: that of the later incarnation, and within one incarnation the worse. Only the member
/// itself begins a new one, to deny what is said of it. So beliefs can be merged in any order, and twice. The paper
/// lets death win over any incarnation, so that who was buried alive has to come back under another name; here
/// it comes back in its next incarnation.
///
/// Four bytes, since everybody has one of everybody: the incarnation, and the state in the last two bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Belief(u32);

impl Belief {
    /// The last incarnation: one more is not counted.
    pub const LAST_INCARNATION: u32 = u32::MAX >> 2;

    /// A belief of this incarnation, which is cut to [`Belief::LAST_INCARNATION`].
    pub fn new(incarnation: u32, state: State) -> Belief {
        Belief(incarnation.min(Belief::LAST_INCARNATION) << 2 | state as u32)
    }

    /// How often the member had begun anew.
    pub fn incarnation(self) -> u32 {
        self.0 >> 2
    }

    /// Its state.
    pub fn state(self) -> State {
        match self.0 & 3 {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Dead,
            _ => State::Left,
        }
    }
}

impl core::fmt::Debug for Belief {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} {}", self.state(), self.incarnation())
    }
}

/// Everybody that one member knows, itself too, in the order of their numbers.
pub(super) struct Members {
    /// Shared with whoever began with the same roster, until one of them meets somebody new: in a simulation of
    /// ten thousand members this is most of their memory.
    numbers: Arc<Vec<NodeId>>,
    beliefs: Vec<Belief>,
    active: usize,
    most: usize,
}

impl Members {
    /// At first, everybody on the roster is believed to live.
    pub(super) fn new(me: NodeId, mut roster: Arc<Vec<NodeId>>, most: usize) -> Members {
        if !roster.is_sorted_by(|one, other| one < other) || roster.binary_search(&me).is_err() {
            let numbers = Arc::make_mut(&mut roster);
            numbers.push(me);
            numbers.sort_unstable();
            numbers.dedup();
        }
        let known = roster.len();
        let beliefs = alloc::vec![Belief::new(0, State::Alive); known];
        Members { numbers: roster, beliefs, active: known, most: most.max(known) }
    }

    /// How many are active, this member among them.
    pub(super) fn active(&self) -> usize {
        self.active
    }

    pub(super) fn belief(&self, member: NodeId) -> Option<Belief> {
        self.numbers.binary_search(&member).ok().map(|place| self.beliefs[place])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, Belief)> + '_ {
        self.numbers.iter().copied().zip(self.beliefs.iter().copied())
    }

    /// Believes this from now on. False if there is no room for one more.
    pub(super) fn set(&mut self, member: NodeId, belief: Belief) -> bool {
        let place = match self.numbers.binary_search(&member) {
            Ok(place) => place,
            Err(_) if self.numbers.len() >= self.most && !self.forget_one() => return false,
            Err(_) => {
                let numbers = Arc::make_mut(&mut self.numbers);
                let place = numbers.partition_point(|number| *number < member);
                numbers.insert(place, member);
                // It counts as gone until it is believed to be anything else.
                self.beliefs.insert(place, Belief::new(0, State::Left));
                place
            }
        };
        let before = core::mem::replace(&mut self.beliefs[place], belief);
        self.active += usize::from(belief.state().is_active());
        self.active -= usize::from(before.state().is_active());
        true
    }

    /// Makes room: whoever is gone may be forgotten. Whether anybody is.
    fn forget_one(&mut self) -> bool {
        let Some(gone) = self.beliefs.iter().position(|belief| !belief.state().is_active()) else {
            return false;
        };
        Arc::make_mut(&mut self.numbers).remove(gone);
        self.beliefs.remove(gone);
        true
    }

    /// One of those that `wanted` accepts, each as likely as the others; `None` if it accepts nobody.
    pub(super) fn pick(&self, random: &mut Rng, wanted: impl Fn(NodeId, Belief) -> bool) -> Option<NodeId> {
        let fits = |place: usize| wanted(self.numbers[place], self.beliefs[place]);
        // Most are wanted, most of the time.
        for _ in 0..16 {
            let place = random.usize(0..self.numbers.len());
            if fits(place) {
                return Some(self.numbers[place]);
            }
        }
        let fitting: Vec<usize> = (0..self.numbers.len()).filter(|place| fits(*place)).collect();
        let drawn = (!fitting.is_empty()).then(|| fitting[random.usize(0..fitting.len())]);
        drawn.map(|place| self.numbers[place])
    }
}
