//! The whole state as bytes, and back.
//!
//! A snapshot is a sequence of records, each a length (4 bytes) and that many bytes, the first of which says what it is:
//! one header, the sessions by id, the nodes parents first and siblings by name, an ACL before the first node that has
//! it, one end with the count of both and the SHA-1 of every byte before it (and fillers, which say nothing). Equal states have equal snapshots, so the
//! state's digest is the hash of its snapshot. Chunks are cut between records, but may be cut elsewhere on their way.

use super::acl::AclTable;
use super::codec::decode_array;
use super::copy_on_write::{CopyOnWrite, Next};
use super::machine::{Session, Settings, Tree};
use super::node::{Facts, Kind, Walk, key_of};
use super::ops::own;
use super::path;
use super::store::{Past, Store};
use super::types::{Acl, SessionId};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::{BufMut, Bytes, BytesMut};
use core::mem;
use core::ops::Bound;
use quipu_base::codec::{Codec, Malformed};
use sha1::{Digest, Sha1};

/// The version of the format that is written, and the only one that is read.
const VERSION: u16 = 1;
const MAGIC: [u8; 8] = *b"quiputre";
/// The longest record that is read, in bytes. A record holds one node.
const RECORD_MAX: usize = 256 << 20;
/// What passing over an entry counts towards a chunk, in bytes, so that a chunk's work is bounded even if every node
/// ahead has been created since the snapshot began.
const STEP_COST: usize = 32;

const HEADER: u8 = 1;
const SESSION: u8 = 2;
const ACL: u8 = 3;
const NODE: u8 = 4;
const END: u8 = 5;
/// Nothing: so that a chunk in which everything was passed over is not empty.
const PASS: u8 = 6;

/// A snapshot in progress.
#[derive(Debug)]
pub(super) struct Snapshot {
    header: Option<(i64, i64)>,
    sessions: CopyOnWrite<SessionId, Session>,
    sessions_done: bool,
    writer: Writer,
}

impl Snapshot {
    pub(super) fn note_session(&mut self, id: SessionId, session: Option<&Session>) {
        self.sessions.note(id, session);
    }
}

/// Snapshots, in bounded steps between which the tree may change: what comes out is the state at the beginning.
impl Tree {
    /// Begins a snapshot, in place of one that may be in progress. Until it has ended, each change keeps the old value
    /// of what it changes, if the snapshot has not reached it.
    pub fn snapshot_begin(&mut self) {
        self.snapshot = Some(Box::new(Snapshot {
            header: Some((self.last_zxid, self.clock)),
            sessions: CopyOnWrite::new(),
            sessions_done: false,
            writer: Writer::new(),
        }));
        self.store.history.snapshot = Some(Past::new(self.last_zxid));
    }

    /// The next bytes, at least one: about `max_bytes`, more only if a single node needs it, fewer if there was much to
    /// pass over. `None` once the snapshot is complete, or if none was begun.
    pub fn snapshot_next(&mut self, max_bytes: usize) -> Option<Bytes> {
        let mut snapshot = self.snapshot.take()?;
        if let Some((last_zxid, clock)) = snapshot.header.take() {
            snapshot.writer.header(last_zxid, clock);
        }
        let mut budget = max_bytes.max(1);
        if !snapshot.sessions_done {
            snapshot.sessions_done = self.copy_sessions(&mut snapshot, &mut budget);
        }
        if snapshot.sessions_done && self.copy_nodes(&mut snapshot.writer, &mut budget) {
            snapshot.writer.end();
            self.store.history.snapshot = None;
            return Some(snapshot.writer.take());
        }
        if snapshot.writer.length() == 0 {
            snapshot.writer.record(PASS, |_| ());
        }
        let chunk = snapshot.writer.take();
        self.snapshot = Some(snapshot);
        Some(chunk)
    }

    /// Gives up on a snapshot in progress, if there is one.
    pub fn snapshot_abort(&mut self) {
        self.snapshot = None;
        self.store.history.snapshot = None;
    }

    /// A hash of the whole state: the nodes, the sessions, the last zxid and the clock. Equal states have equal ones.
    /// Takes time proportional to the state's size.
    pub fn digest(&self) -> u64 {
        let mut writer = Writer::new();
        writer.header(self.last_zxid, self.clock);
        self.sessions.iter().for_each(|(id, session)| writer.session(*id, session));
        let mut walk = Walk::after(&self.store.root, None);
        while let Some((key, node)) = walk.step() {
            writer.node(key, &node.facts);
            writer.hash_only();
        }
        writer.hash_only();
        let hash = writer.hash.finalize();
        u64::from_le_bytes(hash[..8].try_into().expect("SHA-1 has 20 bytes"))
    }

