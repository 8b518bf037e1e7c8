//! The unit of transfer between nodes: a length, a checksum, and messages one after the other.
//!
//! `length: u32, crc32c: u32, messages`, little-endian; the length counts the messages only, the checksum covers
//! them. TCP's own checksum misses one corruption in some ten thousand; an entry corrupted on its way to a
//! follower would be replicated state, so ours is checked on top.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes before the messages.
pub(super) const HEADER: usize = 8;

/// Why a peer's bytes are no frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FrameError {
    TooLarge,
    Empty,
    Checksum,
}

impl FrameError {
    pub(super) fn sentence(self) -> &'static str {
        match self {
            FrameError::TooLarge => "a frame longer than accepted",
            FrameError::Empty => "a frame without messages",
            FrameError::Checksum => "a frame whose checksum does not hold",
        }
    }
}

/// Opens a frame at the end of `out` and says where it begins.
pub(super) fn open(out: &mut BytesMut) -> usize {
    let start = out.len();
    out.put_bytes(0, HEADER);
    start
}

/// Completes the header of the frame opened at `start`, which holds a message at least.
pub(super) fn close(out: &mut BytesMut, start: usize) {
    let (header, messages) = out[start..].split_at_mut(HEADER);
    assert!(!messages.is_empty(), "a frame carries something");
    header[..4].copy_from_slice(&(messages.len() as u32).to_le_bytes());
    header[4..].copy_from_slice(&crc32c::crc32c(messages).to_le_bytes());
}

/// Cuts the next whole frame's messages off the front of `buffer`; `None` until more has been received.
pub(super) fn next(buffer: &mut BytesMut, max_frame: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let checksum = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    if length > max_frame {
        return Err(FrameError::TooLarge);
    }
    if length == 0 {
        return Err(FrameError::Empty);
    }
    if buffer.len() < HEADER + length {
        return Ok(None);
    }
    buffer.advance(HEADER);
    let messages = buffer.split_to(length).freeze();
    if crc32c::crc32c(&messages) != checksum {
        return Err(FrameError::Checksum);
    }
    Ok(Some(messages))
}

/// How many bytes the frame at the front of `buffer` still lacks, as far as its header is known.
pub(super) fn lacking(buffer: &BytesMut) -> usize {
    let Some(header) = buffer.first_chunk::<HEADER>() else { return HEADER - buffer.len() };
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    (HEADER + length).saturating_sub(buffer.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(messages: &[u8]) -> BytesMut {
        let mut out = BytesMut::from(&b"earlier"[..]);
        let start = open(&mut out);
        out.put_slice(messages);
        close(&mut out, start);
        out.split_off(start)
    }

    #[test]
    fn a_frame_comes_back_however_it_arrives() {
        let whole = frame(b"messages");
        for cut in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..cut]);
            assert_eq!(next(&mut buffer, 100), Ok(None));
            assert!(lacking(&buffer) > 0 && cut + lacking(&buffer) <= whole.len());
            buffer.put_slice(&whole[cut..]);
            assert_eq!(lacking(&buffer), 0);
            assert_eq!(next(&mut buffer, 100), Ok(Some(Bytes::from_static(b"messages"))));
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let whole = frame(b"messages");
        for bit in 0..whole.len() * 8 {
            let mut buffer = whole.clone();
            buffer[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(next(&mut buffer, 100), Ok(Some(_))), "bit {bit}");
        }
    }

    #[test]
    fn a_hostile_length_reserves_nothing() {
        let mut buffer = BytesMut::from(&[0xff; HEADER][..]);
        assert_eq!(next(&mut buffer, 100), Err(FrameError::TooLarge));
        assert_eq!(next(&mut BytesMut::from(&[0; HEADER][..]), 100), Err(FrameError::Empty));
    }
}
