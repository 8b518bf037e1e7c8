//! Running a command for as long as something is held, and not a moment longer than can be helped.

use super::acquire::Held;
use super::kept::{GIVE_TERMINAL_BACK, is_stopped, keeper, status_of};
use super::kind::{Grant, Place, Wish};
use super::lease::{Lease, Moment};
use super::renew::{Renewal, renew};
use super::signals::Signals;
use super::terminal::{hand_to, in_foreground};
use super::{Options, blocking};
use crate::client::Client;
use crate::trouble::{ITSELF, LOST, Trouble};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_current_process_group, kill_process, kill_process_group, waitid,
};
use std::future::pending;
use std::io;
use std::process::Child;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Timers stand still while the machine sleeps and deadlines do not: they are looked at this often at least.
const TICK: Duration = Duration::from_millis(250);
/// How long giving back may hold up the end; what is not given back is free when its TTL is over.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(2);

/// A command under way, and what it may run for.
struct Running<'a> {
    client: &'a Client,
    place: &'a Place,
    grant: Grant,
    lease: Lease,
    next_renewal: Moment,
    renewing: Option<JoinHandle<Renewal>>,
    /// What the last renewal failed of.
    failed: Option<String>,
    child: Child,
    group: Pid,
    /// Whether it has been handed the terminal.
    foreground: bool,
    /// Why it is lost, and when the command is killed; then never again held.
    lost: Option<(String, Moment)>,
    gone: bool,
    grace: Duration,
}

/// Runs the command; its exit status.
pub(super) async fn supervise(
    client: &Client,
    wish: &Wish,
    held: Held,
    options: &Options,
    signals: &mut Signals,
) -> Result<u8, Trouble> {
    let failed = |error: io::Error| Trouble::new(ITSELF, format!("the command cannot be started: {error}"));
    let mut children = signal(SignalKind::child()).map_err(failed)?;
    let foreground = in_foreground();
    let child = match start(&wish.place, &held.grant, options, foreground) {
        Ok(child) => child,
        Err(error) => {
            give_back(client, &wish.place, &held.grant).await;
            return Err(failed(error));
        }
    };
    let mut running = Running {
        client,
        place: &wish.place,
        next_renewal: held.lease.renewal(),
        lease: held.lease,
        grant: held.grant,
        renewing: None,
        failed: None,
        group: Pid::from_child(&child),
        foreground,
        child,
        lost: None,
        gone: false,
        grace: options.grace,
    };
    while !running.has_ended() {
        running.stop_along();
        let pause = running.look();
        tokio::select! {
            _ = children.recv() => {}
            signal = signals.next() => running.tell(signal),
            renewal = finished(&mut running.renewing) => running.renewed(renewal),
            () = sleep(pause) => {}
        }
    }
    running.end().await
}

fn start(place: &Place, grant: &Grant, options: &Options, foreground: bool) -> io::Result<Child> {
    let mut command = keeper(&options.command, foreground)?;
    command.env("QUIPU_FENCE", grant.number.to_string()).env("QUIPU_SEQUENCER", &grant.sequencer);
    match place.kind.noun {
        "lock" => command.env("QUIPU_LOCK", &place.name),
        _ => command.env("QUIPU_ELECTION", &place.name).env("QUIPU_TERM", grant.number.to_string()),
    };
    let keeper = command.spawn()?;
    if foreground {
        hand_to(Pid::from_child(&keeper));
    }
    Ok(keeper)
}

/// What a renewal under way comes to; never when none is.
async fn finished(renewing: &mut Option<JoinHandle<Renewal>>) -> Renewal {
    let Some(handle) = renewing else { return pending().await };
    let renewal = handle.await.expect("a renewal does not panic");
    *renewing = None;
    renewal
}