    /// Returns whether all are copied.
    fn copy_sessions(&self, snapshot: &mut Snapshot, budget: &mut usize) -> bool {
        let after = snapshot.sessions.passed().map_or(Bound::Unbounded, |id| Bound::Excluded(*id));
        let mut live = self.sessions.range((after, Bound::Unbounded)).peekable();
        while *budget > 0 {
            let before = snapshot.writer.length();
            match snapshot.sessions.advance(live.peek().map(|(id, _)| *id)) {
                Next::End => return true,
                Next::Live => {
                    let (id, session) = live.next().expect("it was peeked at");
                    snapshot.writer.session(*id, session);
                }
                Next::Saved { key, value, consumes_live } => {
                    live.next_if(|_| consumes_live);
                    value.iter().for_each(|session| snapshot.writer.session(key, session));
                }
            }
            *budget = budget.saturating_sub(STEP_COST + snapshot.writer.length() - before);
        }
        false
    }

    fn copy_nodes(&mut self, writer: &mut Writer, budget: &mut usize) -> bool {
        let Store { root, history, .. } = &mut self.store;
        let Past { since, saved } = history.snapshot.as_mut().expect("it begins and ends with the snapshot");
        let mut walk = Walk::after(root, saved.passed().map(String::as_str));
        let mut live = walk.step().map(|(_, node)| node);
        while *budget > 0 {
            let before = writer.length();
            let consumes_live = match saved.advance(live.map(|_| walk.key())) {
                Next::End => return true,
                Next::Live => {
                    let then = live.filter(|node| node.facts.czxid <= *since);
                    then.iter().for_each(|node| writer.node(walk.key(), &node.facts));
                    true
                }
                Next::Saved { key, value, consumes_live } => {
                    value.iter().for_each(|facts| writer.node(&key, facts));
                    consumes_live
                }
            };
            if consumes_live {
                live = walk.step().map(|(_, node)| node);
            }
            *budget = budget.saturating_sub(STEP_COST + writer.length() - before);
        }
        false
    }
}

/// Writes records, and hashes what it has handed out.
#[derive(Debug)]
struct Writer {
    out: BytesMut,
    hash: Sha1,
    acls: BTreeMap<Arc<[Acl]>, u32>,
    sessions: u64,
    nodes: u64,
}

impl Writer {
    fn new() -> Writer {
        Writer { out: BytesMut::new(), hash: Sha1::new(), acls: BTreeMap::new(), sessions: 0, nodes: 0 }
    }

    fn length(&self) -> usize {
        self.out.len()
    }

    fn take(&mut self) -> Bytes {
        self.hash.update(&self.out);
        let next = BytesMut::with_capacity(self.out.len());
        mem::replace(&mut self.out, next).freeze()
    }

    fn hash_only(&mut self) {
        self.hash.update(&self.out);
        self.out.clear();
    }

