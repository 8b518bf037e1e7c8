//! The reactor with a small protocol of its own, over real sockets and real disks.

use super::{Audience, Inbox, Parts, Reactor, Synced, decode_records};
use crate::clock::Clock;
use crate::doors::PeerDoor;
use crate::journal::{Journal, Options};
use crate::transport::{Identity, Inbound, Outbound};
use bytes::{Bytes, BytesMut};
use quipu_base::codec::{Codec, Malformed};
use quipu_base::{Durable, Env, Input, NodeId, Place, Protocol, Record, RequestId, StreamId};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

const LEDGER: StreamId = StreamId(7);

/// Keeps a list of numbers on every node: a number is acknowledged once it is on all disks.
struct Ledger {
    peers: Vec<NodeId>,
    entries: Vec<u64>,
    waiting: BTreeMap<(u64, u64), (RequestId, usize)>,
    next: u64,
    suspected: Vec<NodeId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Say {
    Add { number: u64, token: u64 },
    Added { number: u64, token: u64 },
}

#[derive(Debug)]
enum Ask {
    Add(u64),
    Read(u64),
    Alarm(Duration),
    Suspect(NodeId),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Added(RequestId),
    Entry(Option<u64>),
    Alarmed,
    Suspected,
}

#[derive(Clone, Debug)]
struct Entry {
    index: u64,
    number: u64,
}

impl Record for Entry {
    fn place(&self) -> Place {
        Place { stream: LEDGER, first: 0, index: self.index }
    }
}

quipu_base::codec_struct!(Entry { index, number });

impl Codec for Say {
    fn encode(&self, out: &mut BytesMut) {
        let (kind, number, token) = match self {
            Say::Add { number, token } => (0u8, number, token),
            Say::Added { number, token } => (1, number, token),
        };
        kind.encode(out);
        number.encode(out);
        token.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let kind = u8::decode(input)?;
        let (number, token) = (u64::decode(input)?, u64::decode(input)?);
        match kind {
            0 => Ok(Say::Add { number, token }),
            1 => Ok(Say::Added { number, token }),
            _ => Err(Malformed("no such message")),
        }
    }
}

impl Ledger {
    fn write(&mut self, number: u64, env: &mut Env<Self>) -> quipu_base::SyncPoint {
        let index = self.entries.len() as u64;
        self.entries.push(number);
        env.persist(Entry { index, number })
    }

    fn ask(&mut self, id: RequestId, ask: Ask, env: &mut Env<Self>) {
        match ask {
            Ask::Add(number) => {
                let point = self.write(number, env);
                self.next += 1;
                if self.peers.is_empty() {
                    env.emit_after(point, Told::Added(id));
                }
                self.waiting.insert((number, self.next), (id, self.peers.len()));
                for peer in &self.peers {
                    env.send_after(point, *peer, Say::Add { number, token: self.next });
                }
            }
            Ask::Read(index) => env.fetch(LEDGER, index),
            Ask::Alarm(after) => {
                env.set_timer(2, env.now());
                env.set_timer(1, env.now() + after);
                env.set_timer(0, env.now() + Duration::from_secs(3600));
                env.cancel_timer(2);
            }
            Ask::Suspect(peer) => {
                self.suspected.push(peer);
                env.emit(Told::Suspected);
            }
        }
    }
}

impl Protocol for Ledger {
    type Config = Vec<NodeId>;
    type Message = Say;
    type Timer = u8;
    type Request = Ask;
    type Event = Told;
    type Record = Entry;

    fn start(peers: Vec<NodeId>, durable: Durable<Entry>, _: &mut Env<Self>) -> Self {
        let entries = durable.records.iter().map(|entry| entry.number).collect();
        Ledger { peers, entries, waiting: BTreeMap::new(), next: 0, suspected: Vec::new() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { id, request } => self.ask(id, request, env),
            Input::Message { from, message: Say::Add { number, token } } => {
                let point = self.write(number, env);
                env.send_after(point, from, Say::Added { number, token });
            }
            Input::Message { message: Say::Added { number, token }, .. } => {
                let Some((id, missing)) = self.waiting.get_mut(&(number, token)) else { return };
                *missing -= 1;
                if *missing == 0 {
                    env.emit(Told::Added(*id));
                    self.waiting.remove(&(number, token));
                }
            }
            Input::Timer(timer) => {
                assert_eq!(timer, 1, "the others were moved or cancelled");
                env.emit(Told::Alarmed);
            }
            Input::Fetched { record, .. } => env.emit(Told::Entry(record.map(|entry| entry.number))),
            Input::Synced(_) => {}
        }
    }
}

/// Writes down what it hears, and how many flushes there were.
#[derive(Clone, Default)]
struct Diary {
    heard: Rc<RefCell<Vec<Told>>>,
    flushes: Rc<Cell<u64>>,
}

impl Audience<Ledger> for Diary {
    fn hear(&mut self, event: Told) {
        self.heard.borrow_mut().push(event);
    }

