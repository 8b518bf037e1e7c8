//! Every request and reply, byte for byte as ZooKeeper and kazoo write them.

mod common;

use bytes::{Bytes, BytesMut};
use common::{connect_request, connect_response, golden, golden_frame};
use quipu_wires::zookeeper::client::{
    WatchEvent, decode_connect_response, decode_reply, decode_watch_event, encode_connect, encode_request,
};
use quipu_wires::zookeeper::{
    ConnectRequest, ConnectResponse, Frames, Request, WireError, code, decode_request, encode_reply,
    encode_watch_event, event_kind, event_state, op,
};
use std::collections::BTreeSet;

/// What an encoder appends behind bytes that are there already, without the length.
fn written(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::from(&b"before"[..]);
    encode(&mut out);
    let mut appended = out.split_off(b"before".len());
    assert_eq!(&out[..], b"before");
    let frame = Frames::default().next(&mut appended).expect("a good frame").expect("a whole frame");
    assert!(appended.is_empty(), "one frame and nothing else");
    frame
}

#[test]
fn requests_are_read_as_they_were_meant() {
    for (name, xid, request) in common::requests().into_iter().chain(common::kazoo_requests()) {
        let (header, decoded) = decode_request(golden_frame(name)).expect(name);
        assert_eq!((header.xid, header.op), (xid, request.op()), "{name}");
        assert_eq!(decoded, request, "{name}");
    }
}

#[test]
fn requests_are_written_as_java_writes_them() {
    for (name, xid, request) in common::requests() {
        let frame = written(|out| encode_request(out, xid, &request));
        // Only its null ACL list is written otherwise, as an empty one.
        if name != "request.create.null" {
            assert_eq!(frame, golden_frame(name), "{name}");
        }
        assert_eq!(decode_request(frame).map(|(_, request)| request), Ok(request), "{name}");
    }
}

#[test]
fn replies_are_written_and_read() {
    for (name, op, xid, zxid, result) in common::replies() {
        let frame = written(|out| encode_reply(out, xid, zxid, result.as_ref().map_err(|error| *error)));
        assert_eq!(frame, golden_frame(name), "{name}");
        let (header, response) = decode_reply(frame, op).expect(name);
        assert_eq!((header.xid, header.zxid), (xid, zxid), "{name}");
        assert_eq!(response.ok_or(header.error), result, "{name}");
    }
}

#[test]
fn a_watch_event_is_written_and_read() {
    let event = WatchEvent {
        zxid: -1,
        kind: event_kind::DATA_CHANGED,
        state: event_state::CONNECTED,
        path: "/a".to_string(),
    };
    let frame = written(|out| encode_watch_event(out, event.zxid, event.kind, event.state, &event.path));
    assert_eq!(frame, golden_frame("reply.event"));
    assert_eq!(decode_watch_event(frame), Ok(event));
    assert!(decode_watch_event(golden_frame("reply.sync")).is_err());
}

#[test]
fn the_handshake_is_written_and_read() {
    for (name, read_only) in [("connect.old", None), ("connect.new", Some(true))] {
        let request = connect_request(read_only);
        assert_eq!(ConnectRequest::decode(golden_frame(name)), Ok(request.clone()), "{name}");
        assert_eq!(written(|out| encode_connect(out, &request)), golden_frame(name), "{name}");
    }
    for (name, read_only) in [("connected.old", None), ("connected.new", Some(false))] {
        let response = connect_response(read_only);
        assert_eq!(decode_connect_response(golden_frame(name)), Ok(response.clone()), "{name}");
        assert_eq!(written(|out| response.encode(out)), golden_frame(name), "{name}");
    }
    let kazoo = ConnectRequest::decode(golden_frame("kazoo.connect")).expect("kazoo connects");
    assert_eq!((kazoo.timeout_ms, kazoo.session, kazoo.read_only), (10_000, 0, Some(false)));
    assert_eq!(kazoo.password, [0u8; 16][..]);
}