    fn record(&mut self, tag: u8, body: impl FnOnce(&mut BytesMut)) {
        let start = self.out.len();
        self.out.put_u32_le(0);
        self.out.put_u8(tag);
        body(&mut self.out);
        let length = (self.out.len() - start - 4) as u32;
        self.out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn header(&mut self, last_zxid: i64, clock: i64) {
        self.record(HEADER, |out| {
            out.put_slice(&MAGIC);
            VERSION.encode(out);
            last_zxid.encode(out);
            clock.encode(out);
        });
    }

    fn session(&mut self, id: SessionId, session: &Session) {
        self.sessions += 1;
        self.record(SESSION, |out| {
            id.encode(out);
            out.put_slice(&session.password);
            session.timeout_ms.encode(out);
            session.owner.encode(out);
            session.attachment.encode(out);
            session.last_sequence.encode(out);
        });
    }

    fn node(&mut self, key: &str, facts: &Facts) {
        self.nodes += 1;
        let number = match self.acls.get(&facts.acl) {
            Some(number) => *number,
            None => self.acl(&facts.acl),
        };
        self.record(NODE, |out| {
            encode_path(key, out);
            facts.data.encode(out);
            number.encode(out);
            for number in [facts.czxid, facts.mzxid, facts.pzxid, facts.ctime, facts.mtime] {
                number.encode(out);
            }
            for number in [facts.version, facts.aversion, facts.creates] {
                number.encode(out);
            }
            encode_kind(facts.kind, out);
        });
    }

    fn acl(&mut self, acl: &Arc<[Acl]>) -> u32 {
        let number = self.acls.len() as u32;
        self.acls.insert(acl.clone(), number);
        self.record(ACL, |out| {
            (acl.len() as u32).encode(out);
            acl.iter().for_each(|entry| entry.encode(out));
        });
        number
    }

    fn end(&mut self) {
        let mut hash = self.hash.clone();
        hash.update(&self.out);
        let (sessions, nodes) = (self.sessions, self.nodes);
        self.record(END, |out| {
            sessions.encode(out);
            nodes.encode(out);
            out.put_slice(&hash.finalize());
        });
    }
}

/// The path of a key, without a copy on the way.
fn encode_path(key: &str, out: &mut BytesMut) {
    let path = if key.is_empty() { path::ROOT } else { key };
    (path.len() as u32).encode(out);
    let start = out.len();
    out.put_slice(path.as_bytes());
    out[start..].iter_mut().filter(|byte| **byte == b'\0').for_each(|byte| *byte = b'/');
}

fn encode_kind(kind: Kind, out: &mut BytesMut) {
    match kind {
        Kind::Persistent => 1u8.encode(out),
        Kind::Ephemeral(session) => {
            2u8.encode(out);
            session.encode(out);
        }
        Kind::Container => 3u8.encode(out),
        Kind::Ttl(ttl) => {
            4u8.encode(out);
            ttl.encode(out);
        }
    }
}

fn decode_kind(input: &mut Bytes) -> Result<Kind, Malformed> {
    Ok(match u8::decode(input)? {
        1 => Kind::Persistent,
        2 => Kind::Ephemeral(Codec::decode(input)?),
        3 => Kind::Container,
        4 => Kind::Ttl(Codec::decode(input)?),
        _ => return Err(Malformed("an unknown kind of node")),
    })
}

/// Builds a tree from the chunks of a snapshot.
#[derive(Debug)]
pub struct Restore {
    settings: Settings,
    /// What does not make a record yet.
    rest: BytesMut,
    hash: Sha1,
    header: Option<(i64, i64)>,
    sessions: BTreeMap<SessionId, Session>,
    acls: Vec<Arc<[Acl]>>,
    table: AclTable,
    store: Option<Store>,
    last_key: String,
    ended: bool,
}

impl Restore {
    /// Nothing yet.
    pub fn new(settings: Settings) -> Restore {
        Restore {
            settings,
            rest: BytesMut::new(),
            hash: Sha1::new(),
            header: None,
            sessions: BTreeMap::new(),
            acls: Vec::new(),
            table: AclTable::new(),
            store: None,
            last_key: String::new(),
            ended: false,
        }
    }

    /// Takes the next bytes, which may end anywhere.
    ///
    /// # Errors
    /// [`Malformed`] for what no [`Tree`] wrote, or one of another version. Nothing may follow that.
    pub fn chunk(&mut self, chunk: Bytes) -> Result<(), Malformed> {
        self.rest.extend_from_slice(&chunk);
        while let Some(length) = self.rest.first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            if length > RECORD_MAX {
                return Err(Malformed("a snapshot record longer than any"));
            }
            if self.rest.len() < 4 + length {
                break;
            }
            let record = self.rest.split_to(4 + length).freeze();
            self.record(record)?;
        }
        Ok(())
    }

    /// The tree, if the snapshot was whole.
    ///
    /// # Errors
    /// [`Malformed`] if it was not.
    pub fn finish(self) -> Result<Tree, Malformed> {
        if !self.ended || !self.rest.is_empty() {
            return Err(Malformed("a snapshot without its end"));
        }
        let (Some((last_zxid, clock)), Some(mut store)) = (self.header, self.store) else {
            return Err(Malformed("a snapshot without nodes"));
        };
        if [path::ZOOKEEPER, path::QUOTA, path::CONFIG].iter().any(|path| store.root.find(path).is_none()) {
            return Err(Malformed("a snapshot without the nodes that always are"));
        }
        store.acls = self.table;
        Ok(Tree { settings: self.settings, store, sessions: self.sessions, last_zxid, clock, snapshot: None })
    }

