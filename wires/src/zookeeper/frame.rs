//! Packets: a big-endian length and as many bytes (`NIOServerCnxn.readLength`).

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest frame in bytes that a server accepts unless told otherwise: `jute.maxbuffer`, just under 1 MiB.
pub const DEFAULT_MAX_FRAME: usize = 0xfffff;

const LENGTH: usize = size_of::<i32>();

/// Splits what a connection received into frames.
#[derive(Clone, Debug)]
pub struct Frames {
    max_frame: usize,
}

impl Frames {
    /// Accepts frames of up to `max_frame` bytes, without their length.
    pub fn new(max_frame: usize) -> Self {
        assert!(max_frame <= i32::MAX as usize, "a frame's length is a signed 32-bit number");
        Frames { max_frame }
    }

    /// The next whole frame at the front of `buffer`, cut out without copying, or `None` until more is received.
    /// After an error the connection is out of step and must be closed; ZooKeeper answers nothing either.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = buffer.first_chunk::<LENGTH>() else { return Ok(None) };
        let length = usize::try_from(i32::from_be_bytes(*prefix)).map_err(|_| FrameError::Negative)?;
        if length > self.max_frame {
            return Err(FrameError::TooLarge);
        }
        if buffer.len() < LENGTH + length {
            return Ok(None);
        }
        buffer.advance(LENGTH);
        Ok(Some(buffer.split_to(length).freeze()))
    }
}

impl Default for Frames {
    fn default() -> Self {
        Frames::new(DEFAULT_MAX_FRAME)
    }
}

/// Why a connection cannot be read any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// The frame's length is below zero.
    Negative,
    /// The frame is longer than we accept.
    TooLarge,
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            FrameError::Negative => "a frame of negative length",
            FrameError::TooLarge => "a frame longer than accepted",
        })
    }
}

impl core::error::Error for FrameError {}

/// Opens a frame at the end of `out`: the place of its length, for [`finish`].
pub(super) fn begin(out: &mut BytesMut) -> usize {
    let start = out.len();
    out.put_i32(0);
    start
}

/// Writes the length of the frame begun at `start`. A frame longer than `limit` is taken back: `false`.
pub(super) fn finish(out: &mut BytesMut, start: usize, limit: usize) -> bool {
    assert!(out.len() >= start + LENGTH, "a frame is finished where it was begun");
    assert!(limit <= i32::MAX as usize, "a frame's length is a signed 32-bit number");
    let length = out.len() - start - LENGTH;
    if length > limit {
        out.truncate(start);
        return false;
    }
    out[start..start + LENGTH].copy_from_slice(&(length as i32).to_be_bytes());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_as_they_arrive() {
        let stream = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c";
        for chunk in 1..stream.len() {
            let mut frames = Frames::default();
            let mut buffer = BytesMut::new();
            let mut found = alloc::vec::Vec::new();
            for bytes in stream.chunks(chunk) {
                buffer.extend_from_slice(bytes);
                while let Some(frame) = frames.next(&mut buffer).expect("good frames") {
                    found.push(frame);
                }
            }
            assert_eq!(found, [&b"ab"[..], b"", b"c"]);
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_frame_is_cut_without_copying() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x02ab"[..]);
        let place = buffer[LENGTH..].as_ptr();
        let frame = Frames::default().next(&mut buffer).expect("good").expect("whole");
        assert_eq!(frame.as_ptr(), place);
    }

    #[test]
    fn bad_lengths_are_refused_before_their_bytes_arrive() {
        let refused = |length: i32| Frames::default().next(&mut BytesMut::from(&length.to_be_bytes()[..]));
        assert_eq!(refused(-1), Err(FrameError::Negative));
        assert_eq!(refused(i32::MIN), Err(FrameError::Negative));
        assert_eq!(refused(DEFAULT_MAX_FRAME as i32 + 1), Err(FrameError::TooLarge));
        assert_eq!(refused(DEFAULT_MAX_FRAME as i32), Ok(None));
    }

    #[test]
    fn an_oversized_frame_is_taken_back() {
        let mut out = BytesMut::from(&b"before"[..]);
        let start = begin(&mut out);
        out.put_slice(b"12345");
        assert!(!finish(&mut out, start, 4));
        assert_eq!(&out[..], b"before");
    }
}
