//! Commands and the whole state as bytes, and back. Both begin with a version; an unknown one is refused.

use super::machine::{Ended, Fence, Limits, Lock, Locks};
use super::types::{Claim, Command, Grant, Terms, Token, Waiter};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use quipu_base::codec::{Codec, Malformed};
use quipu_base::codec_struct;
use smol_str::SmolStr;

/// The version of commands and snapshots that is written, and the only one that is read.
const VERSION: u8 = 1;

/// A name between our own types and the codec's.
struct Name(SmolStr);

impl Codec for Name {
    fn encode(&self, out: &mut BytesMut) {
        (self.0.len() as u32).encode(out);
        out.extend_from_slice(self.0.as_bytes());
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Name(String::decode(input)?.into()))
    }
}

impl Codec for Token {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Token(u64::decode(input)?))
    }
}

impl Codec for Claim {
    fn encode(&self, out: &mut BytesMut) {
        Name(self.owner.clone()).encode(out);
        Name(self.request.clone()).encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Claim { owner: Name::decode(input)?.0, request: Name::decode(input)?.0 })
    }
}

codec_struct!(Terms { permits, ttl_ms, wait_ms, delay_ms, value });
codec_struct!(Grant { token, claim, ttl_ms, renewals, delay_ms, value });
codec_struct!(Waiter { claim, terms });
codec_struct!(Fence { minimum });

mod tag {
    pub(super) const ACQUIRE: u8 = 1;
    pub(super) const RENEW: u8 = 2;
    pub(super) const RELEASE: u8 = 3;
    pub(super) const WITHDRAW: u8 = 4;
    pub(super) const EXPIRE: u8 = 5;
    pub(super) const RESTED: u8 = 6;
    pub(super) const EVICT: u8 = 7;
    pub(super) const GUARD: u8 = 8;
}

impl Codec for Command {
    fn encode(&self, out: &mut BytesMut) {
        VERSION.encode(out);
        let mut begin = |tag: u8, name: &SmolStr| {
            tag.encode(out);
            Name(name.clone()).encode(out);
        };
        match self {
            Command::Acquire { name, claim, terms } => {
                begin(tag::ACQUIRE, name);
                claim.encode(out);
                terms.encode(out);
            }
            Command::Withdraw { name, request } => {
                begin(tag::WITHDRAW, name);
                Name(request.clone()).encode(out);
            }
            Command::Expire { name, token, renewals } => {
                begin(tag::EXPIRE, name);
                token.encode(out);
                renewals.encode(out);
            }
            Command::Renew { name, token } => {
                begin(tag::RENEW, name);
                token.encode(out);
            }
            Command::Release { name, token } => {
                begin(tag::RELEASE, name);
                token.encode(out);
            }
            Command::Rested { name, token } => {
                begin(tag::RESTED, name);
                token.encode(out);
            }
            Command::Evict { name, token } => {
                begin(tag::EVICT, name);
                token.encode(out);
            }
            Command::Guard { resource, token } => {
                begin(tag::GUARD, resource);
                token.encode(out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        version(input)?;
        let tag = u8::decode(input)?;
        let name = Name::decode(input)?.0;
        Ok(match tag {
            tag::ACQUIRE => {
                Command::Acquire { name, claim: Codec::decode(input)?, terms: Codec::decode(input)? }
            }
            tag::RENEW => Command::Renew { name, token: Codec::decode(input)? },
            tag::RELEASE => Command::Release { name, token: Codec::decode(input)? },
            tag::WITHDRAW => Command::Withdraw { name, request: Name::decode(input)?.0 },
            tag::EXPIRE => {
                Command::Expire { name, token: Codec::decode(input)?, renewals: Codec::decode(input)? }
            }
            tag::RESTED => Command::Rested { name, token: Codec::decode(input)? },
            tag::EVICT => Command::Evict { name, token: Codec::decode(input)? },
            tag::GUARD => Command::Guard { resource: name, token: Codec::decode(input)? },
            _ => return Err(Malformed("an unknown command about locks")),
        })
    }
}

fn version(input: &mut Bytes) -> Result<(), Malformed> {
    match u8::decode(input)? {
        VERSION => Ok(()),
        _ => Err(Malformed("locks of another version")),
    }
}

impl Locks {
    /// The whole state as bytes: equal states give equal bytes.
    pub fn snapshot(&self) -> Bytes {
        let mut out = BytesMut::new();
        VERSION.encode(&mut out);
        self.last.encode(&mut out);
        (self.locks.len() as u32).encode(&mut out);
        for (name, lock) in &self.locks {
            Name(name.clone()).encode(&mut out);
            lock.encode(&mut out);
        }
        (self.fences.len() as u32).encode(&mut out);
        for (resource, fence) in &self.fences {
            Name(resource.clone()).encode(&mut out);
            fence.encode(&mut out);
        }
        (self.ended.len() as u32).encode(&mut out);
        for Ended { name, request, token } in &self.ended {
            Name(name.clone()).encode(&mut out);
            Name(request.clone()).encode(&mut out);
            token.encode(&mut out);
        }
        out.freeze()
    }

    /// The state that a snapshot is of.
    ///
    /// # Errors
    /// If the bytes are none, or are of a version that is not known.
    pub fn restore(limits: Limits, mut input: Bytes) -> Result<Self, Malformed> {
        let input = &mut input;
        version(input)?;
        let last = u64::decode(input)?;
        let locks = pairs(input)?;
        let fences = pairs(input)?;
        let mut ended = VecDeque::new();
        for _ in 0..count(input)? {
            let (name, request) = (Name::decode(input)?.0, Name::decode(input)?.0);
            ended.push_back(Ended { name, request, token: Codec::decode(input)? });
        }
        if !input.is_empty() {
            return Err(Malformed("trailing bytes"));
        }
        let mut restored = Locks { limits, last, locks, fences, ..Locks::default() };
        ended.iter().for_each(|ended| restored.know(ended));
        restored.ended = ended;
        Ok(restored)
    }
}

fn count(input: &mut Bytes) -> Result<u32, Malformed> {
    let count = u32::decode(input)?;
    // Every item takes at least a byte.
    if count as usize > input.len() { Err(Malformed("more items than bytes")) } else { Ok(count) }
}

fn pairs<T: Codec>(input: &mut Bytes) -> Result<BTreeMap<SmolStr, T>, Malformed> {
    (0..count(input)?).map(|_| Ok((Name::decode(input)?.0, T::decode(input)?))).collect()
}

impl Codec for Lock {
    fn encode(&self, out: &mut BytesMut) {
        self.permits.encode(out);
        (self.holders.len() as u32).encode(out);
        self.holders.values().for_each(|grant| grant.encode(out));
        (self.waiters.len() as u32).encode(out);
        self.waiters.iter().for_each(|waiter| waiter.encode(out));
        (self.resting.len() as u32).encode(out);
        for (token, delay_ms) in &self.resting {
            token.encode(out);
            delay_ms.encode(out);
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let permits = u32::decode(input)?;
        let holders: Vec<Grant> = Codec::decode(input)?;
        let waiters: Vec<Waiter> = Codec::decode(input)?;
        let resting: Result<_, Malformed> =
            (0..count(input)?).map(|_| Ok((Codec::decode(input)?, Codec::decode(input)?))).collect();
        Ok(Lock {
            permits,
            holders: holders.into_iter().map(|grant| (grant.token, grant)).collect(),
            waiters: waiters.into(),
            resting: resting?,
        })
    }
}
