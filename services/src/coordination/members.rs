//! The members: as Raft replicates them, as ZooKeeper shows them, and as operators change them.
//!
//! Addresses travel in the context of Raft's membership, so that whoever learns of a member learns where it is.
//! The tree shows the same under `/quipu/members` and, in ZooKeeper's form, in `/zookeeper/config`.

use super::types::{Administer, Member, RefusalReason};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt::Write;
use quipu_base::NodeId;
use quipu_base::codec::{Codec, Malformed};
use quipu_base::quorum::Voters;
use quipu_machines::tree::{Acl, CreateMode, Identity, Op};
use quipu_protocols::raft::{Change, Membership};

/// ZooKeeper's node for the members.
pub(super) const CONFIG_PATH: &str = "/zookeeper/config";

/// Our own node for the members: one child for each.
pub(super) const MEMBERS_PATH: &str = "/quipu/members";

/// The membership of a new cluster.
pub(super) fn bootstrap(members: &[Member]) -> Membership {
    let ids =
        |voting: bool| members.iter().filter(move |member| member.voting == voting).map(|member| member.id);
    Membership {
        voters: Voters::of(ids(true)),
        learners: ids(false).collect(),
        context: members.to_vec().to_bytes(),
    }
}

/// The members that a membership names, each with the part it has there.
pub(super) fn members_of(membership: &Membership) -> Result<Vec<Member>, Malformed> {
    let mut members: Vec<Member> = Codec::from_bytes(membership.context.clone())?;
    for member in &mut members {
        member.voting = membership.voters.contains(member.id);
    }
    Ok(members)
}

/// The change that grants a wish, given the members there are. `caught_up` tells whether a learner may vote.
pub(super) fn plan(
    members: &[Member],
    wish: &Administer,
    caught_up: impl Fn(NodeId) -> bool,
) -> Result<Change, RefusalReason> {
    let mut wanted: BTreeMap<NodeId, Member> =
        members.iter().map(|member| (member.id, member.clone())).collect();
    match wish {
        Administer::Add(member) => {
            let voting = wanted.get(&member.id).is_some_and(|known| known.voting);
            let member = Member { voting, ..member.clone() };
            if wanted.insert(member.id, member.clone()).is_some_and(|before| before == member) {
                return Err(RefusalReason::AlreadyDone);
            }
        }
        Administer::Promote(node) => {
            let member = wanted.get_mut(node).ok_or(RefusalReason::UnknownMember)?;
            if member.voting {
                return Err(RefusalReason::AlreadyDone);
            }
            if !caught_up(*node) {
                return Err(RefusalReason::NotCaughtUp);
            }
            member.voting = true;
        }
        Administer::Remove(node) => {
            wanted.remove(node).ok_or(RefusalReason::UnknownMember)?;
        }
        Administer::Replace(members) => {
            let votes = |node: NodeId| wanted.get(&node).is_some_and(|known| known.voting);
            if members.iter().any(|new| new.voting && !votes(new.id) && !caught_up(new.id)) {
                return Err(RefusalReason::NotCaughtUp);
            }
            wanted = members.iter().map(|member| (member.id, member.clone())).collect();
        }
        Administer::Transfer(_) => return Err(RefusalReason::BadChange),
    }
    change_to(wanted.into_values().collect())
}

/// The change after which exactly these are members.
pub(super) fn change_to(members: Vec<Member>) -> Result<Change, RefusalReason> {
    let ids =
        |voting: bool| members.iter().filter(move |member| member.voting == voting).map(|member| member.id);
    let (voters, learners): (BTreeSet<_>, BTreeSet<_>) = (ids(true).collect(), ids(false).collect());
    if voters.is_empty() {
        return Err(RefusalReason::BadChange);
    }
    Ok(Change { voters, learners, context: members.to_bytes() })
}

/// How a committed membership shows in the tree, where `/quipu/members` has had these children so far.
pub(super) fn shown(before: &[String], members: &[Member], zxid: i64) -> Vec<Op> {
    let path = |name: &str| format!("{MEMBERS_PATH}/{name}");
    let gone = before.iter().filter(|name| members.iter().all(|member| member.id.0.to_string() != **name));
    let mut ops: Vec<Op> = gone.map(|name| Op::Delete { path: path(name), version: -1 }).collect();
    ops.extend(members.iter().map(|member| {
        let text = format!(
            "peer={}\nclient={}\nhttp={}\nvoting={}\n",
            member.peer, member.client, member.http, member.voting
        );
        Op::SetData { path: path(&member.id.0.to_string()), data: Some(Bytes::from(text)), version: -1 }
    }));
    ops.push(Op::SetData {
        path: CONFIG_PATH.to_string(),
        data: Some(config_text(members, zxid)),
        version: -1,
    });
    ops
}

