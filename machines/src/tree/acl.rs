//! Who may do what: the schemes `world`, `auth`, `digest` and `ip`, and `super`, who may do everything
//! (ZooKeeper's `PrepRequestProcessor.fixupACL`, `ZooKeeperServer.checkACL`, `server/auth`).

use super::types::{Acl, Error, Identity};
use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base64::Engine;
use core::net::IpAddr;
use sha1::{Digest, Sha1};
use smol_str::{SmolStr, format_smolstr};

/// To read a node's data and the names of its children.
pub const READ: u32 = 1;
/// To set a node's data.
pub const WRITE: u32 = 2;
/// To create children.
pub const CREATE: u32 = 4;
/// To delete children.
pub const DELETE: u32 = 8;
/// To set a node's ACL.
pub const ADMIN: u32 = 16;
/// Everything.
pub const ALL: u32 = READ | WRITE | CREATE | DELETE | ADMIN;

/// How many entries one node's ACL may have once `auth` is expanded. ZooKeeper has no such limit; without one a
/// request could multiply its own entries by its identities.
pub const ENTRIES_MAX: usize = 4096;

/// What a client that proves it knows `user:password` is called in the `digest` scheme: the user, a colon, and
/// base64 of SHA-1 of the whole.
pub fn digest_id(user_colon_password: &str) -> String {
    let hash = Sha1::digest(user_colon_password.as_bytes());
    let mut id = String::from(user_colon_password.split(':').next().unwrap_or_default());
    id.push(':');
    base64::engine::general_purpose::STANDARD.encode_string(hash, &mut id);
    id
}

impl Acl {
    /// Everybody may do what `permissions` says.
    pub fn anyone(permissions: u32) -> Acl {
        let identity = Identity { scheme: SmolStr::new_static("world"), id: SmolStr::new_static("anyone") };
        Acl { permissions, identity }
    }
}

/// Whether an ACL lets somebody do at least one of the things in `wanted`.
pub(super) fn permits(acl: &[Acl], who: &[Identity], wanted: u32) -> bool {
    acl.iter().any(|entry| entry.permissions & wanted != 0 && entry.admits(who))
        || who.iter().any(|identity| identity.scheme == "super")
}

impl Acl {
    fn admits(&self, who: &[Identity]) -> bool {
        let Identity { scheme, id } = &self.identity;
        match scheme.as_str() {
            "world" => id == "anyone",
            "digest" => who.iter().any(|it| it.scheme == "digest" && it.id == *id),
            "ip" => who.iter().any(|it| it.scheme == "ip" && network_contains(id, &it.id)),
            _ => false,
        }
    }

    fn is_valid(&self) -> bool {
        let Identity { scheme, id } = &self.identity;
        match scheme.as_str() {
            "world" => id == "anyone",
            // Java's split drops trailing empty parts, so `user:` has one part and is refused, while `:hash` has two.
            "digest" => id.trim_end_matches(':').split(':').count() == 2,
            "ip" => parse_network(id).is_some(),
            _ => false,
        }
    }
}

/// What is stored for an ACL as a client sends it: duplicates dropped, `auth` replaced by whoever the client has
/// authenticated as. Addresses do not count as such, and neither does `super`, which always comes with a digest.
///
/// # Errors
/// [`Error::InvalidAcl`] if it is empty, has an unknown scheme or a malformed id, asks for `auth` without any, or
/// grows beyond [`ENTRIES_MAX`].
pub(super) fn resolve<'a>(acl: &'a [Acl], who: &[Identity]) -> Result<Cow<'a, [Acl]>, Error> {
    if let [entry] = acl
        && entry.is_valid()
    {
        return Ok(Cow::Borrowed(acl));
    }
    let mut resolved = Vec::with_capacity(acl.len().min(ENTRIES_MAX));
    let mut seen = BTreeSet::new();
    for entry in acl {
        if !seen.insert(entry) {
            continue;
        }
        if entry.identity.scheme == "auth" {
            let before = resolved.len();
            let authenticated = who.iter().filter(|identity| identity.scheme == "digest");
            resolved
                .extend(authenticated.map(|it| Acl { permissions: entry.permissions, identity: it.clone() }));
            if resolved.len() == before {
                return Err(Error::InvalidAcl);
            }
        } else if entry.is_valid() {
            resolved.push(entry.clone());
        } else {
            return Err(Error::InvalidAcl);
        }
        if resolved.len() > ENTRIES_MAX {
            return Err(Error::InvalidAcl);
        }
    }
    if resolved.is_empty() { Err(Error::InvalidAcl) } else { Ok(Cow::Owned(resolved)) }
}

/// What somebody who may read a node but not administer it sees of its ACL: no password hashes.
pub(super) fn masked(acl: &[Acl]) -> Vec<Acl> {
    let mask = |entry: &Acl| {
        let mut entry = entry.clone();
        if entry.identity.scheme == "digest"
            && let Some(colon) = entry.identity.id.find(':')
        {
            entry.identity.id = format_smolstr!("{}:x", &entry.identity.id[..colon]);
        }
        entry
    };
    acl.iter().map(mask).collect()
}

/// Whether an address lies in `a.b.c.d`, `a.b.c.d/bits`, or the like for IPv6.
fn network_contains(network: &str, address: &str) -> bool {
    match (parse_network(network), address.parse()) {
        (Some((IpAddr::V4(network), bits)), Ok(IpAddr::V4(address))) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (Some((IpAddr::V6(network), bits)), Ok(IpAddr::V6(address))) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

fn parse_network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(width), |bits| bits.parse().ok())?;
    (bits <= width).then_some((address, bits))
}

/// One copy of each distinct ACL: a million nodes commonly share a handful.
#[derive(Debug)]
pub(super) struct AclTable {
    lists: BTreeSet<Arc<[Acl]>>,
    sweep_at: usize,
}

impl AclTable {
    const SWEEP_AT_LEAST: usize = 64;

    pub(super) fn new() -> AclTable {
        AclTable { lists: BTreeSet::new(), sweep_at: Self::SWEEP_AT_LEAST }
    }

    pub(super) fn intern(&mut self, list: &[Acl]) -> Arc<[Acl]> {
        if let Some(known) = self.lists.get(list) {
            return known.clone();
        }
        // Lists that no node refers to any more go when the table has doubled, which costs nothing amortised.
        if self.lists.len() >= self.sweep_at {
            self.lists.retain(|list| Arc::strong_count(list) > 1);
            self.sweep_at = Self::SWEEP_AT_LEAST.max(2 * self.lists.len());
        }
        let list: Arc<[Acl]> = Arc::from(list);
        self.lists.insert(list.clone());
        list
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lists.len()
    }
}
