//! The client beside a node in [`super::program`]: what it asks, and what it makes of the answers.

use super::model::{VersionedInput, VersionedOutput};
use bytes::Bytes;
use quipu_base::NodeId;
use quipu_services::coordination::{Connection, Event, Request};
use quipu_wires::zookeeper::{self as wire, code};

/// The one register.
const PATH: &str = "/r";
/// The ephemeral that every client wants to be the one to make.
const HELD: &str = "/e";

/// What a client asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// That the register be there.
    Found,
    /// Something of the register.
    Register(VersionedInput),
    /// To be the one who makes the ephemeral; again and again while it is somebody else's.
    Hold,
    /// Whether the ephemeral is there.
    Look,
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
    /// The client's session has made the ephemeral.
    Holds,
    /// The client, whose session has made the ephemeral, has looked whether it is there.
    Sees(bool),
    /// The client has done all it had to do, and is silent from now on.
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
    plan: Plan,
    /// Its session has made the ephemeral.
    holds: bool,
    finished: bool,
}

/// What every client does, and how fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// After how many rounds without a word of the leader a node stands, at the least.
    pub election: u32,
    /// In which round it begins.
    pub begin: u32,
    /// How many rounds it thinks between an answer and the next thing it asks.
    pub thinking: u32,
    /// What it asks, one letter each: `r` reads and `w` writes the register; `h` makes the ephemeral, and asks again while
    /// somebody else's is there; `l` looks whether it is there.
    pub operations: &'static str,
    /// How long its session may be silent, in milliseconds.
    pub timeout_ms: i32,
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
            'h' if !again => Asked::Hold,
            'h' | 'l' => Asked::Look,
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
            plan,
            holds: false,
            finished: false,
        }
    }

    /// What the client does now, and what it tells of that.
    pub(super) fn act(&mut self) -> (Option<Request>, Option<Told>) {
        match self.state {
            State::Away if self.finished => (None, None),
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
                self.holds = false;
                self.state = if session.0 == 0 { State::Away } else { State::Idle };
                None
            }
            Event::Reply { connection, result, .. } if connection == current => {
                self.state = State::Idle;
                self.rest = self.plan.thinking;
                if self.todo[0] == Asked::Hold && result == Err(code::NODE_EXISTS) {
                    return None;
                }
                let asked = self.todo.remove(0);
                Some(self.answered(asked, result))
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
            timeout_ms: self.plan.timeout_ms,
            session: 0,
            password: Bytes::new(),
            read_only: None,
        };
        let address = format!("10.1.0.{}", self.node.0);
        Request::Connect { connection: Connection(self.connections), address, request }
    }

    /// What the client makes of an answer.
    fn answered(&mut self, asked: Asked, result: Result<wire::Response, i32>) -> Told {
        match (asked, result) {
            (Asked::Hold, Ok(_)) => {
                self.holds = true;
                Told::Holds
            }
            (Asked::Look, Ok(_)) if self.holds => Told::Sees(true),
            (Asked::Look, Err(code::NO_NODE)) if self.holds => Told::Sees(false),
            // Somebody else's, or nobody's: the client has nothing to say about it.
            (Asked::Look, Ok(_) | Err(code::NO_NODE)) => Told::Answered { number: self.asked, output: None },
            (asked, result) => Told::Answered { number: self.asked, output: output(asked, result) },
        }
    }

    fn operation(&self, asked: Asked) -> Request {
        let request = match asked {
            Asked::Found => create(PATH, wire::create_flag::PERSISTENT),
            Asked::Hold => create(HELD, wire::create_flag::EPHEMERAL),
            Asked::Look => wire::Request::Exists { path: HELD.to_owned(), watch: false },
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

fn create(path: &str, flags: i32) -> wire::Request {
    wire::Request::Create(wire::Create {
        form: wire::CreateForm::Plain,
        path: path.to_owned(),
        data: Some(Bytes::from_static(b"0")),
        acl: vec![wire::Acl { permissions: 31, scheme: "world".into(), id: "anyone".into() }],
        flags,
    })
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
