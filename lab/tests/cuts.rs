//! A cut does harm by everything it touches, not only by what the outcome leans on.

use quipu_base::{Durable, Env, Input, NodeId, Protocol, Support};
use quipu_lab::ldfi::{
    Actor, Card, Expected, Fault, Judgement, Limits, Line, Program, ROUND, Seen, Spec, Verdict, search,
};
use std::convert::Infallible;

const WATCHMAN: NodeId = NodeId(1);
const CAPTAIN: NodeId = NodeId(2);
/// The watchman calls in every round, and once it calls something else.
const ALARM: u32 = 6;
/// The captain looks up when the alarm must have come, and sleeps if the call before it did not come either.
const SILENCE: u32 = 2;

#[derive(Clone, Debug, PartialEq)]
enum Call {
    AllIsWell,
    Alarm,
}

struct Watch {
    calls: bool,
    round: u32,
    silence: u32,
}

impl Protocol for Watch {
    type Config = bool;
    type Message = Call;
    type Timer = ();
    type Request = ();
    /// What was heard; or that so many rounds nothing was.
    type Event = Result<Call, u32>;
    type Record = Infallible;

    fn start(calls: bool, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Watch { calls, round: 0, silence: 0 }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { message, .. } => {
                self.silence = 0;
                // What was heard before is no reason for what is heard now.
                let event = env.event();
                env.because(|| Support::all([event]));
                env.emit(Ok(message));
            }
            Input::Request { .. } | Input::Timer(()) => {
                self.round += 1;
                self.silence += 1;
                env.set_timer((), env.now() + ROUND);
                env.because(Support::given);
                if self.calls {
                    env.send(CAPTAIN, if self.round == ALARM { Call::Alarm } else { Call::AllIsWell });
                } else if self.silence > SILENCE && self.round == ALARM + 1 {
                    env.emit(Err(self.silence));
                }
            }
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

struct Night;

impl Program for Night {
    type Protocol = Watch;

    fn card(&self) -> Card {
        Card {
            name: "night",
            paper: "none",
            promise: "the captain does not miss the alarm and the call before it",
            expected: Expected::Breaks,
            spec: Spec { cuts: 1, cut: 2, total: 1, ..Spec::new(12, 11, 0) },
            sometimes: &[],
        }
    }

    fn cast(&self) -> Vec<Actor<bool>> {
        vec![
            Actor { id: WATCHMAN, name: "watchman", config: true },
            Actor { id: CAPTAIN, name: "captain", config: false },
        ]
    }

    fn script(&self) -> Vec<Line<()>> {
        [WATCHMAN, CAPTAIN].map(|node| Line { round: 1, node, request: () }).to_vec()
    }

    fn judge(&self, seen: &Seen<'_, Result<Call, u32>>) -> Judgement {
        if seen.told(CAPTAIN, Result::is_err) {
            return Judgement::Broken("the captain slept".to_owned());
        }
        // Only the alarm is a goal.
        let goals = seen.goal(CAPTAIN, |told| *told == Ok(Call::Alarm)).into_iter().collect();
        Judgement::Kept { goals, vacuous: false }
    }
}

#[test]
fn a_cut_may_begin_before_what_the_outcome_leans_on() {
    let spec = Night.card().spec;
    let outcome = search(&Night, &spec, Limits::default(), &mut |_| {});
    let Verdict::Broken(found) = outcome.verdict else { panic!("the captain never sleeps: {outcome:?}") };
    let begins: Vec<u32> = found.minimal.iter().map(Fault::round).collect();
    assert_eq!(
        begins,
        [ALARM - 1],
        "only a cut that takes the call before the alarm too does it: {}",
        found.minimal
    );
    // No single message is enough.
    let losses = Spec { cuts: 0, ..spec };
    let outcome = search(&Night, &losses, Limits::default(), &mut |_| {});
    assert!(matches!(outcome.verdict, Verdict::Certified), "{outcome:?}");
}
