//! What operators and HTTP's clients ask of a running node: a look at it, changes of its cluster, and whatever goes
//! through the log without a session.

use crate::gateway::Gateway;
use crate::news::{Bulletin, Turn};
use crate::reactor::Inbox;
use quipu_base::RequestId;
use quipu_machines::locks;
use quipu_machines::tree::OpResult;
use quipu_services::coordination::{
    Administer, Answer, Ask, Change, ChangeError, Coordination, Event, NotDone, RefusalReason, Request,
};
use smol_str::SmolStr;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long anything may take before its asker is told that nothing is known of it yet.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a change was not confirmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unconfirmed {
    /// It was refused.
    Refused(RefusalReason),
    /// Nothing was heard of it in time; it may still happen.
    Unknown,
}

type Answered = Result<(u64, Answer), NotDone>;

/// Those who wait for an answer from the core, by the number of their request.
struct Waiting<T>(RefCell<BTreeMap<RequestId, oneshot::Sender<T>>>);

impl<T> Waiting<T> {
    fn new() -> Self {
        Waiting(RefCell::default())
    }

    /// Waits for the answer; `None` if there is none in time.
    async fn answer(&self, id: RequestId) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.0.borrow_mut().insert(id, answer);
        // Also when whoever asked stops waiting in the middle of it.
        let _forget = Forget { waiting: self, id };
        timeout(PATIENCE, answered).await.ok()?.ok()
    }

    fn tell(&self, id: RequestId, result: T) {
        if let Some(answer) = self.0.borrow_mut().remove(&id) {
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(result);
        }
    }
}

struct Forget<'a, T> {
    waiting: &'a Waiting<T>,
    id: RequestId,
}

impl<T> Drop for Forget<'_, T> {
    fn drop(&mut self) {
        self.waiting.0.borrow_mut().remove(&self.id);
    }
}

/// The side of a node that operators and HTTP's clients see.
pub struct Control {
    core: Rc<RefCell<Coordination>>,
    inbox: Rc<Inbox<Coordination>>,
    gateway: Rc<Gateway>,
    wishes: Waiting<Result<(), RefusalReason>>,
    asks: Waiting<Answered>,
    bulletin: Rc<Bulletin>,
}

impl Control {
    pub(crate) fn new(
        core: Rc<RefCell<Coordination>>,
        inbox: Rc<Inbox<Coordination>>,
        gateway: Rc<Gateway>,
    ) -> Rc<Self> {
        let (wishes, asks) = (Waiting::new(), Waiting::new());
        Rc::new(Control { core, inbox, gateway, wishes, asks, bulletin: Bulletin::new() })
    }

    /// The service, to look at.
    pub fn core(&self) -> &Rc<RefCell<Coordination>> {
        &self.core
    }

    /// The clients' side.
    pub fn gateway(&self) -> &Rc<Gateway> {
        &self.gateway
    }

    /// What happens to locks and flags.
    pub fn bulletin(&self) -> &Rc<Bulletin> {
        &self.bulletin
    }

    /// Asks for a change and waits for what becomes of it.
    ///
    /// # Errors
    ///
    /// If it was refused, or nothing was heard of it for 20 seconds.
    pub async fn administer(&self, wish: Administer) -> Result<(), Unconfirmed> {
        let id = self.inbox.request(Request::Administer(wish));
        let result = self.wishes.answer(id).await.ok_or(Unconfirmed::Unknown)?;
        result.map_err(Unconfirmed::Refused)
    }

    /// Puts a command about locks through the log: the index of its entry, which is the token of what it grants, and
    /// what came of it.
    ///
    /// # Errors
    ///
    /// If it was not done, or nothing was heard of it for 20 seconds ([`NotDone::Unknown`]).
    pub async fn lock(&self, command: locks::Command) -> Result<(u64, locks::Outcome), NotDone> {
        match self.ask(Request::Ask(Ask::Lock(command))).await? {
            (index, Answer::Lock(outcome)) => Ok((index, outcome)),
            (_, other) => unreachable!("a command about locks has an outcome of theirs: {other:?}"),
        }
    }

    /// Puts a change of the tree through the log: its zxid, and what came of it. A change that seems lost is sent again
    /// and may be carried out twice, so make it conditional on a version.
    ///
    /// # Errors
    ///
    /// As [`Control::lock`].
    pub async fn change(&self, change: Change) -> Result<(u64, Result<Vec<OpResult>, ChangeError>), NotDone> {
        match self.ask(Request::Ask(Ask::Change(change))).await? {
            (zxid, Answer::Change(result)) => Ok((zxid, result)),
            (_, other) => unreachable!("a change has the outcome of one: {other:?}"),
        }
    }

    /// Waits until this node has applied everything that was acknowledged before it was called: what is read from it
    /// then is linearizable.
    ///
    /// # Errors
    ///
    /// If no leader confirms it for 20 seconds.
    pub async fn confirm(&self) -> Result<(), NotDone> {
        self.ask(Request::Confirm).await.map(|_| ())
    }

    /// Takes somebody who gave up out of a lock's queue. Nobody waits for it.
    pub fn withdraw(&self, name: SmolStr, request: locks::RequestKey) {
        self.inbox.request(Request::Ask(Ask::Lock(locks::Command::Withdraw { name, request })));
    }

    /// Begins to wait for what becomes of a request for a lock; to be called before it is made.
    pub fn await_turn(&self, name: SmolStr, request: locks::RequestKey) -> Turn {
        self.bulletin.await_turn(name, request)
    }

    async fn ask(&self, request: Request) -> Answered {
        self.inbox.room().await;
        let confirms = matches!(request, Request::Confirm);
        let id = self.inbox.request(request);
        let unheard = if confirms { NotDone::NoLeader } else { NotDone::Unknown };
        self.asks.answer(id).await.unwrap_or(Err(unheard))
    }

    /// The core has something to say to those who have no session.
    pub(crate) fn hear(&self, event: Event) {
        match event {
            Event::Done { id } => self.wishes.tell(id, Ok(())),
            Event::Refused { id, reason } => self.wishes.tell(id, Err(reason)),
            Event::Answered { id, result } => self.asks.tell(id, result),
            Event::Lock { index, event } => self.bulletin.lock(index, event),
            Event::FlagsChanged { zxid } => self.bulletin.flags(zxid as u64),
            Event::Restored { index } => self.bulletin.restored(index),
            Event::UnknownFeature(name) => crate::refuse_to_go_on(&format!(
                "this cluster uses {name}, which this version of the program does not know: run a newer one"
            )),
            other => unreachable!("it is heard by others: {other:?}"),
        }
    }
}
