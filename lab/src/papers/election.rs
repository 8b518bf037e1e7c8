//! Bully election: how many messages it takes.

use super::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::{InMemory, NodeId};
use quipu_protocols::bully::{Bully, Config, Elect, State};
use std::time::Duration;

/// Every experiment of this file.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![Box::new(Messages)]
}

/// The messages of one election.
struct Messages;

const ANSWER: Duration = Duration::from_millis(10);

impl Experiment for Messages {
    fn name(&self) -> &'static str {
        "bully-messages"
    }

    fn run(&self, _: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let (mut rows, mut worst, mut best) = (Vec::new(), Vec::new(), Vec::new());
        for members in 3..=12 {
            tick(Progress { done: members - 3, of: 10 });
            let n = members as f64;
            let lowest = messages(members, 1) as f64;
            let highest = messages(members, members - 1) as f64;
            rows.push(Row::exact(format!("n = {members}, the lowest starts"), n * n - n - 1.0, lowest));
            rows.push(Row::exact(format!("n = {members}, the highest who lives starts"), n - 1.0, highest));
            worst.push((n, lowest));
            best.push((n, highest));
        }
        Findings {
            title: "Bully election: messages".to_owned(),
            source: "Garcia-Molina, Elections in a Distributed Computing System (IEEE Trans. Computers, 1982)".to_owned(),
            method: "Of n members the highest leads and stops; one of the others notices. Counted are all messages until the \
                     next highest leads and is followed by everybody, those to the dead coordinator too. The lowest: \
                     n(n−1)/2 elections, (n−1)(n−2)/2 answers, n−2 announcements, n²−n−1 together. The highest who \
                     lives: one election and n−2 announcements. The numbers are those of the algorithm as it is \
                     taught; the paper's own has further rounds in which tasks are handed out."
                .to_owned(),
            rows,
            figures: vec![Figure {
                name: "bully-messages".to_owned(),
                title: "Bully election: messages until there is a leader again".to_owned(),
                x: Axis::linear("members"),
                y: Axis::linear("messages"),
                series: vec![Series::line("the lowest starts", worst), Series::line("the highest starts", best)],
            }],
        }
    }
}

/// How many messages it takes until there is a leader again, if `starter` notices that the last one is dead.
fn messages(members: u64, starter: u64) -> u64 {
    let ids: Vec<NodeId> = (1..=members).map(NodeId).collect();
    let mut cluster = InMemory::<Bully>::new(members);
    for id in &ids {
        // Nobody notices anything by itself while the messages are counted.
        let heartbeat = Duration::from_secs(3600);
        cluster.add(*id, Config { id: *id, members: ids.clone(), answer_timeout: ANSWER, heartbeat });
    }
    cluster.advance(ANSWER * 9);
    cluster.stop(NodeId(members));
    let before = cluster.messages();
    cluster.request(NodeId(starter), Elect);
    cluster.advance(ANSWER * 9);
    let leader = NodeId(members - 1);
    assert_eq!(cluster.node(leader).state(), State::Leading);
    assert!((1..leader.0).all(|id| cluster.node(NodeId(id)).state() == State::Following(leader)));
    cluster.messages() - before
}
