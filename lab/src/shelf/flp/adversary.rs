//! The scheduler of the proof.

use super::configuration::{Configuration, Consensus};
use quipu_base::Rng;
use std::collections::VecDeque;

/// How many random schedules are tried before a decision counts as out of reach. Reaching one proves that it can be reached; not
/// reaching it proves nothing, and makes the adversary look elsewhere.
const TRIES: u32 = 200;
/// How many deliveries a schedule may take to decide.
const PATIENCE: u32 = 60;
/// How many configurations are looked at before a stage is given up.
const LOOK_AT: usize = 20_000;

/// Keeps a deterministic consensus undecided. It starts no message's delivery late for ever: at every stage the message that has been
/// under way longest is delivered.
pub struct Adversary<P: Consensus> {
    /// Where it has brought the protocol.
    pub configuration: Configuration<P>,
    /// The most deliveries that any message has waited for.
    pub longest_wait: u64,
    /// Every message that was delivered, by its number, in order.
    pub schedule: Vec<u64>,
    random: Rng,
}

/// What came of a stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The oldest message is delivered, and both decisions can still be reached.
    Open,
    /// No way was found to deliver it that leaves both in reach.
    Stuck,
}

impl<P: Consensus> Adversary<P> {
    /// An adversary that begins here.
    pub fn new(configuration: Configuration<P>) -> Self {
        let random = Rng::with_seed(1);
        Adversary { configuration, longest_wait: 0, schedule: Vec::new(), random }
    }

    /// Whether both decisions can be reached from where it is.
    pub fn is_bivalent(&mut self) -> bool {
        bivalent(&self.configuration, &mut self.random)
    }

    /// Lemma 3: delivers the oldest message, after as few others as possible, so that both decisions stay in reach.
    pub fn stage(&mut self) -> Stage {
        let Some(due) = self.configuration.buffer.first().map(|letter| letter.number) else {
            return Stage::Stuck;
        };
        let mut waiting = VecDeque::from([(self.configuration.clone(), Vec::new())]);
        let mut looked_at = 0;
        while let Some((before, schedule)) = waiting.pop_front() {
            let mut after = before.clone();
            after.deliver(place(&before, due));
            if bivalent(&after, &mut self.random) {
                self.go(schedule.into_iter().chain([due]));
                return Stage::Open;
            }
            for letter in before.buffer.iter().filter(|letter| letter.number != due) {
                looked_at += 1;
                if looked_at > LOOK_AT {
                    return Stage::Stuck;
                }
                let mut next = before.clone();
                next.deliver(place(&before, letter.number));
                let schedule = schedule.iter().copied().chain([letter.number]).collect();
                waiting.push_back((next, schedule));
            }
        }
        Stage::Stuck
    }

    /// Stages until so many messages have been delivered; whether nothing is decided yet.
    pub fn keep_undecided(&mut self, deliveries: u64) -> bool {
        while self.configuration.deliveries < deliveries {
            if self.stage() == Stage::Stuck {
                return false;
            }
        }
        assert!(self.configuration.decided.is_empty(), "what is bivalent is not decided");
        true
    }

    fn go(&mut self, schedule: impl IntoIterator<Item = u64>) {
        for number in schedule {
            let place = place(&self.configuration, number);
            let waited = self.configuration.deliveries - self.configuration.buffer[place].sent;
            self.longest_wait = self.longest_wait.max(waited);
            self.configuration.deliver(place);
            self.schedule.push(number);
        }
    }
}

fn place<P: Consensus>(configuration: &Configuration<P>, number: u64) -> usize {
    let found = configuration.buffer.iter().position(|letter| letter.number == number);
    found.expect("what is scheduled is under way")
}

/// Whether both decisions can be reached: each by a schedule that was found.
fn bivalent<P: Consensus>(from: &Configuration<P>, random: &mut Rng) -> bool {
    let mut reached = [false, false];
    for _ in 0..TRIES {
        if let Some(decision) = decision(from.clone(), random) {
            reached[usize::from(decision)] = true;
        }
        if reached == [true, true] {
            return true;
        }
    }
    false
}

/// What a random schedule decides, if it does soon. Who is fast and who is slow changes seldom, as it does in the world:
/// what everybody hears from everybody in any order mostly comes to the same.
fn decision<P: Consensus>(mut from: Configuration<P>, random: &mut Rng) -> Option<bool> {
    let mut slow = random.choice(from.nodes.keys().copied().collect::<Vec<_>>());
    for _ in 0..PATIENCE {
        if let Some((value, _)) = from.decided.values().next() {
            return Some(*value);
        }
        if random.u8(0..8) == 0 {
            slow = random.choice(from.nodes.keys().copied().collect::<Vec<_>>());
        }
        let fast: Vec<usize> = (0..from.buffer.len())
            .filter(|place| Some(from.buffer[*place].from) != slow && Some(from.buffer[*place].to) != slow)
            .collect();
        let place = random.choice(fast).or_else(|| random.choice(0..from.buffer.len()))?;
        from.deliver(place);
    }
    from.decided.values().next().map(|(value, _)| *value)
}
