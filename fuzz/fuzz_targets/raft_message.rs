//! What a peer sends to a replica and what a disk gives back to it: the first byte picks which.
#![no_main]

use bytes::Bytes;
use core::fmt::Debug;
use libfuzzer_sys::fuzz_target;
use quipu_base::codec::Codec;
use quipu_protocols::raft::{GroupRecord, GroupsMessage, Message, Record};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 4 {
        0 => one_form::<Message>(bytes),
        1 => one_form::<GroupsMessage>(bytes),
        2 => one_form::<Record>(bytes),
        _ => one_form::<GroupRecord>(bytes),
    }
});

/// What is understood is written again as it was.
fn one_form<T: Codec + Debug>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(Bytes::copy_from_slice(bytes)) {
        assert_eq!(value.to_bytes(), bytes, "{value:?}");
    }
}
