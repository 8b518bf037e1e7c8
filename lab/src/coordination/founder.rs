//! Makes the registers, before anything breaks.

use super::client::register_path;
use crate::sim::{Emission, Handler, MILLISECOND, Nanoseconds, Simulation};
use bytes::Bytes;
use quipu_base::{NodeId, RequestId};
use quipu_services::coordination::{Connection, Coordination, Event, Request};
use quipu_wires::zookeeper as wire;

/// A client that creates one node for each register and leaves.
pub(super) struct Founder {
    registers: usize,
    created: usize,
    attempts: u64,
    connection: Option<Connection>,
}

/// When a leader has not been found, another attempt is made.
const AGAIN: Nanoseconds = 100 * MILLISECOND;

impl Founder {
    pub(super) fn new(registers: usize) -> Self {
        Founder { registers, created: 0, attempts: 0, connection: None }
    }

    /// Runs until the registers are there; whether they are by then.
    pub(super) fn run(&mut self, simulation: &mut Simulation<Coordination>, until: Nanoseconds) -> bool {
        while self.created < self.registers && simulation.now() < until {
            if self.connection.is_none() {
                self.connect(simulation);
            }
            let next = (simulation.now() + AGAIN).min(until);
            simulation.run_until(next, self);
        }
        if let Some(connection) = self.connection {
            simulation.request(NodeId(1), RequestId(0), Request::Disconnect { connection });
        }
        self.created == self.registers
    }

    /// How many connection numbers it has used, from 1 on.
    pub(super) fn connections(&self) -> u64 {
        self.attempts
    }

    fn connect(&mut self, simulation: &mut Simulation<Coordination>) {
        self.attempts += 1;
        let connection = Connection(self.attempts);
        self.connection = Some(connection);
        let request = wire::ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: 4_000,
            session: 0,
            password: Bytes::new(),
            read_only: None,
        };
        let request = Request::Connect { connection, address: "10.1.0.100".into(), request };
        simulation.request(NodeId(1), RequestId(0), request);
    }

    fn create_all(&self, simulation: &mut Simulation<Coordination>, connection: Connection) {
        for register in 0..self.registers {
            let create = wire::Create {
                form: wire::CreateForm::Plain,
                path: register_path(register),
                data: Some(Bytes::from_static(b"0")),
                acl: vec![wire::Acl { permissions: 31, scheme: "world".into(), id: "anyone".into() }],
                flags: wire::create_flag::PERSISTENT,
            };
            let request = wire::Request::Create(create);
            let request = Request::Operation { connection, xid: 1 + register as i32, request };
            simulation.request(NodeId(1), RequestId(0), request);
        }
    }
}

impl Handler<Coordination> for Founder {
    fn emitted(&mut self, simulation: &mut Simulation<Coordination>, emission: Emission<Coordination>) {
        match emission.event {
            Event::Connected { connection, .. } => self.create_all(simulation, connection),
            Event::Reply { result, .. } => {
                assert!(result.is_ok(), "nothing is in the way of the first nodes: {result:?}");
                self.created += 1;
            }
            Event::Close { .. } => self.connection = None,
            _ => {}
        }
    }
}
