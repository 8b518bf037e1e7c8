//! The bytes of clocks, which other formats contain.

use super::for_seeds;
use bytes::Bytes;
use quipu_base::NodeId;
use quipu_base::clocks::{Dot, DottedVersions, HybridTime, VectorClock};
use quipu_base::codec::Codec;

fn versions() -> DottedVersions<u8> {
    let mut versions = DottedVersions::new();
    versions.write(&VectorClock::new(), NodeId(1), 7);
    versions.write(&versions.context(), NodeId(1), 8);
    versions.write(&VectorClock::new(), NodeId(1), 9);
    versions.write(&VectorClock::new(), NodeId(258), 10);
    versions
}

#[test]
fn the_bytes_stay_what_they_are() {
    let expected: &[u8] = &[
        2, 0, 0, 0, // servers
        1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, // n1 has written three times
        2, 0, 0, 0, 8, 9, // of which two count
        2, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, // n258 once
        1, 0, 0, 0, 10, // which counts
    ];
    assert_eq!(versions().to_bytes(), expected);
    let context: Vec<u8> = [&expected[..20], &expected[26..42]].concat();
    assert_eq!(versions().context().to_bytes(), context);
    assert_eq!(HybridTime::of(0x0102_0304_0506, 0x0708).to_bytes(), [8, 7, 6, 5, 4, 3, 2, 1].as_slice());
}

#[test]
fn values_come_back() {
    let versions = versions();
    assert_eq!(DottedVersions::from_bytes(versions.to_bytes()), Ok(versions.clone()));
    assert_eq!(VectorClock::from_bytes(versions.context().to_bytes()), Ok(versions.context()));
}

#[test]
fn nonsense_is_refused() {
    let two = |one: u64, next: u64| {
        let dots = [one, next].map(|node| Dot { node: NodeId(node), counter: 1 });
        VectorClock::from_bytes(dots.to_vec().to_bytes())
    };
    assert!(two(1, 2).is_ok());
    assert!(two(2, 1).is_err() && two(1, 1).is_err());
    for counter in [0, 1 << 62, u64::MAX] {
        let dot = Dot { node: NodeId(1), counter };
        assert!(VectorClock::from_bytes(vec![dot].to_bytes()).is_err(), "{counter}");
    }
    assert!(HybridTime::from_bytes(HybridTime::of(1 << 47, 0).to_bytes()).is_ok());
    assert!(HybridTime::from_bytes(HybridTime::from_u64(u64::MAX).to_bytes()).is_err());
    let mut more_values_than_writes = versions().to_bytes().to_vec();
    more_values_than_writes[12] = 1;
    assert!(DottedVersions::<u8>::from_bytes(more_values_than_writes.into()).is_err());
}

#[test]
fn any_bytes_are_refused_or_canonical() {
    let good = versions().to_bytes();
    for_seeds(5_000, |random| {
        let mut bytes = good.to_vec();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..12);
        }
        bytes.truncate(random.usize(..=bytes.len()));
        let bytes = Bytes::from(bytes);
        if let Ok(versions) = DottedVersions::<u8>::from_bytes(bytes.clone()) {
            assert_eq!(versions.to_bytes(), bytes);
            assert!(versions.versions().all(|(dot, _)| versions.context().contains(dot)));
        }
    });
}
