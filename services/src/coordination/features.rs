//! What only works once every member understands it.
//!
//! A log entry that one replica carries out and another cannot read would tear them apart. So whatever is new in the
//! log stays closed until every member has said, within the last two seconds, that it understands it; then the leader opens it
//! for good with an entry of the old kind, which all of them read: a flag `quipu.NAME` in the tree, like any other
//! flag but that only the cluster writes it. What comes behind that entry may use the feature.
//!
//! Members say it with their touches, as a session that cannot be: its node is 0. Versions before features pass over it.

use super::message::Message;
use super::service::Coordination;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use quipu_base::{Env, NodeId, Time};
use quipu_machines::tree::{Acl, Command, CreateMode, Identity, Op, READ, SessionId};

/// How long a member's word counts.
const FRESH: Duration = Duration::from_secs(2);

/// How often members say it, while it matters.
const SAY_EVERY: Duration = Duration::from_millis(500);

/// The flags of the cluster and of its users.
pub(super) const FLAGS_PATH: &str = "/quipu/flags";

/// The rules that flags share.
pub(super) const EVALUATORS_PATH: &str = "/quipu/flag-evaluators";

/// Something new in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Feature {
    /// Errands: locks, and changes of the tree without a session.
    Locks,
}

impl Feature {
    /// All that this program understands.
    pub const ALL: [Feature; 1] = [Feature::Locks];

    /// The name of its flag.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::Locks => "quipu.locks",
        }
    }

    /// How a member says that it understands it.
    const fn mark(self) -> SessionId {
        match self {
            Feature::Locks => SessionId(1),
        }
    }

    fn path(self) -> String {
        format!("{FLAGS_PATH}/{}", self.name())
    }

    /// The flag of a feature that is open, as flagd writes flags.
    const fn flag(self) -> &'static str {
        match self {
            Feature::Locks => {
                r#"{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","metadata":{"description":"every member understands it","owner":"quipu"}}"#
            }
        }
    }
}

/// Who understands what, as the leader has heard, and what is open.
#[derive(Debug, Default)]
pub(super) struct Features {
    /// When each member last said so.
    heard: BTreeMap<(Feature, NodeId), Time>,
    /// What the tree says.
    open: Vec<Feature>,
    say_next: Time,
}

impl Features {
    pub(super) fn is_open(&self, feature: Feature) -> bool {
        self.open.contains(&feature)
    }

    /// This node does not lead (any more).
    pub(super) fn clear(&mut self) {
        self.heard.clear();
    }
}

impl Coordination {
    /// Whether what is new may be used.
    pub fn is_open(&self, feature: Feature) -> bool {
        self.features.is_open(feature)
    }

    /// Tells the leader what this node understands, while that can matter.
    pub(super) fn say_features(&mut self, env: &mut Env<Self>) {
        let votes = self.addresses.get(&self.config.id).is_some_and(|own| own.voting);
        let own = self.config.features;
        let settled = own.is_empty() || votes && own.iter().all(|feature| self.is_open(*feature));
        let Some(leader) = self.leader.filter(|_| !settled && env.now() >= self.features.say_next) else {
            return;
        };
        self.features.say_next = env.now() + SAY_EVERY;
        let marks: Vec<SessionId> = own.iter().map(|feature| feature.mark()).collect();
        if leader == self.config.id {
            self.hear_features(leader, &marks, env.now());
        } else {
            env.send(leader, Message::Touch(marks));
        }
    }

    /// A member has touched sessions, some of which may be no sessions.
    pub(super) fn hear_features(&mut self, from: NodeId, touched: &[SessionId], now: Time) {
        for feature in Feature::ALL.into_iter().filter(|feature| touched.contains(&feature.mark())) {
            self.features.heard.insert((feature, from), now);
        }
    }

    /// Opens what every member understands.
    pub(super) fn open_features(&mut self, env: &mut Env<Self>) {
        for feature in Feature::ALL {
            let all = self.addresses.keys().all(|member| self.understands(*member, feature, env.now()));
            if !self.is_open(feature) && all {
                let acl = Vec::from([Acl {
                    permissions: READ,
                    identity: Identity { scheme: "world".into(), id: "anyone".into() },
                }]);
                let data = Some(Bytes::from_static(feature.flag().as_bytes()));
                let op = Op::Create { path: feature.path(), data, acl, mode: CreateMode::Persistent };
                self.propose_own(&Command::System { ops: Vec::from([op]) }, env);
                // Should that get lost, the members say it again.
                self.features.heard.clear();
            }
        }
    }

    fn understands(&self, member: NodeId, feature: Feature, now: Time) -> bool {
        self.features.heard.get(&(feature, member)).is_some_and(|heard| now.since(*heard) < FRESH)
    }

    /// Whether a member may vote as far as features are concerned: one that cannot read the log must not.
    pub(super) fn understands_all(&self, member: NodeId, now: Time) -> bool {
        self.features.open.iter().all(|feature| self.understands(member, *feature, now))
    }

    pub(super) fn reread_features(&mut self) {
        let open = |feature: &Feature| self.tree.exists(&feature.path()).is_ok();
        self.features.open = Feature::ALL.into_iter().filter(open).collect();
    }

    /// A feature that is open in this cluster and that this program does not know: it must not go on.
    pub fn unknown_feature(&self) -> Option<String> {
        let (names, _) = self.tree.children(FLAGS_PATH, &[]).ok()?;
        let known = |name: &str| Feature::ALL.iter().any(|feature| feature.name() == name);
        names.filter(|name| name.starts_with("quipu.")).find(|name| !known(name)).map(String::from)
    }
}
