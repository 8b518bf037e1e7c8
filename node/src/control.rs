//! What operators ask of a running node: a look at it, and changes of its cluster.

use crate::gateway::Gateway;
use crate::reactor::Inbox;
use quipu_base::RequestId;
use quipu_services::coordination::{Administer, Coordination, RefusalReason, Request};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a change may take before its asker is told that nothing is known of it yet.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a change was not confirmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unconfirmed {
    /// It was refused.
    Refused(RefusalReason),
    /// Nothing was heard of it in time; it may still happen.
    Unknown,
}

/// The operator's side of a node.
pub struct Control {
    core: Rc<RefCell<Coordination>>,
    inbox: Rc<Inbox<Coordination>>,
    gateway: Rc<Gateway>,
    waiting: RefCell<BTreeMap<RequestId, oneshot::Sender<Result<(), RefusalReason>>>>,
}

impl Control {
    pub(crate) fn new(
        core: Rc<RefCell<Coordination>>,
        inbox: Rc<Inbox<Coordination>>,
        gateway: Rc<Gateway>,
    ) -> Rc<Self> {
        Rc::new(Control { core, inbox, gateway, waiting: RefCell::default() })
    }

    /// The service, to look at.
    pub fn core(&self) -> &Rc<RefCell<Coordination>> {
        &self.core
    }

    /// The clients' side.
    pub fn gateway(&self) -> &Rc<Gateway> {
        &self.gateway
    }

    /// Asks for a change and waits for what becomes of it.
    ///
    /// # Errors
    ///
    /// If it was refused, or nothing was heard of it for 20 seconds.
    pub async fn administer(&self, wish: Administer) -> Result<(), Unconfirmed> {
        let id = self.inbox.request(Request::Administer(wish));
        let (answer, answered) = oneshot::channel();
        self.waiting.borrow_mut().insert(id, answer);
        let result = timeout(PATIENCE, answered).await;
        self.waiting.borrow_mut().remove(&id);
        match result {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(reason))) => Err(Unconfirmed::Refused(reason)),
            Ok(Err(_)) | Err(_) => Err(Unconfirmed::Unknown),
        }
    }

    /// A change was granted or refused.
    pub(crate) fn answered(&self, id: RequestId, result: Result<(), RefusalReason>) {
        if let Some(answer) = self.waiting.borrow_mut().remove(&id) {
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(result);
        }
    }
}
