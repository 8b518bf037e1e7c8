//! The paper's algorithm (section 3.1): two rules, for sending markers and for receiving them.

use super::{Body, Event, Message, RECORDED, Recordable, Snapshot, SnapshotId, UNDER_WAY};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use quipu_base::{Env, Input, NodeId};

/// What a node has recorded of a snapshot so far.
pub(super) struct Recording<A: Recordable> {
    state: A::State,
    /// What came along each channel after the node recorded its state and before the channel's marker.
    channels: BTreeMap<NodeId, Vec<A::Message>>,
    /// The channels whose marker has not come.
    open: BTreeSet<NodeId>,
}

impl<A: Recordable> Snapshot<A> {
    /// "The algorithm can be initiated by one or more processes, each of which records its state spontaneously."
    pub(super) fn begin(&mut self, env: &mut Env<Self>) {
        let snapshot = SnapshotId { initiator: self.me, number: self.begun };
        self.begun += 1;
        self.record_state(snapshot, env);
    }

    /// Records the node's state, and follows the marker-sending rule: "p sends one marker along c after p records its state
    /// and before p sends further messages along c", for every channel c away from p.
    fn record_state(&mut self, snapshot: SnapshotId, env: &mut Env<Self>) {
        if self.recordings.len() >= UNDER_WAY {
            return;
        }
        let others: BTreeSet<NodeId> = self.others().collect();
        for other in &others {
            let number = self.numbering.next(*other);
            env.send(*other, Message { number, body: Body::Marker(snapshot) });
        }
        let channels = others.iter().map(|other| (*other, Vec::new())).collect();
        self.recordings.insert(snapshot, Recording { state: self.inner.state(), channels, open: others });
        self.complete(snapshot, env);
    }

    /// The marker-receiving rule: a node that has not recorded its state does so now, and the channel is empty. Otherwise the
    /// channel's state is what came along it since then.
    pub(super) fn receive_marker(&mut self, from: NodeId, snapshot: SnapshotId, env: &mut Env<Self>) {
        if !self.recordings.contains_key(&snapshot) {
            self.record_state(snapshot, env);
        }
        if let Some(recording) = self.recordings.get_mut(&snapshot) {
            recording.open.remove(&from);
            self.complete(snapshot, env);
        }
    }

    /// A message of the protocol inside: it belongs to the state of its channel, in every snapshot that has this node's state
    /// from before and not yet the channel's marker.
    pub(super) fn receive(&mut self, from: NodeId, message: A::Message, env: &mut Env<Self>) {
        for recording in self.recordings.values_mut().filter(|recording| recording.open.contains(&from)) {
            recording.channels.entry(from).or_default().push(message.clone());
        }
        let before = self.recordings.len();
        self.recordings
            .retain(|_, recording| recording.channels.values().map(Vec::len).sum::<usize>() <= RECORDED);
        self.abandoned += (before - self.recordings.len()) as u64;
        self.run(Input::Message { from, message }, env);
    }

    /// Tells what the node has recorded, once every channel's marker has come.
    fn complete(&mut self, snapshot: SnapshotId, env: &mut Env<Self>) {
        if self.recordings.get(&snapshot).is_some_and(|recording| recording.open.is_empty()) {
            let recording = self.recordings.remove(&snapshot).expect("it was just there");
            let Recording { state, channels, .. } = recording;
            env.emit(Event::Recorded { snapshot, state, channels });
        }
    }
}
