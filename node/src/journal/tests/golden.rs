//! The disk format, version 1, as a fixture: journals written today must be read for ever.

use super::image::{Image, files, name};
use super::{Files, Journal, SMALL, contents, place, scratch};
use crate::journal::format::Kind::{Copied, Placed};
use std::path::{Path, PathBuf};

#[test]
fn version_1_is_still_read() {
    let directory = scratch();
    Files::read(&golden()).write(directory.path());
    let (_, recovered) = Journal::open(directory.path(), SMALL).unwrap();
    assert!(!recovered.damaged && recovered.findings.is_empty(), "{:?}", recovered.findings);
    let expected = [
        (place(1, 0, 1), b"one, overwritten".to_vec()),
        (place(1, 1, 2), b"two".to_vec()),
        (place(1, 1, 3), b"three".to_vec()),
        (place(2, 7, 7), b"a cell".to_vec()),
        (place(3, 0, 0), Vec::new()),
        (place(3, 2, 9), b"copied".to_vec()),
    ];
    assert_eq!(contents(&recovered), expected);
}

#[test]
fn version_1_is_still_written() {
    let written = files([
        (
            6,
            Image::new(6, 41)
                .since(6)
                .batch(40, &[(Placed, place(1, 0, 0), b"zero"), (Placed, place(1, 0, 1), b"one")])
                .batch(41, &[(Placed, place(2, 6, 6), b"an older cell"), (Placed, place(3, 0, 0), b"")])
                .bytes(),
        ),
        (
            7,
            Image::new(7, 43)
                .since(6)
                .batch(42, &[(Placed, place(1, 0, 1), b"one, overwritten"), (Placed, place(1, 1, 2), b"two")])
                .batch(43, &[(Placed, place(1, 1, 3), b"three"), (Placed, place(2, 7, 7), b"a cell")])
                .batch(44, &[(Copied, place(3, 2, 9), b"copied")])
                .mark()
                .bytes(),
        ),
    ]);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(golden()).unwrap();
        written.write(&golden());
    }
    let kept = Files::read(&golden());
    assert_eq!(kept.segments(), [name(6), name(7)]);
    assert!(
        kept == written,
        "the format has changed: it needs a new version, and this one must still be read"
    );
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-v1")
}