/// The nodes of our own that a new cluster begins with: anybody reads them, only the super user changes them.
pub(super) fn foundation(linearizable_reads: bool) -> Vec<Op> {
    let acl = Vec::from([Acl {
        permissions: 1,
        identity: Identity { scheme: "world".into(), id: "anyone".into() },
    }]);
    let node = |path: &str, data: &str| Op::Create {
        path: path.to_string(),
        data: Some(Bytes::copy_from_slice(data.as_bytes())),
        acl: acl.clone(),
        mode: CreateMode::Persistent,
    };
    Vec::from([
        node("/quipu", ""),
        node(MEMBERS_PATH, ""),
        node("/quipu/settings", ""),
        node(SETTING_LINEARIZABLE_READS, if linearizable_reads { "true" } else { "false" }),
    ])
}

/// The setting that makes every read linearizable: `true` or `false`.
pub(super) const SETTING_LINEARIZABLE_READS: &str = "/quipu/settings/linearizable_reads";

/// `/zookeeper/config` as ZooKeeper writes it (`QuorumMaj.toString` and `QuorumPeer.configData`).
fn config_text(members: &[Member], zxid: i64) -> Bytes {
    let mut text = String::new();
    for member in members {
        let _ = writeln!(text, "{}", server_line(member));
    }
    let _ = write!(text, "version={zxid:x}");
    Bytes::from(text)
}

fn server_line(member: &Member) -> String {
    let role = if member.voting { "participant" } else { "observer" };
    format!("server.{}={}:{}:{role};{}", member.id.0, member.peer, member.election_port, member.client)
}

/// Reads one `[server.]ID=HOST:PORT:PORT[:ROLE];[HOST:]PORT` of a `reconfig`. `None`: it is none.
pub(super) fn parse_server(text: &str) -> Option<Member> {
    let (name, rest) = text.trim().split_once('=')?;
    let name = name.trim();
    let id: u64 = name.strip_prefix("server.").unwrap_or(name).parse().ok()?;
    let (quorum, client) = rest.split_once(';')?;
    let (quorum, voting) = match quorum.rsplit_once(':')? {
        (quorum, "participant") => (quorum, true),
        (quorum, "observer") => (quorum, false),
        _ => (quorum, true),
    };
    let (peer, election_port) = quorum.rsplit_once(':')?;
    let (host, port) = peer.rsplit_once(':')?;
    let _: u16 = port.parse().ok().filter(|_| !host.is_empty())?;
    let client = if client.contains(':') { client.to_string() } else { format!("0.0.0.0:{client}") };
    let _: u16 = client.rsplit_once(':')?.1.parse().ok()?;
    Some(Member {
        id: NodeId(id),
        peer: peer.to_string(),
        election_port: election_port.parse().ok()?,
        client,
        http: String::new(),
        voting,
    })
}

/// Whether a node may have this number: session ids hold it in eight bits.
pub(super) fn in_range(node: NodeId) -> bool {
    (1..=255).contains(&node.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zookeepers_form_comes_back() {
        for line in [
            "server.100=127.0.0.1:2889:3888:observer;0.0.0.0:2181",
            "server.3=[::1]:2889:3888:participant;[::1]:2181",
        ] {
            assert_eq!(server_line(&parse_server(line).expect(line)), line);
        }
        assert_eq!(
            parse_server("server.1=h:1:2;3").map(|member| member.client),
            Some("0.0.0.0:3".to_string())
        );
        assert_eq!(parse_server("5=h:1:2;3").map(|member| member.id), Some(NodeId(5)));
        for nonsense in ["", "server.1", "server.x=h:1:2;3", "server.1=h:1;3", "server.1=h:1:2;x"] {
            assert_eq!(parse_server(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn wishes_are_planned_or_refused() {
        let member = |id: u64, voting: bool| Member {
            id: NodeId(id),
            peer: format!("h{id}:1"),
            election_port: 2,
            client: format!("h{id}:3"),
            http: String::new(),
            voting,
        };
        let members = [member(1, true), member(2, false)];
        let plan = |wish: Administer, caught_up: bool| plan(&members, &wish, |_| caught_up);
        assert_eq!(plan(Administer::Add(member(2, true)), true), Err(RefusalReason::AlreadyDone));
        assert_eq!(plan(Administer::Promote(NodeId(1)), true), Err(RefusalReason::AlreadyDone));
        assert_eq!(plan(Administer::Promote(NodeId(2)), false), Err(RefusalReason::NotCaughtUp));
        assert_eq!(plan(Administer::Promote(NodeId(9)), true), Err(RefusalReason::UnknownMember));
        assert_eq!(
            plan(Administer::Remove(NodeId(1)), true),
            Err(RefusalReason::BadChange),
            "nobody would vote"
        );
        let change = plan(Administer::Promote(NodeId(2)), true).expect("caught up");
        assert_eq!(change.voters, BTreeSet::from([NodeId(1), NodeId(2)]));
        let change = plan(Administer::Add(member(3, true)), true).expect("new");
        assert_eq!(
            change.learners,
            BTreeSet::from([NodeId(2), NodeId(3)]),
            "a new member does not vote at once"
        );
    }
}
