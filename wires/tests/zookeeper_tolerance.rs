//! What ZooKeeper tolerates, refuses, and how it answers: the rules at the top of the module.

mod common;

use bytes::{BufMut, Bytes, BytesMut};
use common::golden_frame;
use quipu_wires::zookeeper::{
    CreateForm, MultiOp, MultiResult, ReadOp, Request, WireError, code, decode_request, op,
};

fn frame(op: i32, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i32(1);
    out.put_i32(op);
    body(&mut out);
    out.freeze()
}

fn put_text(out: &mut BytesMut, text: &[u8]) {
    out.put_i32(text.len() as i32);
    out.put_slice(text);
}

fn request(op: i32, body: impl FnOnce(&mut BytesMut)) -> Result<Request, WireError> {
    decode_request(frame(op, body)).map(|(_, request)| request)
}

fn assert_malformed(result: Result<Request, WireError>, expected: &str) {
    let error = result.expect_err(expected);
    assert_eq!(error.reason(), expected);
    assert!(!error.closes(), "the answer is a marshalling error");
}

#[test]
fn what_follows_a_record_is_ignored() {
    let mut longer = BytesMut::from(&golden_frame("request.delete")[..]);
    longer.put_slice(b"more");
    assert_eq!(decode_request(longer.freeze()), decode_request(golden_frame("request.delete")));
}

#[test]
fn any_byte_but_zero_is_true() {
    for (byte, expected) in [(0, false), (1, true), (0x80, true)] {
        let exists = request(op::EXISTS, |out| {
            put_text(out, b"/a");
            out.put_u8(byte);
        });
        assert_eq!(exists, Ok(Request::Exists { path: "/a".to_string(), watch: expected }));
    }
}

#[test]
fn text_that_is_not_utf_8_gets_replacement_characters() {
    let deleted = request(op::DELETE, |out| {
        put_text(out, b"/a\xff\xc3");
        out.put_i32(0);
    });
    assert_eq!(deleted, Ok(Request::Delete { path: "/a\u{fffd}\u{fffd}".to_string(), version: 0 }));
}

#[test]
fn null_text_is_empty_or_malformed() {
    let null = |op| request(op, |out| out.put_i32(-1));
    assert_eq!(null(op::SYNC), Ok(Request::Sync { path: String::new() }));
    assert_eq!(null(op::GET_EPHEMERALS), Ok(Request::GetEphemerals { prefix: String::new() }));
    for op in [op::CREATE, op::DELETE, op::EXISTS, op::GET_DATA, op::SET_DATA, op::GET_ACL, op::ADD_WATCH] {
        assert_malformed(null(op), "a null path");
    }
}

#[test]
fn null_and_empty_data_differ() {
    let set = |length: i32| {
        request(op::SET_DATA, |out| {
            put_text(out, b"/a");
            out.put_i32(length);
            out.put_i32(-1);
        })
    };
    let expected = |data| Ok(Request::SetData { path: "/a".to_string(), data, version: -1 });
    assert_eq!(set(-1), expected(None));
    assert_eq!(set(0), expected(Some(Bytes::new())));
    assert_malformed(set(-2), "a negative length");
}

#[test]
fn lists_of_watches_must_be_there() {
    let watches = |count: i32| {
        request(op::SET_WATCHES, |out| {
            out.put_i64(9);
            out.put_i32(0);
            out.put_i32(count);
            out.put_i32(0);
        })
    };
    assert!(matches!(watches(0), Ok(Request::SetWatches(watches)) if watches.relative_zxid == 9));
    assert!(watches(-7).is_ok(), "below the null mark a list is empty");
    assert_malformed(watches(-1), "a null list of watches");
}

#[test]
fn claims_of_many_items_are_refused_unread() {
    for count in [i32::MAX, 1 << 20, 3] {
        let watches = request(op::SET_WATCHES, |out| {
            out.put_i64(0);
            out.put_i32(count);
            out.put_i64(0);
        });
        assert_malformed(watches, "more items than bytes");
        let acl = request(op::SET_ACL, |out| {
            put_text(out, b"/a");
            out.put_i32(count);
            out.put_slice(&[0; 24]);
        });
        assert_malformed(acl, "more items than bytes");
    }
    let data = request(op::SET_DATA, |out| {
        put_text(out, b"/a");
        out.put_i32(i32::MAX);
    });
    assert_malformed(data, "bytes shorter than their length");
}

