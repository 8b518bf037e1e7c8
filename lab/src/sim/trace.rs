//! What happened, as a hash that two runs of one seed must share, and as lines that people read.

use super::config::{Nanoseconds, SECOND};
use super::random::mix;
use quipu_base::NodeId;
use std::collections::VecDeque;
use std::fmt::{self, Write};

/// What a trace keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TraceLevel {
    /// A hash of what happened when and where, not of the contents of messages. Costs next to nothing.
    Hash,
    /// A hash that covers the printed form of every message, record and event too.
    Deep,
    /// The deep hash, and the last so many events as lines.
    Lines(usize),
    /// The deep hash, and every event printed to the standard error as it happens.
    Print,
}

/// One kind of thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say it")]
pub enum What {
    Start,
    Crash,
    Remove,
    Pause,
    Resume,
    Message,
    Request,
    Timer,
    Synced,
    Fetched,
    Send,
    Lose,
    Emit,
    Persist,
    SetTimer,
    CancelTimer,
    Fetch,
    Fault,
    Alarm,
    Note,
}

/// The running hash of everything that happened, and the lines that were asked for.
pub struct Trace {
    level: TraceLevel,
    hash: u64,
    events: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(level: TraceLevel) -> Self {
        Trace { level, hash: 0, events: 0, lines: VecDeque::new() }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events were traced.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The lines kept, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Traces one event; `number` is whatever tells it apart (a peer, an index, a length).
    pub(crate) fn add(
        &mut self,
        at: Nanoseconds,
        node: NodeId,
        what: What,
        number: u64,
        detail: &dyn Fn(&mut dyn Write) -> fmt::Result,
    ) {
        self.events += 1;
        self.fold(at);
        self.fold(node.0 << 8 | what as u64);
        self.fold(number);
        if self.level == TraceLevel::Hash {
            return;
        }
        let mut hasher = HashText { state: 0xcbf2_9ce4_8422_2325 };
        detail(&mut hasher).expect("hashing text does not fail");
        self.fold(hasher.state);
        let line = || {
            let mut line = String::new();
            let (seconds, rest) = (at / SECOND, at % SECOND);
            write!(line, "{seconds:>4}.{rest:09} {:<4} {what:?} ", node.to_string())?;
            detail(&mut line)?;
            Ok::<String, fmt::Error>(line)
        };
        match self.level {
            TraceLevel::Hash | TraceLevel::Deep => {}
            TraceLevel::Print => eprintln!("{}", line().expect("writing to a string does not fail")),
            TraceLevel::Lines(limit) => {
                if self.lines.len() >= limit {
                    self.lines.pop_front();
                }
                self.lines.push_back(line().expect("writing to a string does not fail"));
            }
        }
    }

    fn fold(&mut self, value: u64) {
        self.hash = mix(self.hash.rotate_left(5) ^ value);
    }
}

/// Hashes what is written to it, FNV-1a, without keeping it.
struct HashText {
    state: u64,
}

impl Write for HashText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.state = (self.state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traced(level: TraceLevel, text: &str, at: u64) -> Trace {
        let mut trace = Trace::new(level);
        trace.add(at, NodeId(1), What::Note, 0, &|out| out.write_str("first"));
        trace.add(at + 1, NodeId(2), What::Send, 3, &|out| out.write_str(text));
        trace
    }

    #[test]
    fn the_hash_tells_runs_apart() {
        let hash = |level, text, at| traced(level, text, at).hash();
        assert_eq!(hash(TraceLevel::Hash, "a", 5), hash(TraceLevel::Hash, "b", 5));
        assert_ne!(hash(TraceLevel::Hash, "a", 5), hash(TraceLevel::Hash, "a", 6));
        assert_ne!(hash(TraceLevel::Deep, "a", 5), hash(TraceLevel::Deep, "b", 5));
        assert_eq!(hash(TraceLevel::Deep, "a", 5), hash(TraceLevel::Lines(9), "a", 5));
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let trace = traced(TraceLevel::Lines(1), "vote", 2 * SECOND);
        let lines: Vec<&str> = trace.lines().collect();
        assert_eq!(lines, ["   2.000000001 n2   Send vote"]);
        assert_eq!(trace.events(), 2);
    }
}
