//! Hybrid logical clocks (Kulkarni, Demirbas, Madappa, Avva, Leone: "Logical Physical Clocks and Consistent Snapshots in
//! Globally Distributed Databases", OPODIS 2014): a Lamport clock that stays close to the wall clock.

use crate::WallTime;
use crate::codec::{Codec, Malformed};
use bytes::{Bytes, BytesMut};
use core::fmt;
use core::time::Duration;

/// A point in hybrid time: `l`, the latest wall clock that anybody who matters had seen, and `c`, which orders events
/// that share it. Section 6.2's compact form: 48 bits of milliseconds above 16 bits of counter, so that comparing
/// timestamps is comparing numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HybridTime(u64);

const COUNTER_BITS: u32 = 16;
/// The year 6429. No wall clock is believed beyond it, so that no timestamp overflows.
const LAST_MILLISECOND: u64 = 1 << 47;
/// Two thousand years, for the same reason.
const GREATEST_TOLERANCE_MS: u64 = 1 << 46;
/// No clock gets this far; what claims so is malformed.
const UNREACHABLE_MS: u64 = LAST_MILLISECOND + 2 * GREATEST_TOLERANCE_MS - 1;

impl HybridTime {
    /// Before everything.
    pub const ZERO: HybridTime = HybridTime(0);

    /// The timestamp of these parts.
    ///
    /// # Panics
    /// If `milliseconds` needs more than 48 bits.
    pub const fn of(milliseconds: u64, counter: u16) -> Self {
        assert!(milliseconds >> (u64::BITS - COUNTER_BITS) == 0, "hybrid time has 48 bits of milliseconds");
        HybridTime(milliseconds << COUNTER_BITS | counter as u64)
    }

    /// The paper's `l`, in milliseconds since the Unix epoch.
    pub const fn milliseconds(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The paper's `c`.
    pub const fn counter(self) -> u16 {
        self.0 as u16
    }

    /// As one number, in the same order.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The inverse of [`HybridTime::to_u64`].
    pub const fn from_u64(number: u64) -> Self {
        HybridTime(number)
    }
}

/// A node's hybrid clock.
///
/// If one event happened before another its timestamp is less (Theorem 1). No timestamp is further ahead of the wall clock
/// than wall clocks are apart (Corollary 1), nor than this clock's tolerance: a message from further ahead is refused, so one
/// bad clock cannot drag all others along.
///
/// ```
/// use quipu_base::{WallTime, clocks::HybridClock};
/// use std::time::Duration;
/// let mut fast = HybridClock::new(Duration::from_millis(500));
/// let mut slow = HybridClock::new(Duration::from_millis(500));
/// let sent = fast.now(WallTime(1_300));
/// let received = slow.receive(WallTime(1_000), sent).unwrap();
/// assert_eq!((received.milliseconds(), received.counter()), (1_300, 1));
/// assert!(slow.receive(WallTime(700), sent).is_err(), "600 ms ahead are too many");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HybridClock {
    last: HybridTime,
    tolerance_ms: u64,
}

/// A message is from further ahead of this node's wall clock than is tolerated. One of the two clocks is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooFarAhead {
    /// By how much it is ahead.
    pub ahead: Duration,
}

impl fmt::Display for TooFarAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a timestamp {:?} ahead of this node's clock", self.ahead)
    }
}

impl core::error::Error for TooFarAhead {}

impl HybridClock {
    /// A clock that refuses messages from further ahead of its wall clock than `tolerance` (section 6.1: well above what
    /// the wall clocks are apart, or sound messages are refused).
    pub fn new(tolerance: Duration) -> Self {
        HybridClock::resume(HybridTime::ZERO, tolerance)
    }

    /// A clock that goes on after `last`, whatever the wall clock says: for a node that restarts and had made something at
    /// or after its last timestamp durable.
    pub fn resume(last: HybridTime, tolerance: Duration) -> Self {
        let tolerance_ms = u64::try_from(tolerance.as_millis()).unwrap_or(u64::MAX);
        HybridClock { last, tolerance_ms: tolerance_ms.min(GREATEST_TOLERANCE_MS) }
    }

    /// The last timestamp given.
    pub fn last(&self) -> HybridTime {
        self.last
    }

    /// The timestamp of a local event or a send (Fig. 5): the wall clock if it has moved on, else one more than the last.
    ///
    /// On numbers that is a maximum, and a counter that is full carries into the milliseconds: 65,536 events in a row
    /// during which the wall clock did not catch up move the timestamp one millisecond ahead of what the paper's would be.
    pub fn now(&mut self, wall: WallTime) -> HybridTime {
        let next = self.last.0.checked_add(1).expect("no clock gets this far");
        self.last = HybridTime(next).max(at(wall));
        self.last
    }

    /// The timestamp of the receipt of a message that carries `sent` (Fig. 5): above both.
    ///
    /// # Errors
    /// If the message is too far ahead. The clock has not moved then, and the message must not be acted on.
    pub fn receive(&mut self, wall: WallTime, sent: HybridTime) -> Result<HybridTime, TooFarAhead> {
        let ahead = sent.milliseconds().saturating_sub(at(wall).milliseconds());
        if ahead > self.tolerance_ms {
            return Err(TooFarAhead { ahead: Duration::from_millis(ahead) });
        }
        self.last = self.last.max(sent);
        Ok(self.now(wall))
    }
}

/// A wall clock as a timestamp; one that is out of bounds is at the bound.
fn at(wall: WallTime) -> HybridTime {
    HybridTime::of(u64::try_from(wall.0).unwrap_or(0).min(LAST_MILLISECOND), 0)
}

impl fmt::Debug for HybridTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.milliseconds(), self.counter())
    }
}

impl Codec for HybridTime {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let time = HybridTime(u64::decode(input)?);
        if time.milliseconds() >= UNREACHABLE_MS {
            Err(Malformed("no clock gets this far"))
        } else {
            Ok(time)
        }
    }
}