    fn record(&mut self, record: Bytes) -> Result<(), Malformed> {
        if self.ended {
            return Err(Malformed("a snapshot that goes on after its end"));
        }
        let mut input = record.slice(4..);
        let tag = u8::decode(&mut input)?;
        match (tag, self.header.is_some()) {
            (HEADER, false) => self.header(&mut input)?,
            (SESSION, true) if self.store.is_none() => self.session(&mut input)?,
            (ACL, true) => self.acl(&mut input)?,
            (NODE, true) => self.node(&mut input)?,
            (PASS, true) => (),
            (END, true) => self.end(&mut input)?,
            _ => return Err(Malformed("a snapshot record out of place")),
        }
        self.hash.update(&record);
        if input.is_empty() { Ok(()) } else { Err(Malformed("a snapshot record longer than its content")) }
    }

    fn header(&mut self, input: &mut Bytes) -> Result<(), Malformed> {
        if decode_array(input)? != MAGIC {
            return Err(Malformed("not a snapshot of a tree"));
        }
        if u16::decode(input)? != VERSION {
            return Err(Malformed("a tree snapshot of an unknown version"));
        }
        self.header = Some((Codec::decode(input)?, Codec::decode(input)?));
        Ok(())
    }

    fn session(&mut self, input: &mut Bytes) -> Result<(), Malformed> {
        let id = SessionId::decode(input)?;
        if self.sessions.last_key_value().is_some_and(|(last, _)| *last >= id) {
            return Err(Malformed("sessions out of order"));
        }
        let session = Session {
            password: decode_array(input)?,
            timeout_ms: Codec::decode(input)?,
            owner: Codec::decode(input)?,
            attachment: Codec::decode(input)?,
            last_sequence: Codec::decode(input)?,
        };
        self.sessions.insert(id, session);
        Ok(())
    }

    fn acl(&mut self, input: &mut Bytes) -> Result<(), Malformed> {
        let acl: Vec<Acl> = Codec::decode(input)?;
        self.acls.push(self.table.intern(&acl));
        Ok(())
    }

    fn node(&mut self, input: &mut Bytes) -> Result<(), Malformed> {
        let path = String::decode(input)?;
        let facts = self.facts(input)?;
        let Some(store) = &mut self.store else {
            if path != path::ROOT || !matches!(facts.kind, Kind::Persistent) {
                return Err(Malformed("a snapshot that does not begin at the root"));
            }
            self.store = Some(Store::new(facts, AclTable::new()));
            return Ok(());
        };
        let key = key_of(&path);
        if path::validate(&path).is_err() || key <= self.last_key {
            return Err(Malformed("nodes out of order"));
        }
        if path::parent(&path).is_ok_and(|parent| store.root.find(parent).is_none()) {
            return Err(Malformed("a node without its parent"));
        }
        let is_new = store.attach_uncounted(&path, facts, |_| ());
        assert!(is_new, "keys ascend");
        self.last_key = key;
        Ok(())
    }

    fn facts(&self, input: &mut Bytes) -> Result<Facts, Malformed> {
        let data: Option<Bytes> = Codec::decode(input)?;
        let acl = self.acls.get(u32::decode(input)? as usize).ok_or(Malformed("an ACL that was not told"))?;
        let facts = Facts {
            data: own(&data),
            acl: acl.clone(),
            czxid: Codec::decode(input)?,
            mzxid: Codec::decode(input)?,
            pzxid: Codec::decode(input)?,
            ctime: Codec::decode(input)?,
            mtime: Codec::decode(input)?,
            version: Codec::decode(input)?,
            aversion: Codec::decode(input)?,
            creates: Codec::decode(input)?,
            kind: decode_kind(input)?,
        };
        match facts.kind {
            Kind::Ephemeral(session) if !self.sessions.contains_key(&session) => {
                Err(Malformed("an ephemeral without its session"))
            }
            _ => Ok(facts),
        }
    }

    fn end(&mut self, input: &mut Bytes) -> Result<(), Malformed> {
        let (sessions, nodes) = (u64::decode(input)?, u64::decode(input)?);
        let told = self.store.as_ref().map_or(0, |store| store.index.nodes);
        if sessions != self.sessions.len() as u64 || nodes != told as u64 {
            return Err(Malformed("a snapshot that lost something"));
        }
        if decode_array(input)? != <[u8; 20]>::from(self.hash.clone().finalize()) {
            return Err(Malformed("a snapshot that was damaged"));
        }
        self.ended = true;
        Ok(())
    }
}