    fn flush(&mut self) {
        self.flushes.set(self.flushes.get() + 1);
    }
}

struct Node {
    inbox: Rc<Inbox<Ledger>>,
    outbound: Rc<Outbound>,
    inbound: Rc<Inbound<Ledger>>,
    core: Rc<RefCell<Ledger>>,
    diary: Diary,
    stop: Rc<Notify>,
    task: tokio::task::JoinHandle<()>,
    listening: tokio::task::JoinHandle<()>,
}

impl Node {
    fn start(id: u64, listener: TcpListener, peers: &[(NodeId, String)], path: &Path) -> Node {
        let wake = Arc::new(Notify::new());
        let synced = Arc::new(Synced::new(wake.clone()));
        let (journal, recovered) = Journal::open(path, Options::default()).expect("a journal");
        let raise = synced.clone();
        let journal = journal.start(move |point| raise.raise(point.expect("a good disk"))).expect("threads");
        let inbox = Rc::new(Inbox::new(100, wake.clone()));
        let identity = Identity {
            cluster: "test".into(),
            id: NodeId(id),
            address: listener.local_addr().expect("bound").to_string(),
            outbound_bytes: 1 << 20,
            max_frame: 1 << 20,
        };
        let suspects = inbox.clone();
        let outbound = Outbound::new(identity, PeerDoor::plain(), move |peer| {
            suspects.request(Ask::Suspect(peer));
        });
        outbound.set_members(peers.iter().cloned());
        let inbound = Inbound::new(inbox.clone(), outbound.clone());
        let diary = Diary::default();
        let parts = Parts {
            clock: Clock::start(),
            inbox: inbox.clone(),
            outbound: outbound.clone(),
            journal: Rc::new(RefCell::new(journal)),
            repaired: Rc::default(),
            synced,
            wake,
            seed: id,
        };
        let durable = decode_records(recovered.records, recovered.damaged).expect("our own records");
        let mut reactor =
            Reactor::start(peers.iter().map(|peer| peer.0).collect(), durable, parts, |_| diary.clone());
        let core = reactor.core();
        let stop = Rc::new(Notify::new());
        let stopped = stop.clone();
        let listening = spawn_local(inbound.clone().listen(listener));
        let task = spawn_local(async move { reactor.run(stopped.notified()).await });
        Node { inbox, outbound, inbound, core, diary, stop, task, listening }
    }

    async fn hears(&self, count: usize) -> Vec<Told> {
        let heard = async {
            while self.diary.heard.borrow().len() < count {
                sleep(Duration::from_millis(1)).await;
            }
            self.diary.heard.take()
        };
        timeout(Duration::from_secs(20), heard).await.expect("heard in time")
    }

