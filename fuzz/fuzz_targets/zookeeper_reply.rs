//! A server's reply; the first byte picks the operation that it answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../wires/tests/common/properties.rs"]
#[allow(dead_code, reason = "each target runs one property")]
mod properties;

fuzz_target!(|bytes: &[u8]| {
    if let Some((operation, frame)) = bytes.split_first() {
        let all = quipu_wires::zookeeper::op::ALL;
        properties::reply(all[*operation as usize % all.len()], frame);
    }
});
