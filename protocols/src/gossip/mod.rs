//! Epidemics: Demers et al., "Epidemic Algorithms for Replicated Database Maintenance" (PODC 1987; "the paper").
//!
//! A small map is replicated at every site. A site that learns something new tells others at random, until nobody seems to
//! need it any more (*rumor mongering*, section 1.4): quick and cheap, and a few may never hear. Now and then each
//! site compares all it has with a site at random (*anti-entropy*, 1.3): slower, and nobody is left out. A deleted item
//! leaves a *death certificate* (section 2), since the copies that others still hold would bring it back.
//!
//! # Promises
//!
//! Of two versions of an item the one with the greater timestamp stays, everywhere, whatever is lost, repeated or reordered.
//!
//! * With anti-entropy, all sites that keep running and can reach each other come to hold the same, with probability 1,
//!   however many messages were lost before.
//! * With rumor mongering alone each update misses a few sites: about e^(-m) of them where m messages a site are
//!   spent on it (1.4), and more where messages are lost.
//! * A deleted item stays deleted if no site is cut off for longer than the certificate is active (its *threshold*); or
//!   for longer, up to the dormant threshold, while one of its *keepers* lives.
//!
//! Clocks: timestamps are wall clocks, as in the paper. A clock that is ahead wins over what is written later elsewhere;
//! nothing else depends on them but when certificates expire.
//!
//! Crashes: a site's items are durable. What it was spreading is not: after a restart it waits to be asked, or for
//! anti-entropy.
//!
//! # What is in
//!
//! Push, pull, and both; feedback or blind; counter or coin; anti-entropy over a Merkle tree (the paper compares
//! checksums, and lists of recent updates); redistribution of what anti-entropy finds (1.5); death certificates that lie
//! dormant and awaken.
//!
//! # What is not
//!
//! Direct mail (1.2): ask every site's `Gossip` yourself if you want it; it changes nothing here. Connection limits and
//! hunting (1.4), spatial distributions (section 3), and membership that changes.

mod anti_entropy;
mod codec;
mod database;
mod item;
mod record;
mod rumor;
mod site;
mod types;

pub use item::{Content, Item, Key, Timestamp};
pub use record::Record;
pub use site::{Gossip, Timer};
pub use types::{
    AntiEntropy, Config, Death, Direction, Event, Flow, Interest, Message, Request, RumorMongering,
};

/// The most rumors or items in one message, and the most ranges or keys that are compared in one.
pub const BATCH: usize = 64;
