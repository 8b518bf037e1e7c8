//! Two replicas descend to where they differ.
//!
//! One says its root. If the other's is another, that one describes the whole; and then each answers a description with
//! descriptions of what differs within it, until entries are named. It takes `log16` of the keys rounds, and bytes for
//! what differs, not for what there is. Neither has to remember what it said: a description that is lost is
//! only a difference that the next exchange finds.

use super::MerkleTree;
use super::range::{FANOUT, Range};
use crate::codec::{Codec, Malformed};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// A range with at most so many entries is described by naming them: that is shorter than sixteen digests and spares
/// rounds.
pub const SMALL: usize = 8;

/// What a replica says it holds in a range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description<K> {
    /// The range.
    pub range: Range,
    /// What is in it.
    pub content: Content<K>,
}

/// What a replica says it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content<K> {
    /// The digests of the range's children.
    Children([u64; FANOUT]),
    /// Every key in the range and the digest of what is held there, in the order of their positions.
    Entries(Vec<(K, u64)>),
}

/// What follows from a peer's descriptions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step<K> {
    /// What to answer: descriptions of ranges that differ. Nothing, if none do or if all are known to the last key.
    pub answer: Vec<Description<K>>,
    /// Keys at which the two hold something different, or one of them nothing, each once for each time it was described.
    pub differ: Vec<K>,
}

impl<K: Ord + Clone + AsRef<[u8]>> MerkleTree<K> {
    /// What there is in a range.
    pub fn describe(&self, range: Range) -> Description<K> {
        let is_small = self.entries(range).nth(SMALL).is_none();
        let entries = || self.entries(range).map(|(key, digest)| (key.clone(), digest)).collect();
        let content = match self.children(range).filter(|_| !is_small) {
            Some(children) => Content::Children(children),
            None => Content::Entries(entries()),
        };
        Description { range, content }
    }

    /// Compares a peer's descriptions with what is here: at most `limit` answers and `limit` keys. The rest is found in
    /// the next exchange, when these differ no more.
    pub fn compare(&self, theirs: &[Description<K>], limit: usize) -> Step<K> {
        let mut step = Step { answer: Vec::new(), differ: Vec::new() };
        for Description { range, content } in theirs {
            match (content, self.children(*range)) {
                (Content::Children(theirs), Some(ours)) => {
                    let differing = (0..FANOUT).filter(|child| ours[*child] != theirs[*child]);
                    let room = limit - step.answer.len();
                    step.answer.extend(differing.take(room).map(|child| self.describe(range.child(child))));
                }
                // A leaf has no children: whoever says so breaks the rules.
                (Content::Children(_), None) => {}
                (Content::Entries(theirs), _) => {
                    let room = limit - step.differ.len();
                    step.differ.extend(self.differing(*range, theirs).take(room));
                }
            }
        }
        step
    }

    /// The keys of a range at which a peer holds something else than we, or one of us nothing.
    fn differing<'a>(&'a self, range: Range, theirs: &'a [(K, u64)]) -> impl Iterator<Item = K> + 'a {
        let mut sorted: Vec<&(K, u64)> = theirs.iter().collect();
        sorted.sort_unstable();
        let missing_there =
            move |key: &K| sorted.binary_search_by(|(their_key, _)| their_key.cmp(key)).is_err();
        let here_only = self.entries(range).map(|(key, _)| key).filter(move |key| missing_there(key));
        let is_different = move |(key, digest): &&(K, u64)| {
            range.contains(super::position(key)) && self.get(key) != Some(*digest)
        };
        theirs.iter().filter(is_different).map(|(key, _)| key).chain(here_only).cloned()
    }
}

impl<K: Codec> Codec for Description<K> {
    fn encode(&self, out: &mut BytesMut) {
        self.range.encode(out);
        match &self.content {
            Content::Children(digests) => {
                0u8.encode(out);
                digests.iter().for_each(|digest| digest.encode(out));
            }
            Content::Entries(entries) => {
                1u8.encode(out);
                (entries.len() as u32).encode(out);
                for (key, digest) in entries {
                    key.encode(out);
                    digest.encode(out);
                }
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let range = Range::decode(input)?;
        let content = match u8::decode(input)? {
            0 => {
                let mut digests = [0; FANOUT];
                for digest in &mut digests {
                    *digest = u64::decode(input)?;
                }
                Content::Children(digests)
            }
            1 => {
                let count = u32::decode(input)? as usize;
                if count > input.len() / size_of::<u64>() {
                    return Err(Malformed("more entries than bytes"));
                }
                let entry = |_| Ok((K::decode(input)?, u64::decode(input)?));
                Content::Entries((0..count).map(entry).collect::<Result<_, _>>()?)
            }
            _ => return Err(Malformed("a description of a range")),
        };
        Ok(Description { range, content })
    }
}
