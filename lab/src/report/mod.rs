//! One execution as a picture: `report.html`, a single file that needs no network, and the same story as text.
//!
//! [`data`] is what whoever searches hands over, [`html`] and [`text`] are what comes out. The picture is a space-time
//! diagram (Lamport 1978): nodes are columns, time runs downward. A round is a band of words, where each thing that
//! happened to a node has a line of its own; between two bands messages fly. So no line crosses a word, however
//! busy a round is, and a quiet round takes little room.
//!
//! [`crate::ldfi::picture`] draws the same diagram of one run as one SVG without scripts, for a page of text.
//!
//! Left out: runs without rounds. Continuous time would need another layout; the simulator's traces are text.

pub mod data;
mod page;
pub(crate) mod picture;
mod story;
#[cfg(test)]
mod tests;
mod words;

pub use data::Report;
pub use page::html;
pub use story::text;