#[test]
fn the_read_only_byte_is_echoed_only_where_it_was_sent() {
    for read_only in [None, Some(true)] {
        let request = connect_request(read_only);
        let length = if read_only.is_some() { 37 } else { 36 };
        let accepted = ConnectResponse::accepted(&request, 20_000, 7, request.password.clone(), false);
        assert_eq!(written(|out| accepted.encode(out)).len(), length);
        let expired = ConnectResponse::expired(&request);
        let frame = written(|out| expired.encode(out));
        assert_eq!(frame.len(), length);
        // All zeros but for the password's length of 16.
        assert_eq!(frame.iter().map(|byte| *byte as usize).sum::<usize>(), 16);
    }
}

#[test]
fn every_golden_frame_and_operation_is_covered() {
    let covered: BTreeSet<&str> = (common::requests().into_iter())
        .chain(common::kazoo_requests())
        .map(|(name, ..)| name)
        .chain(common::replies().into_iter().map(|(name, ..)| name))
        .chain(["connect.old", "connect.new", "connected.old", "connected.new"])
        .chain(["reply.event", "kazoo.connect"])
        .collect();
    let all: BTreeSet<&str> = golden().into_iter().map(|(name, _)| name).collect();
    assert_eq!(covered, all);

    let asked: BTreeSet<i32> = common::requests().iter().map(|(_, _, request)| request.op()).collect();
    let not_clients = [op::ERROR, op::CHECK, op::DELETE_CONTAINER, op::CREATE_SESSION];
    for number in op::ALL {
        assert_ne!(asked.contains(number), not_clients.contains(number), "{}", op::name(*number));
    }
}

#[test]
fn cut_anywhere_a_request_is_an_error() {
    for (name, frame) in golden() {
        if !name.starts_with("request.") && !name.starts_with("kazoo.") || name == "kazoo.connect" {
            continue;
        }
        for length in 0..frame.len() {
            let error = decode_request(frame.slice(..length)).expect_err(name);
            assert_eq!(matches!(error, WireError::Header(_)), length < 8, "{name} cut to {length}");
        }
    }
}

#[test]
fn cut_anywhere_a_reply_is_an_error() {
    for (name, op, ..) in common::replies() {
        let frame = golden_frame(name);
        for length in 0..frame.len() {
            assert!(decode_reply(frame.slice(..length), op).is_err(), "{name} cut to {length}");
        }
    }
    let event = golden_frame("reply.event");
    assert!((0..event.len()).all(|length| decode_watch_event(event.slice(..length)).is_err()));
}

#[test]
fn cut_anywhere_a_handshake_is_an_error() {
    for name in ["connect.old", "connected.old"] {
        let frame = golden_frame(name);
        for length in 0..frame.len() {
            assert!(ConnectRequest::decode(frame.slice(..length.min(43))).is_err(), "{name}");
            assert!(decode_connect_response(frame.slice(..length.min(35))).is_err(), "{name}");
        }
    }
}

#[test]
fn data_is_cut_out_of_the_frame() {
    let frame = golden_frame("request.create");
    let (_, request) = decode_request(frame.clone()).expect("a create");
    let Request::Create(create) = request else { panic!("a create") };
    let data = create.data.expect("data");
    let place = data.as_ptr() as usize - frame.as_ptr() as usize;
    assert!(place < frame.len(), "the data lies inside the frame");
    assert_eq!(&frame[place..place + 3], b"xyz");
}

#[test]
fn numbers_have_names() {
    assert_eq!(code::name(code::NO_NODE), "NoNode");
    assert_eq!(op::name(op::GET_CHILDREN2), "getChildren2");
    assert_eq!((code::name(1), op::name(10)), ("unknown", "unknown"));
    let distinct = |all: &[i32]| all.iter().collect::<BTreeSet<_>>().len();
    assert_eq!((distinct(code::ALL), distinct(op::ALL)), (code::ALL.len(), op::ALL.len()));
}
