//! The client beside a node in [`super::program`]: what it asks, and what it makes of the answers.

use super::model::{VersionedInput, VersionedOutput};
use bytes::Bytes;
use quipu_base::NodeId;
use quipu_services::coordination::{Connection, Event, Request};
use quipu_wires::zookeeper::{self as wire, code};

/// The one register.
const PATH: &str = "/r";
/// How long a session may be silent: longer than any run here.
const TIMEOUT_MS: i32 = 20_000;

/// What a client asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// That the register be there.
    Found,
    /// Something of the register.
    Register(VersionedInput),
}

/// What a client, and a node, tell the judge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// The client asks for something.
    Asked {
        /// Its number among what this client asks.
        number: u64,
        /// What it asks.
        asked: Asked,
    },
    /// It has its answer.
    Answered {
        /// The number.
        number: u64,
        /// What it was told of the register.
        output: Option<VersionedOutput>,
    },
    /// The client has done all it had to do.
    Finished,
    /// This node leads now.
    Leads,
}

/// Where a client is in its script.
pub(super) struct Script {
    node: NodeId,
    todo: Vec<Asked>,
    /// How many of them have been asked.
    asked: u64,
    connections: u64,
    state: State,
    /// For so many rounds it does nothing.
    rest: u32,
    thinking: u32,
    finished: bool,
}

/// What every client does, and how fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// In which round it begins.
    pub begin: u32,
    /// How many rounds it thinks between an answer and the next thing it asks.
    pub thinking: u32,
    /// What it asks, one letter each: `r` reads and `w` writes.
    pub operations: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Connecting,
    Idle,
    Waiting,
}

impl Script {
    /// The script of the client beside a node. A node that comes back has another client, which only looks.
    pub(super) fn new(node: NodeId, plan: Plan, again: bool) -> Self {
        let operation = |(number, letter): (usize, char)| match letter {
            'w' if !again => {
                let value = 100 * node.0 + number as u64;
                Asked::Register(VersionedInput::Write { value, expected: None })
            }
            _ => Asked::Register(VersionedInput::Read),
        };
        let todo = [Asked::Found].into_iter().chain(plan.operations.chars().enumerate().map(operation));
        let (asked, rest) = if again { (100, 0) } else { (0, plan.begin) };
        Script {
            node,
            todo: todo.collect(),
            asked,
            connections: asked,
            state: State::Away,
            rest,
            thinking: plan.thinking,
            finished: false,
        }
    }

    /// What the client does now, and what it tells of that.
    pub(super) fn act(&mut self) -> (Option<Request>, Option<Told>) {
        match self.state {
            State::Away if self.rest > 0 => {
                self.rest -= 1;
                (None, None)
            }
            State::Away => (Some(self.connect()), None),
            State::Connecting | State::Waiting => (None, None),
            State::Idle if self.rest > 0 => {
                self.rest -= 1;
                (None, None)
            }
            State::Idle if self.todo.is_empty() => {
                let told = (!self.finished).then_some(Told::Finished);
                self.finished = true;
                (None, told)
            }
            State::Idle => {
                self.state = State::Waiting;
                self.asked += 1;
                let asked = self.todo[0];
                (Some(self.operation(asked)), Some(Told::Asked { number: self.asked, asked }))
            }
        }
    }

    /// What the client makes of what it hears.
    pub(super) fn hear(&mut self, event: Event) -> Option<Told> {
        let current = Connection(self.connections);
        match event {
            Event::Connected { connection, session, .. } if connection == current => {
                self.state = if session.0 == 0 { State::Away } else { State::Idle };
                None
            }
            Event::Reply { connection, result, .. } if connection == current => {
                let asked = self.todo.remove(0);
                self.state = State::Idle;
                self.rest = self.thinking;
                Some(Told::Answered { number: self.asked, output: output(asked, result) })
            }
            Event::Close { connection, .. } if connection == current => {
                // Nobody knows what became of what was asked: the next one is asked next. The register must be there first.
                if self.state == State::Waiting && self.todo[0] != Asked::Found {
                    self.todo.remove(0);
                }
                self.state = State::Away;
                None
            }
            _ => None,
        }
    }

    fn connect(&mut self) -> Request {
        self.connections += 1;
        self.state = State::Connecting;
        let request = wire::ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: TIMEOUT_MS,
            session: 0,
            password: Bytes::new(),
            read_only: None,
        };
        let address = format!("10.1.0.{}", self.node.0);
        Request::Connect { connection: Connection(self.connections), address, request }
    }

    fn operation(&self, asked: Asked) -> Request {
        let request = match asked {
            Asked::Found => wire::Request::Create(wire::Create {
                form: wire::CreateForm::Plain,
                path: PATH.to_owned(),
                data: Some(Bytes::from_static(b"0")),
                acl: vec![wire::Acl { permissions: 31, scheme: "world".into(), id: "anyone".into() }],
                flags: wire::create_flag::PERSISTENT,
            }),
            Asked::Register(VersionedInput::Read) => {
                wire::Request::GetData { path: PATH.to_owned(), watch: false }
            }
            Asked::Register(VersionedInput::Write { value, expected }) => wire::Request::SetData {
                path: PATH.to_owned(),
                data: Some(Bytes::from(value.to_string())),
                version: expected.unwrap_or(-1),
            },
        };
        let xid = i32::try_from(self.asked).expect("a script is short");
        Request::Operation { connection: Connection(self.connections), xid, request }
    }
}

/// What a client was told of the register.
fn output(asked: Asked, result: Result<wire::Response, i32>) -> Option<VersionedOutput> {
    match (asked, result) {
        (Asked::Found, Ok(_) | Err(code::NODE_EXISTS)) => None,
        (_, Ok(wire::Response::Data { data, stat })) => {
            let text = data.map(|data| String::from_utf8_lossy(&data).into_owned()).unwrap_or_default();
            let value = text.parse().expect("the register holds digits");
            Some(VersionedOutput::Read { value, version: stat.version })
        }
        (_, Ok(wire::Response::Stat(stat))) => Some(VersionedOutput::Written { version: stat.version }),
        (_, result) => panic!("{asked:?} was answered {result:?}"),
    }
}
