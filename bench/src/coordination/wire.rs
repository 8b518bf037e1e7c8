//! The few ZooKeeper frames that a load needs. Big-endian, each behind its length; the shapes are those of
//! `zookeeper-jute/src/main/resources/zookeeper.jute`.

use std::io::{Error, ErrorKind, Result};

/// The operations that are used here, by their number on the wire.
mod code {
    pub(super) const CREATE: i32 = 1;
    pub(super) const DELETE: i32 = 2;
    pub(super) const GET_DATA: i32 = 4;
    pub(super) const SET_DATA: i32 = 5;
    pub(super) const GET_CHILDREN: i32 = 8;
    pub(super) const SYNC: i32 = 9;
    pub(super) const PING: i32 = 11;
    pub(super) const MULTI: i32 = 14;
    pub(super) const CLOSE: i32 = -11;
}

/// The request id of pings.
pub const PING_XID: i32 = -2;

/// The request id of what a watch says.
pub const WATCH_XID: i32 = -1;

/// A watch says that its node was deleted.
pub const NODE_DELETED: i32 = 2;

/// A node that does not exist.
pub const NO_NODE: i32 = -101;

/// A node that already exists.
pub const NODE_EXISTS: i32 = -110;

/// The largest frame that is accepted from a server.
const FRAME_LIMIT: usize = 4 << 20;

/// Who a client is to its ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The session; 0 asks for a new one.
    pub session: i64,
    /// Its password.
    pub password: [u8; 16],
    /// The timeout that was asked for or granted, in milliseconds.
    pub timeout_ms: i32,
}

/// The head of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request it answers.
    pub xid: i32,
    /// 0, or the error.
    pub error: i32,
}

/// Appends a connect request.
pub fn connect(out: &mut Vec<u8>, identity: &Identity) {
    frame(out, |out| {
        int(out, 0);
        long(out, 0);
        int(out, identity.timeout_ms);
        long(out, identity.session);
        buffer(out, &identity.password);
        out.push(0);
    });
}

/// Appends the creation of a persistent node that anybody may use.
pub fn create(out: &mut Vec<u8>, xid: i32, path: &[u8], data: &[u8]) {
    create_as(out, xid, path, data, 0);
}

/// Appends the creation of a node that goes with its session, behind whose name the server puts a number.
pub fn create_ephemeral_sequential(out: &mut Vec<u8>, xid: i32, path: &[u8], data: &[u8]) {
    create_as(out, xid, path, data, 3);
}

/// Appends a deletion, whatever the version.
pub fn delete(out: &mut Vec<u8>, xid: i32, path: &[u8]) {
    request(out, xid, code::DELETE, |out| {
        buffer(out, path);
        int(out, -1);
    });
}

/// Appends a listing without a watch.
pub fn get_children(out: &mut Vec<u8>, xid: i32, path: &[u8]) {
    request(out, xid, code::GET_CHILDREN, |out| {
        buffer(out, path);
        out.push(0);
    });
}

/// Appends an overwrite of any version.
pub fn set_data(out: &mut Vec<u8>, xid: i32, path: &[u8], data: &[u8]) {
    request(out, xid, code::SET_DATA, |out| {
        buffer(out, path);
        buffer(out, data);
        int(out, -1);
    });
}

/// Appends a read without a watch.
pub fn get_data(out: &mut Vec<u8>, xid: i32, path: &[u8]) {
    get_data_as(out, xid, path, false);
}

/// Appends a read that leaves a watch on the node.
pub fn get_data_and_watch(out: &mut Vec<u8>, xid: i32, path: &[u8]) {
    get_data_as(out, xid, path, true);
}

/// Appends a sync.
pub fn sync(out: &mut Vec<u8>, xid: i32, path: &[u8]) {
    request(out, xid, code::SYNC, |out| buffer(out, path));
}

/// Appends a ping.
pub fn ping(out: &mut Vec<u8>) {
    request(out, PING_XID, code::PING, |_| {});
}

/// Appends the end of the session.
pub fn close(out: &mut Vec<u8>, xid: i32) {
    request(out, xid, code::CLOSE, |_| {});
}

/// Appends one transaction that deletes all `paths`, whatever their versions.
pub fn delete_all(out: &mut Vec<u8>, xid: i32, paths: &[String]) {
    request(out, xid, code::MULTI, |out| {
        for path in paths {
            int(out, code::DELETE);
            out.push(0);
            int(out, -1);
            buffer(out, path.as_bytes());
            int(out, -1);
        }
        int(out, -1);
        out.push(1);
        int(out, -1);
    });
}

/// The length of the first frame in `input`, its four length bytes included, if all of it is there.
pub fn complete(input: &[u8]) -> Result<Option<usize>> {
    let Some(head) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length > FRAME_LIMIT {
        return Err(malformed("a frame longer than any reply"));
    }
    Ok((input.len() >= 4 + length).then_some(4 + length))
}

