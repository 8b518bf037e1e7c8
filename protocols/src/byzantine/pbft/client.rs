//! Clients (section 4.1): one request at a time, and the answer that f+1 replicas give, since one of them does not lie.

use super::message::SignedRequest;
use super::{Config, Event, Machine, Message, Node, Request, Statement, StatementOf, Timer};
use crate::byzantine::signature::Signer;
use alloc::collections::{BTreeMap, VecDeque};
use quipu_base::{Env, NodeId};

/// So many requests wait at most; more are dropped.
const MOST_WAITING: usize = 1024;

/// A client.
pub struct Client<M: Machine, G: Signer<StatementOf<M>>> {
    config: Config<M, G>,
    view: u64,
    number: u64,
    waiting: VecDeque<M::Operation>,
    asked: Option<SignedRequest<M, G>>,
    replies: BTreeMap<NodeId, M::Reply>,
}

impl<M: Machine, G: Signer<StatementOf<M>>> Client<M, G> {
    pub(super) fn new(config: Config<M, G>) -> Self {
        let (waiting, replies) = (VecDeque::new(), BTreeMap::new());
        Client { config, view: 0, number: 0, waiting, asked: None, replies }
    }

    /// Asks the primary, or waits for the answer to what was asked before.
    pub(super) fn ask(&mut self, operation: M::Operation, env: &mut Env<Node<M, G>>) {
        if self.asked.is_some() {
            if self.waiting.len() < MOST_WAITING {
                self.waiting.push_back(operation);
            }
            return;
        }
        self.number += 1;
        let request = Request { client: self.config.id, number: self.number, operation };
        let signature = self.config.signer.sign(&Statement::Request(request.clone()));
        self.asked = Some((request.clone(), signature.clone()));
        self.replies.clear();
        env.set_timer(Timer::Overdue, env.now() + self.config.timeout);
        env.send(self.config.primary(self.view), Message::Request(request, signature));
    }

    /// The primary may be a liar, or dead, or not the primary any more.
    pub(super) fn ask_everybody(&mut self, env: &mut Env<Node<M, G>>) {
        let Some((request, signature)) = &self.asked else { return };
        env.set_timer(Timer::Overdue, env.now() + self.config.timeout);
        for replica in &self.config.replicas {
            env.send(*replica, Message::Request(request.clone(), signature.clone()));
        }
    }

    pub(super) fn hear(
        &mut self,
        from: NodeId,
        view: u64,
        number: u64,
        reply: M::Reply,
        env: &mut Env<Node<M, G>>,
    ) {
        if number != self.number || self.asked.is_none() || !self.config.is_replica(from) {
            return;
        }
        self.replies.insert(from, reply.clone());
        let alike = self.replies.values().filter(|other| **other == reply).count();
        if alike > self.config.faults {
            // Whom to ask next is only a guess: if a liar named the view, everybody is asked later.
            self.view = view;
            self.asked = None;
            env.cancel_timer(Timer::Overdue);
            env.emit(Event::Answered(number, reply));
            if let Some(next) = self.waiting.pop_front() {
                self.ask(next, env);
            }
        }
    }
}
