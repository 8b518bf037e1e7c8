//! The program on stateright: an actor for each replica, and the model checker's simulation mode, which follows one
//! path through the model at a time.

use crate::program::{LOSS, Message, Operation, Outputs, REPLICAS, RETRY, Replica, Timer, operation};
use crate::system::{Execution, System};
use quipu_bench::Failure;
use stateright::actor::{
    Actor, ActorModel, ActorModelAction, ActorModelState, Id, LossyNetwork, Network, Out,
};
use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use stateright::{Checker, Chooser, Model, Property};
use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// stateright, as it is compared.
pub(crate) const SYSTEM: System = System {
    name: "stateright 0.31",
    includes: "a model checker's `spawn_simulation`: it knows no time, so any message under way may be next, and timers \
               fire when none is; each step copies the state and hashes it, to see whether it was there before; its \
               own linearizability tester, asked once, at the end, whose history states share and do not hash; that tries orders one after \
               the other and copies what is left of the history for each step, so that the row of long runs says more \
               about it than about the simulation",
    execute,
};

type State = ActorModelState<Server, History>;
type Action = ActorModelAction<Message, (), ()>;

/// What the clients saw. States share it until one of them changes it, and it is left out of their hash: no two
/// states of a path are alike anyway, since replicas count. Otherwise long runs would do little else.
#[derive(Clone, PartialEq, Debug)]
struct History(Arc<LinearizabilityTester<u64, Register<Option<u64>>>>);

impl Hash for History {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// One replica, with its client.
#[derive(Clone)]
struct Server {
    operations: u64,
}

impl Actor for Server {
    type Msg = Message;
    type Timer = ();
    type State = Replica;
    type Storage = ();
    type Random = ();

    fn on_start(&self, id: Id, _: &Option<()>, out: &mut Out<Self>) -> Replica {
        let mut replica = Replica::new(usize::from(id) as u64, self.operations);
        let mut outputs = Outputs::default();
        replica.begin(&mut outputs);
        carry_out(outputs, out);
        replica
    }

    fn on_msg(&self, _: Id, state: &mut Cow<'_, Replica>, from: Id, message: Message, out: &mut Out<Self>) {
        let mut outputs = Outputs::default();
        state.to_mut().receive(usize::from(from) as u64, message, &mut outputs);
        carry_out(outputs, out);
    }

    fn on_timeout(&self, _: Id, state: &mut Cow<'_, Replica>, (): &(), out: &mut Out<Self>) {
        let mut outputs = Outputs::default();
        state.to_mut().time_out(&mut outputs);
        carry_out(outputs, out);
    }
}

fn carry_out(outputs: Outputs, out: &mut Out<Server>) {
    for (to, message) in outputs.messages {
        out.send(Id::from(to as usize), message);
    }
    match outputs.timer {
        Timer::Keep => {}
        Timer::Set => out.set_timer((), RETRY..RETRY),
        Timer::Cancel => out.cancel_timer(()),
    }
}

/// The actors' model, which also writes the history down, and ends when every client was answered everything.
struct Program(ActorModel<Server, (), History>);

impl Program {
    fn new(operations: u64) -> Self {
        let model = ActorModel::new((), History(Arc::new(LinearizabilityTester::new(Register(None)))))
            .actors((0..REPLICAS).map(|_| Server { operations }))
            .init_network(Network::new_unordered_nonduplicating([]))
            .lossy_network(LossyNetwork::Yes);
        Program(model)
    }
}

impl Model for Program {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut states = self.0.init_states();
        for state in &mut states {
            for client in 0..REPLICAS {
                invoke(&mut state.history, client, 0);
            }
        }
        states
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !is_done(state) {
            self.0.actions(state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let acting = match &action {
            Action::Deliver { dst, .. } => Some(usize::from(*dst)),
            _ => None,
        };
        let mut next = self.0.next_state(last, action)?;
        if let Some(place) = acting {
            let replica = next.actor_states[place].clone();
            if replica.done() > last.actor_states[place].done() {
                answered(&mut next.history, place as u64, &replica);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("linearizable", |_, state: &State| {
                !is_done(state) || state.history.0.serialized_history().is_some()
            }),
            Property::eventually("answered", |_, state: &State| is_done(state)),
        ]
    }
}

fn is_done(state: &State) -> bool {
    state.actor_states.iter().all(|replica| replica.is_done())
}

fn invoke(history: &mut History, client: u64, number: u64) {
    let asked = match operation(client, number) {
        Operation::Read => RegisterOp::Read,
        Operation::Write(value) => RegisterOp::Write(Some(value)),
    };
    Arc::make_mut(&mut history.0).on_invoke(client, asked).expect("a client asks for one thing at a time");
}

fn answered(history: &mut History, client: u64, replica: &Replica) {
    let returned = match operation(client, replica.done() - 1) {
        Operation::Read => RegisterRet::ReadOk(replica.answer()),
        Operation::Write(_) => RegisterRet::WriteOk,
    };
    Arc::make_mut(&mut history.0)
        .on_return(client, returned)
        .expect("a client is answered what it has asked");
    if !replica.is_done() {
        invoke(history, client, replica.done());
    }
}

/// Chooses what happens next as the other simulators would, as far as one can without time, and counts.
#[derive(Clone, Default)]
struct Choices {
    traces: Arc<AtomicU64>,
    events: Arc<AtomicU64>,
    losses: Arc<AtomicU64>,
}

impl Chooser<Program> for Choices {
    type State = fastrand::Rng;

    fn new_state(&self, seed: u64) -> fastrand::Rng {
        self.traces.fetch_add(1, Ordering::Relaxed);
        fastrand::Rng::with_seed(seed)
    }

    fn choose_initial_state(&self, _: &mut fastrand::Rng, _: &[State]) -> usize {
        0
    }

    /// Actions come sorted: losses, then as many deliveries, then timers.
    fn choose_action(&self, random: &mut fastrand::Rng, _: &State, actions: &[Action]) -> usize {
        let messages = actions.partition_point(|action| matches!(action, Action::Drop(_)));
        if messages > 0 && random.f64() < LOSS {
            self.losses.fetch_add(1, Ordering::Relaxed);
            return random.usize(..messages);
        }
        self.events.fetch_add(1, Ordering::Relaxed);
        if messages > 0 { messages + random.usize(..messages) } else { random.usize(..actions.len()) }
    }
}

fn run(seed: u64, operations: u64) -> Result<Choices, Failure> {
    let choices = Choices::default();
    // It looks at the target after each trace: so this is one.
    let checker = Program::new(operations).checker().threads(1).target_state_count(1);
    let checker = checker.spawn_simulation(seed, choices.clone()).join();
    if let Some(name) = checker.discoveries().into_keys().next() {
        return Err(format!("not always {name}").into());
    }
    assert_eq!(choices.traces.load(Ordering::Relaxed), 1, "one trace is one execution");
    Ok(choices)
}

fn execute(seed: u64, operations: u64) -> Result<Execution, Failure> {
    let choices = run(seed, operations)?;
    Ok(Execution { events: choices.events.load(Ordering::Relaxed), simulated: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_in_a_hundred_is_lost() {
        let choices = run(5, 200).expect("it is linearizable");
        let [events, losses] = [&choices.events, &choices.losses].map(|count| count.load(Ordering::Relaxed));
        let share = losses as f64 / (events + losses) as f64;
        assert!((0.006..0.014).contains(&share), "{share}");
    }
}
