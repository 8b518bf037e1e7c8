//! Dotted version vector sets (Preguiça, Baquero, Almeida, Fonte, Gonçalves: "Dotted Version Vectors", 2010; Almeida,
//! Baquero, Gonçalves, Preguiça, Fonte: "Scalable and Accurate Causality Tracking for Eventually Consistent Stores",
//! DAIS 2014): all concurrent values of one key with their causality, in one number per server.
//!
//! A version vector can say "all writes up to here". To name a write that is concurrent with others through the same
//! server it would have to skip those, and it cannot: so with a server's number for all its clients, a write that never
//! saw another seems to follow it, and replaces it. A number per client is exact, and there are as many as clients. The
//! dot is what is missing: each value also carries the one write it is, apart from the writes it has seen.

use super::{Dot, VectorClock};
use crate::NodeId;
use crate::codec::{Codec, Malformed};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// The values of one key that no other write has replaced ("siblings"), with all that is known of the key's writes.
///
/// ```
/// use quipu_base::{NodeId, clocks::DottedVersions};
/// let server = NodeId(1);
/// let mut cart = DottedVersions::new();
/// let nothing_yet = cart.context();
/// cart.write(&nothing_yet, server, "bread");
/// cart.write(&nothing_yet, server, "milk"); // by another client, which has not seen the bread
/// assert_eq!(cart.values().collect::<Vec<_>>(), [&"bread", &"milk"]);
/// let both = cart.context();
/// cart.write(&both, server, "bread and milk");
/// assert_eq!(cart.values().collect::<Vec<_>>(), [&"bread and milk"]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DottedVersions<V> {
    entries: BTreeMap<NodeId, Entry<V>>,
}

/// What is known of one server's writes: all up to `counter`, of which the last few are values that still count. The
/// dots of `values` are `counter - values.len() + 1 ..= counter`, in order: a write replaces all that it has seen, and
/// whoever has seen a server's write has seen that server's earlier ones.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry<V> {
    counter: u64,
    values: Vec<V>,
}

impl<V> Default for DottedVersions<V> {
    fn default() -> Self {
        DottedVersions { entries: BTreeMap::new() }
    }
}

impl<V> DottedVersions<V> {
    /// A key that was never written.
    pub fn new() -> Self {
        DottedVersions::default()
    }

    /// The values, none of which has seen another.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.versions().map(|(_, value)| value)
    }

    /// The values, each with the write that it is.
    pub fn versions(&self) -> impl Iterator<Item = (Dot, &V)> {
        self.entries.iter().flat_map(|(node, entry)| {
            let replaced = entry.counter - entry.values.len() as u64;
            (replaced + 1..).zip(&entry.values).map(|(counter, value)| (Dot { node: *node, counter }, value))
        })
    }

    /// What a reader has seen, for whoever read to hand in with its next write ("join" in the paper).
    pub fn context(&self) -> VectorClock {
        self.entries.iter().map(|(node, entry)| Dot { node: *node, counter: entry.counter }).collect()
    }

    /// A client that has read `context` writes through the server `node`: the value replaces what the client has seen,
    /// and stands beside what it has not. Returns the write's name, which is no context: to have seen
    /// a write is to have seen all that its server had done before. Only `node` itself may do this, as for
    /// [`VectorClock::tick`]; it tells others by [`DottedVersions::sync`].
    pub fn write(&mut self, context: &VectorClock, node: NodeId, value: V) -> Dot {
        self.discard(context);
        let entry = self.entries.entry(node).or_insert_with(Entry::unwritten);
        entry.counter += 1;
        entry.values.push(value);
        Dot { node, counter: entry.counter }
    }

    /// Learns that whatever `context` has seen was replaced: as a write does, without a value of its own. Where a delete
    /// needs no tombstone's value, this is one.
    pub fn discard(&mut self, context: &VectorClock) {
        for Dot { node, counter } in context.iter() {
            let entry = self.entries.entry(node).or_insert_with(Entry::unwritten);
            entry.keep_last(entry.counter.saturating_sub(counter));
            entry.counter = entry.counter.max(counter);
        }
    }

    /// Learns all that another replica knows of the key: what either has seen replaced is gone, everything else stays.
    /// Commutes, associates, and may be repeated.
    pub fn sync(&mut self, other: &DottedVersions<V>)
    where
        V: Clone,
    {
        for (node, theirs) in &other.entries {
            match self.entries.get_mut(node) {
                Some(ours) => ours.sync(theirs),
                None => drop(self.entries.insert(*node, theirs.clone())),
            }
        }
    }

    /// Whether `other` has nothing to tell: it knows no write, and saw none replaced, that is news here.
    pub fn knows(&self, other: &DottedVersions<V>) -> bool {
        other.entries.iter().all(|(node, theirs)| {
            self.entries
                .get(node)
                .is_some_and(|ours| ours.counter >= theirs.counter && ours.replaced() >= theirs.replaced())
        })
    }
}

impl<V> Entry<V> {
    fn unwritten() -> Self {
        Entry { counter: 0, values: Vec::new() }
    }

    /// Values up to here are gone.
    fn replaced(&self) -> u64 {
        self.counter - self.values.len() as u64
    }

    fn keep_last(&mut self, count: u64) {
        let spare = (self.values.len() as u64).saturating_sub(count);
        self.values.drain(..spare as usize);
    }

    /// The further of the two, without the values that the other has seen replaced.
    fn sync(&mut self, theirs: &Entry<V>)
    where
        V: Clone,
    {
        let replaced = self.replaced().max(theirs.replaced());
        if theirs.counter > self.counter {
            *self = theirs.clone();
        }
        self.keep_last(self.counter - replaced);
    }
}

/// By server: its last write, then the values that count, oldest first.
impl<V: Codec> Codec for DottedVersions<V> {
    fn encode(&self, out: &mut BytesMut) {
        (self.entries.len() as u32).encode(out);
        for (node, entry) in &self.entries {
            Dot { node: *node, counter: entry.counter }.encode(out);
            entry.values.encode(out);
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let mut entries = BTreeMap::new();
        for _ in 0..u32::decode(input)? {
            let (Dot { node, counter }, values) = (Dot::decode(input)?, Vec::decode(input)?);
            if values.len() as u64 > counter {
                return Err(Malformed("more values than writes"));
            }
            if entries.last_key_value().is_some_and(|(last, _)| *last >= node) {
                return Err(Malformed("versions name their servers in order, each once"));
            }
            entries.insert(node, Entry { counter, values });
        }
        Ok(DottedVersions { entries })
    }
}