/// Reads the answer to a connect request: `None` if the session is refused.
pub fn connected(frame: &[u8]) -> Result<Option<Identity>> {
    let body = frame.get(4..).unwrap_or_default();
    let (Some(timeout), Some(session), Some(password)) = (body.get(4..8), body.get(8..16), body.get(20..36))
    else {
        return Err(malformed("a connect response too short"));
    };
    let timeout_ms = i32::from_be_bytes(timeout.try_into().expect("4 bytes"));
    let session = i64::from_be_bytes(session.try_into().expect("8 bytes"));
    let password = password.try_into().expect("16 bytes");
    Ok((timeout_ms > 0 && session != 0).then_some(Identity { session, password, timeout_ms }))
}

/// Reads the head of a reply.
pub fn reply(frame: &[u8]) -> Result<Reply> {
    let (Some(xid), Some(error)) = (frame.get(4..8), frame.get(16..20)) else {
        return Err(malformed("a reply too short"));
    };
    let number = |bytes: &[u8]| i32::from_be_bytes(bytes.try_into().expect("4 bytes"));
    Ok(Reply { xid: number(xid), error: number(error) })
}

/// How long the data is that a successful read returned.
pub fn data_length(frame: &[u8]) -> Result<usize> {
    let bytes = frame.get(20..24).ok_or_else(|| malformed("a read without data"))?;
    Ok(u32::from_be_bytes(bytes.try_into().expect("4 bytes")) as usize)
}

/// The path that a successful creation made.
pub fn created_path(frame: &[u8]) -> Result<&str> {
    let (path, _) = text(frame.get(20..).unwrap_or_default())?;
    Ok(path)
}

/// The names that a successful listing returned.
pub fn children(frame: &[u8]) -> Result<Vec<&str>> {
    let (count, mut rest) = number(frame.get(20..).unwrap_or_default())?;
    let mut names = Vec::new();
    for _ in 0..count {
        let (name, behind) = text(rest)?;
        names.push(name);
        rest = behind;
    }
    Ok(names)
}

/// What a watch says, behind a head with [`WATCH_XID`].
pub fn watch_event(frame: &[u8]) -> Result<i32> {
    Ok(number(frame.get(20..).unwrap_or_default())?.0)
}

fn create_as(out: &mut Vec<u8>, xid: i32, path: &[u8], data: &[u8], flags: i32) {
    request(out, xid, code::CREATE, |out| {
        buffer(out, path);
        buffer(out, data);
        int(out, 1);
        int(out, 31);
        buffer(out, b"world");
        buffer(out, b"anyone");
        int(out, flags);
    });
}

fn get_data_as(out: &mut Vec<u8>, xid: i32, path: &[u8], watch: bool) {
    request(out, xid, code::GET_DATA, |out| {
        buffer(out, path);
        out.push(watch.into());
    });
}

fn request(out: &mut Vec<u8>, xid: i32, operation: i32, body: impl FnOnce(&mut Vec<u8>)) {
    frame(out, |out| {
        int(out, xid);
        int(out, operation);
        body(out);
    });
}

fn frame(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    int(out, 0);
    body(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn long(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn buffer(out: &mut Vec<u8>, bytes: &[u8]) {
    int(out, bytes.len() as i32);
    out.extend_from_slice(bytes);
}

fn number(bytes: &[u8]) -> Result<(i32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| malformed("a reply too short"))?;
    Ok((i32::from_be_bytes(*head), rest))
}

fn text(bytes: &[u8]) -> Result<(&str, &[u8])> {
    let (length, rest) = number(bytes)?;
    let cut = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (text, rest) = cut.ok_or_else(|| malformed("a text longer than its reply"))?;
    let text = std::str::from_utf8(text).map_err(|_| malformed("a text that is not UTF-8"))?;
    Ok((text, rest))
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_shapes_of_the_schema() {
        let mut out = Vec::new();
        ping(&mut out);
        assert_eq!(out, [0, 0, 0, 8, 255, 255, 255, 254, 0, 0, 0, 11]);
        out.clear();
        get_data(&mut out, 7, b"/a");
        assert_eq!(out, [0, 0, 0, 15, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 2, b'/', b'a', 0]);
        out.clear();
        connect(&mut out, &Identity { session: 0, password: [0; 16], timeout_ms: 10_000 });
        assert_eq!(out.len(), 4 + 45);
    }

    #[test]
    fn replies_are_cut_and_read() {
        let bytes = [0, 0, 0, 16, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 255, 255, 255, 146];
        assert_eq!(complete(&bytes[..19]).expect("not too long"), None);
        assert_eq!(complete(&bytes).expect("not too long"), Some(20));
        assert_eq!(reply(&bytes).expect("long enough"), Reply { xid: 5, error: NODE_EXISTS });
        assert!(complete(&[255; 8]).is_err());
        assert!(reply(&bytes[..12]).is_err());
        assert!(connected(&bytes).is_err());
    }

    #[test]
    fn paths_and_names_are_read() {
        let mut bytes = vec![0; 20];
        int(&mut bytes, 2);
        buffer(&mut bytes, b"a-0000000001");
        buffer(&mut bytes, b"b");
        assert_eq!(children(&bytes).expect("two names"), ["a-0000000001", "b"]);
        assert!(children(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(watch_event(&bytes).expect("a number"), 2);
        let mut bytes = vec![0; 20];
        buffer(&mut bytes, b"/a");
        assert_eq!(created_path(&bytes).expect("a path"), "/a");
        assert!(created_path(&bytes[..19]).is_err());
    }
}