    async fn stop(self) {
        self.stop.notify_one();
        self.outbound.stop();
        self.inbound.stop();
        self.listening.abort();
        self.task.await.expect("stopped in good order");
    }
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("quipu-reactor-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, test);
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, address)
}

#[test]
fn numbers_reach_every_disk_before_they_are_acknowledged() {
    run(async {
        let path = directory("pair");
        let ((one, one_at), (two, two_at)) = (listener().await, listener().await);
        let (first, second) = (path.join("1"), path.join("2"));
        let alpha = Node::start(1, one, &[(NodeId(2), two_at)], &first);
        let beta = Node::start(2, two, &[(NodeId(1), one_at)], &second);
        // What is said before the connection is up may be dropped: wait for it.
        while !alpha.outbound.statuses()[0].connected || !beta.outbound.statuses()[0].connected {
            sleep(Duration::from_millis(1)).await;
        }
        for number in 0..500 {
            alpha.inbox.request(Ask::Add(number));
        }
        let acknowledged = alpha.hears(500).await;
        assert!(acknowledged.iter().all(|told| matches!(told, Told::Added(_))));
        // Far fewer writes than messages: they leave in batches.
        assert!(alpha.diary.flushes.get() < 300, "{}", alpha.diary.flushes.get());
        alpha.inbox.request(Ask::Read(123));
        alpha.inbox.request(Ask::Read(9_999));
        assert_eq!(alpha.hears(2).await, [Told::Entry(Some(123)), Told::Entry(None)]);
        beta.stop().await;
        assert_eq!(alpha.hears(1).await, [Told::Suspected]);
        assert_eq!(alpha.core.borrow().suspected, [NodeId(2)]);
        alpha.stop().await;
        for path in [first, second] {
            let (_, recovered) = Journal::open(&path, Options::default()).expect("a journal");
            assert!(!recovered.damaged);
            let durable: Durable<Entry> = decode_records(recovered.records, false).expect("our own records");
            let numbers: Vec<u64> = durable.records.iter().map(|entry| entry.number).collect();
            assert_eq!(numbers, (0..500).collect::<Vec<u64>>());
        }
        std::fs::remove_dir_all(path).expect("removed");
    });
}

#[test]
fn a_node_goes_on_with_what_it_had_written() {
    run(async {
        let path = directory("restart");
        for round in 0..3 {
            let (listener, _) = listener().await;
            let node = Node::start(1, listener, &[], &path);
            assert_eq!(node.core.borrow().entries.len(), round * 10);
            for number in 0..10 {
                node.inbox.request(Ask::Add(number));
            }
            // Stopping waits for what is on its way to the disk.
            sleep(Duration::from_millis(1)).await;
            let diary = node.diary.clone();
            node.stop().await;
            assert_eq!(diary.heard.borrow().len(), 10);
        }
        std::fs::remove_dir_all(path).expect("removed");
    });
}

#[test]
fn timers_fire_once_and_on_time() {
    run(async {
        let path = directory("timers");
        let (listener, _) = listener().await;
        let node = Node::start(1, listener, &[], &path);
        let begun = std::time::Instant::now();
        node.inbox.request(Ask::Alarm(Duration::from_millis(40)));
        assert_eq!(node.hears(1).await, [Told::Alarmed]);
        assert!(begun.elapsed() >= Duration::from_millis(40), "{:?}", begun.elapsed());
        sleep(Duration::from_millis(60)).await;
        assert_eq!(*node.diary.heard.borrow(), []);
        node.stop().await;
        std::fs::remove_dir_all(path).expect("removed");
    });
}

#[test]
fn a_full_inbox_makes_readers_wait() {
    run(async {
        let inbox: Inbox<Ledger> = Inbox::new(4, Arc::new(Notify::new()));
        for _ in 0..4 {
            inbox.message(NodeId(2), Say::Added { number: 0, token: 0 });
        }
        assert!(inbox.is_full());
        assert!(timeout(Duration::from_millis(5), inbox.room()).await.is_err());
        let waiting = inbox.room();
        tokio::pin!(waiting);
        let draining = async {
            for _ in 0..2 {
                tokio::task::yield_now().await;
                inbox.take().expect("an input");
            }
        };
        tokio::join!(waiting, draining);
        assert_eq!((inbox.len(), inbox.stalls()), (2, 2));
    });
}

#[test]
fn peers_that_send_nonsense_are_cut_off_and_others_are_not_disturbed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    run(async {
        let path = directory("nonsense");
        let ((one, one_at), (two, two_at)) = (listener().await, listener().await);
        let alpha = Node::start(1, one, &[(NodeId(2), two_at)], &path.join("1"));
        let beta = Node::start(2, two, &[(NodeId(1), one_at.clone())], &path.join("2"));
        while !alpha.outbound.statuses()[0].connected || !beta.outbound.statuses()[0].connected {
            sleep(Duration::from_millis(1)).await;
        }
        for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 64]] {
            let mut stream = tokio::net::TcpStream::connect(&one_at).await.expect("connected");
            stream.write_all(nonsense).await.expect("written");
            let mut rest = Vec::new();
            // Closed, or reset since it left bytes unread; never answered.
            let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.expect("closed");
            assert!(rest.is_empty());
        }
        alpha.inbox.request(Ask::Add(1));
        assert!(matches!(alpha.hears(1).await[..], [Told::Added(_)]));
        beta.stop().await;
        alpha.stop().await;
        std::fs::remove_dir_all(path).expect("removed");
    });
}