#[test]
fn authentication_that_cannot_be_read_ends_the_connection() {
    for op in [op::AUTH, op::SASL] {
        let error = request(op, |out| out.put_u8(0)).expect_err("too short");
        assert!(error.closes());
    }
    assert!(decode_request(Bytes::from_static(&[0; 7])).expect_err("no header").closes());
    // kazoo writes empty credentials as null.
    let auth = request(op::AUTH, |out| {
        out.put_i32(0);
        put_text(out, b"ip");
        out.put_i32(-1);
    });
    assert_eq!(auth, Ok(Request::Auth { kind: 0, scheme: "ip".to_string(), auth: Bytes::new() }));
}

#[test]
fn operations_that_clients_may_not_ask_for_are_unknown() {
    for op in [0, op::ERROR, op::CHECK, op::DELETE_CONTAINER, 10, 23, 99, 500, i32::MIN, i32::MAX] {
        assert_eq!(request(op, |out| out.put_slice(b"whatever")), Ok(Request::Unknown { op }));
    }
}

/// A multi of one create of operation `op` with these flags.
fn multi_create(op: i32, flags: i32) -> Result<Request, WireError> {
    request(op::MULTI, |out| {
        put_header(out, op, false);
        put_text(out, b"/a");
        put_text(out, b"data");
        out.put_i32(0);
        out.put_i32(flags);
        if op == op::CREATE_TTL {
            out.put_i64(1000);
        }
        put_header(out, -1, true);
    })
}

fn put_header(out: &mut BytesMut, op: i32, done: bool) {
    out.put_i32(op);
    out.put_u8(done as u8);
    out.put_i32(-1);
}

#[test]
fn inside_a_multi_the_flags_decide_the_form() {
    let form = |op, flags| match multi_create(op, flags) {
        Ok(Request::Multi(ops)) => match &ops[..] {
            [MultiOp::Create(create)] => create.form,
            other => panic!("one create, not {other:?}"),
        },
        other => panic!("a multi, not {other:?}"),
    };
    let ttl = CreateForm::Ttl { ttl_ms: 1000 };
    assert_eq!(form(op::CREATE, 3), CreateForm::Plain);
    assert_eq!(form(op::CREATE, 4), CreateForm::Container);
    assert_eq!(form(op::CREATE2, 0), CreateForm::WithStat);
    assert_eq!(form(op::CREATE2, 4), CreateForm::Container);
    assert_eq!(form(op::CREATE_CONTAINER, 0), CreateForm::Container);
    assert_eq!(form(op::CREATE_TTL, 0), CreateForm::Plain);
    assert_eq!(form(op::CREATE_TTL, 4), CreateForm::Container);
    assert_eq!(form(op::CREATE_TTL, 5), ttl);
    assert_eq!(form(op::CREATE_TTL, 99), ttl);
    for (op, flags) in [(op::CREATE, 5), (op::CREATE2, 6), (op::CREATE, 7), (op::CREATE_CONTAINER, -1)] {
        assert_malformed(multi_create(op, flags), "flags that the create cannot have");
    }
}

#[test]
fn reads_and_writes_do_not_mix() {
    let of = |outer, inner| {
        request(outer, |out| {
            put_header(out, inner, false);
            put_text(out, b"/a");
            out.put_i32(1);
            put_header(out, -1, true);
        })
    };
    for inner in [op::GET_DATA, op::GET_CHILDREN, op::EXISTS, op::MULTI, op::ERROR] {
        assert_malformed(of(op::MULTI, inner), "not a write of a multi");
    }
    for inner in [op::DELETE, op::CHECK, op::EXISTS] {
        assert_malformed(of(op::MULTI_READ, inner), "not a read of a multiRead");
    }
}

#[test]
fn watches_of_a_multi_read_are_forgotten() {
    let read = request(op::MULTI_READ, |out| {
        put_header(out, op::GET_DATA, false);
        put_text(out, b"/a");
        out.put_u8(1);
        put_header(out, 0, true);
    });
    assert_eq!(read, Ok(Request::MultiRead(vec![ReadOp::GetData { path: "/a".to_string() }])));
}

#[test]
fn a_failed_multi_tells_which_write_failed() {
    let errors: Vec<i32> = MultiResult::failed(4, 2, code::NODE_EXISTS)
        .into_iter()
        .map(|result| match result {
            MultiResult::Error(error) => error,
            other => panic!("an error, not {other:?}"),
        })
        .collect();
    assert_eq!(errors, [code::OK, code::OK, code::NODE_EXISTS, code::RUNTIME_INCONSISTENCY]);
}