impl Running<'_> {
    /// Whether the command has ended. It is not waited for yet, so that its number still means its process group.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error means that there is no such child, which only an end explains.
        !matches!(waitid(WaitId::Pid(self.group), options), Ok(None))
    }

    /// Stops when somebody at the terminal has stopped the command; goes on with it when they let us go on.
    fn stop_along(&self) {
        if !self.foreground || !is_stopped(&self.child) {
            return;
        }
        // Our own group, since a shell waits for all of a pipeline. Without a shell that would let us go on, the
        // operating system drops the signal.
        let _ = kill_current_process_group(Signal::TSTP);
        if self.lost.is_none() && Moment::now() < self.lease.deadline() {
            hand_to(self.group);
            self.signal_group(Signal::CONT);
        }
    }

    /// Does what is due, and says for how long nothing is.
    fn look(&mut self) -> Duration {
        let now = Moment::now();
        if self.lost.is_none() && now >= self.lease.deadline() {
            let why = self.failed.take().map_or_else(String::new, |failed| format!(": {failed}"));
            self.lose(format!("it was not renewed in time{why}"));
        }
        if let Some((_, kill)) = &self.lost {
            if now >= *kill {
                self.signal_group(Signal::KILL);
            }
            return now.until(*kill).clamp(Duration::from_millis(1), TICK);
        }
        if self.renewing.is_none() && now >= self.next_renewal {
            let (client, place) = (self.client.clone(), self.place.clone());
            let (grant, lease) = (self.grant.clone(), self.lease);
            self.renewing = Some(tokio::spawn(async move { renew(&client, &place, &grant, lease).await }));
        }
        let next = if self.renewing.is_some() { self.lease.deadline() } else { self.next_renewal };
        now.until(next.min(self.lease.deadline())).min(TICK)
    }

    fn renewed(&mut self, renewal: Renewal) {
        match renewal {
            // It came too late to be believed: the command has been told to end.
            _ if self.lost.is_some() => {}
            Renewal::Renewed(lease) => {
                self.lease = lease;
                self.next_renewal = lease.renewal();
                self.failed = None;
            }
            Renewal::Gone(why) => {
                self.gone = true;
                self.lose(why);
            }
            Renewal::Unknown(why) => {
                self.next_renewal = Moment::now().after(self.lease.pause());
                self.failed = Some(why);
            }
        }
    }

    /// Tells the command, and everything it has started, to end.
    fn lose(&mut self, why: String) {
        let Place { kind, name } = self.place;
        crate::complain(&format!("{} {name} is lost: {why}; the command is told to end", kind.noun));
        self.lost = Some((why, Moment::now().after(self.grace)));
        let _ = kill_process(self.group, GIVE_TERMINAL_BACK);
        self.signal_group(Signal::TERM);
        // One that is stopped would not hear it.
        self.signal_group(Signal::CONT);
    }

    fn tell(&self, signal: Signal) {
        self.signal_group(signal);
    }

    fn signal_group(&self, signal: Signal) {
        // It may have ended at this very moment.
        let _ = kill_process_group(self.group, signal);
    }

    /// The command has ended: gives back what is held, and says how it ended.
    async fn end(mut self) -> Result<u8, Trouble> {
        if self.lost.is_some() {
            // Whatever it leaves behind holds nothing any more.
            self.signal_group(Signal::KILL);
        }
        let failed =
            |error: io::Error| Trouble::new(ITSELF, format!("the command's end is unknown: {error}"));
        let status = status_of(self.child.wait().map_err(failed)?);
        if self.lost.is_some() {
            if !self.gone {
                give_back(self.client, self.place, &self.grant).await;
            }
            return Ok(LOST);
        }
        let still_held = give_back(self.client, self.place, &self.grant).await;
        let Place { kind, name } = self.place;
        if still_held {
            return Ok(status);
        }
        let what = format!("{} {name} was lost before the command ended with status {status}", kind.noun);
        Err(Trouble::new(LOST, what))
    }
}

/// Tries to give back what is held; the others would otherwise wait for the TTL to pass. False if it was not held any
/// more.
async fn give_back(client: &Client, place: &Place, grant: &Grant) -> bool {
    let end = Moment::now().after(GIVE_BACK_TIMEOUT);
    let mut why = None;
    while Moment::now() < end {
        let request = place.give_back(grant.number).within(GIVE_BACK_TIMEOUT / 2);
        let (asking, node) = (client.clone(), client.preferred());
        match blocking(move || asking.ask_node(node, &request)).await {
            Ok(answer) => match answer.json() {
                Ok(_) => return true,
                // If it was asked before, that may have given it back, only nobody said so.
                Err(refusal) if matches!(refusal.code(), "not-held" | "not-found") => return why.is_some(),
                Err(refusal) => why = Some(refusal.to_string()),
            },
            Err(no_answer) => why = Some(no_answer.why),
        }
        client.avoid(node);
        sleep(Duration::from_millis(50)).await;
    }
    let Place { kind, name } = place;
    let why = why.unwrap_or_default();
    crate::complain(&format!(
        "{} {name} could not be given back and is free when its TTL is over: {why}",
        kind.noun
    ));
    true
}
