//! What holds for any bytes whatever: nothing panics, and what was understood means the same when written again.
//! The fuzz targets and the smoke test run these.

use bytes::{Bytes, BytesMut};
use quipu_wires::zookeeper::client::{
    decode_connect_response, decode_reply, decode_reply_header, decode_watch_event, encode_request,
};
use quipu_wires::zookeeper::{
    ConnectRequest, FrameError, Frames, Response, WireError, code, decode_request, encode_reply,
    encode_watch_event, four_letter_word, op,
};

const MAX_FRAME: usize = 256;

/// The frames of a stream, and how it ended; `chunk` bytes arrive at a time.
fn split(stream: &[u8], chunk: usize) -> (Vec<Bytes>, Option<FrameError>, usize) {
    let (mut frames, mut buffer, mut found) = (Frames::new(MAX_FRAME), BytesMut::new(), Vec::new());
    for bytes in stream.chunks(chunk) {
        buffer.extend_from_slice(bytes);
        loop {
            match frames.next(&mut buffer) {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(error) => return (found, Some(error), 0),
            }
        }
    }
    (found, None, buffer.len())
}

/// Frames do not depend on how their bytes arrive, and none is lost. Returns how many there were.
pub(crate) fn frames(stream: &[u8]) -> usize {
    let whole = split(stream, stream.len().max(1));
    for chunk in [1, 3, 64] {
        assert_eq!(split(stream, chunk), whole);
    }
    let (found, error, left) = whole;
    if error.is_none() {
        let framed: usize = found.iter().map(|frame| frame.len() + 4).sum();
        assert_eq!(framed + left, stream.len());
    }
    assert!(found.iter().all(|frame| frame.len() <= MAX_FRAME));
    if let Some(word) = stream.first_chunk().and_then(|first| four_letter_word(*first)) {
        assert!(stream.starts_with(word.as_str().as_bytes()));
        assert_eq!(error, Some(FrameError::TooLarge));
    }
    found.len()
}

/// A handshake of either direction. Returns whether the bytes were one.
pub(crate) fn connect(frame: &[u8]) -> bool {
    let frame = Bytes::copy_from_slice(frame);
    let mut again = BytesMut::new();
    let request = ConnectRequest::decode(frame.clone());
    if let Ok(request) = &request {
        request.encode(&mut again);
        assert_eq!(ConnectRequest::decode(again.split().freeze().slice(4..)).as_ref(), Ok(request));
    }
    let response = decode_connect_response(frame);
    if let Ok(response) = &response {
        response.encode(&mut again);
        assert_eq!(decode_connect_response(again.freeze().slice(4..)).as_ref(), Ok(response));
    }
    request.is_ok() || response.is_ok()
}

/// A request as the server reads it. Returns whether the bytes were one.
pub(crate) fn request(frame: &[u8]) -> bool {
    let frame = Bytes::copy_from_slice(frame);
    match decode_request(frame.clone()) {
        Ok((header, request)) => {
            assert_eq!(request.op(), header.op);
            let mut again = BytesMut::new();
            encode_request(&mut again, header.xid, &request);
            assert_eq!(decode_request(again.freeze().slice(4..)), Ok((header, request)));
            true
        }
        Err(error @ WireError::Header(_)) => {
            assert!(frame.len() < 8 && error.closes());
            false
        }
        Err(error @ WireError::Body { header, .. }) => {
            assert!(frame.len() >= 8 && !error.reason().is_empty());
            assert_eq!(error.closes(), [op::AUTH, op::SASL].contains(&header.op));
            false
        }
    }
}

/// A reply or event as the client reads it. Returns whether the bytes were one.
pub(crate) fn reply(op: i32, frame: &[u8]) -> bool {
    let frame = Bytes::copy_from_slice(frame);
    let mut again = BytesMut::new();
    let event = decode_watch_event(frame.clone());
    if let Ok(event) = &event {
        encode_watch_event(&mut again, event.zxid, event.kind, event.state, &event.path);
        assert_eq!(decode_watch_event(again.split().freeze().slice(4..)).as_ref(), Ok(event));
    }
    let reply = decode_reply(frame.clone(), op);
    if let Ok((header, response)) = &reply {
        assert_eq!(decode_reply_header(&frame), Ok(*header));
        assert_eq!(response.is_some(), header.error == code::OK);
        let result: Result<&Response, i32> = response.as_ref().ok_or(header.error);
        encode_reply(&mut again, header.xid, header.zxid, result);
        assert_eq!(decode_reply(again.freeze().slice(4..), op).as_ref(), Ok(&(*header, response.clone())));
    }
    event.is_ok() || reply.is_ok()
}
