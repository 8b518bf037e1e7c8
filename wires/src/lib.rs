//! Bytes to requests and back, one folder a client protocol.
//!
//! Nothing here knows a socket, a clock or a service: a decoder takes a received frame, an encoder appends to a
//! connection's output buffer. Bulk is cut out of the frame, never copied, so whoever keeps such bytes for long
//! copies them first: a slice keeps its whole receive buffer alive.
//!
//! Whatever a peer sends is answered with a value or an error, never with a panic, and no count or length it
//! claims reserves more memory than it has sent.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod zookeeper;
