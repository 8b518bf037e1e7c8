//! What one node's coordination service reads from another: any bytes are a message or an error, and a message's own
//! bytes are read back as the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use quipu_base::codec::Codec;
use quipu_services::coordination::Message;

fuzz_target!(|input: &[u8]| {
    if let Ok(message) = Message::from_bytes(Bytes::copy_from_slice(input)) {
        let bytes = message.to_bytes();
        let again = Message::from_bytes(bytes.clone()).expect("what we wrote can be read");
        assert_eq!(again.to_bytes(), bytes);
    }
});
