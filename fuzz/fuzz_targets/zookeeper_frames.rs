//! A connection's received bytes, split into frames however they arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../wires/tests/common/properties.rs"]
#[allow(dead_code, reason = "each target runs one property")]
mod properties;

fuzz_target!(|stream: &[u8]| {
    properties::frames(stream);
});
