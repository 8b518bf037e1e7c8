//! The first frame of a client or a server.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../wires/tests/common/properties.rs"]
#[allow(dead_code, reason = "each target runs one property")]
mod properties;

fuzz_target!(|frame: &[u8]| {
    properties::connect(frame);
});
