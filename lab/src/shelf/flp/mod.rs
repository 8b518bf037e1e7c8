//! No deterministic consensus survives one faulty process: the proof as a scheduler (Fischer, Lynch and Paterson: Impossibility
//! of Distributed Consensus with One Faulty Process, JACM 1985).
//!
//! The paper shows that some schedule keeps a deterministic protocol undecided for ever, although every message is delivered and
//! nobody crashes. [`Adversary`] finds that schedule, for any protocol that can be copied, by doing what the proof does: a configuration from which
//! both decisions can still be reached is *bivalent*; there is a bivalent one to begin with (lemma 2), and whatever message
//! is due, there are deliveries after which it too can be delivered and the configuration is bivalent still (lemma 3).
//!
//! What frees a protocol is what the proof does not have: messages that come in order, which is what a timeout bets on
//! ([`Configuration::in_order`]), or a coin that no scheduler can foresee. [`Mixing`] is a scheduler that sees everything, coins
//! that have fallen too, and keeps Ben-Or's nodes in doubt as long as they differ; each round all coins fall alike with a
//! probability that it cannot touch.

mod adversary;
mod configuration;
mod mixing;
pub mod picture;

pub use adversary::{Adversary, Stage};
pub use configuration::{Configuration, Consensus, Letter};
pub use mixing::Mixing;
