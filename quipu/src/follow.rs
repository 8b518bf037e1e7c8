//! Following a stream of events for as long as it takes, from whichever node offers it.

use crate::client::{Client, Event, Refusal};
use crate::trouble::Trouble;
use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::Duration;

/// How long to wait before a stream that has ended is opened again, doubled each time nothing comes of it.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Hands every event on, in order, until one of them is enough. A stream that ends is opened again behind the last
/// event, at the next node if need be. Fails only if a node refuses it, or if none answers at the very beginning.
pub(crate) fn follow(
    client: &Client,
    path: &str,
    mut each: impl FnMut(&Event) -> ControlFlow<()>,
) -> Result<(), Trouble> {
    let mut last = String::new();
    let mut pause = FIRST_PAUSE;
    let mut begun = false;
    loop {
        let behind = Some(last.as_str()).filter(|last| !last.is_empty());
        let why = match client.open_events(path, behind) {
            Err(Refusal::Problem(problem)) if !problem.passes() => {
                return Err(Refusal::Problem(problem).into());
            }
            Err(refusal) if !begun => return Err(refusal.into()),
            Err(refusal) => refusal.to_string(),
            Ok(mut events) => {
                begun = true;
                let why = loop {
                    match events.next() {
                        Ok(Some(event)) => {
                            pause = FIRST_PAUSE;
                            last.clone_from(&event.id);
                            if each(&event).is_break() {
                                return Ok(());
                            }
                        }
                        Ok(None) => break "the stream has ended".to_string(),
                        Err(error) => break error.to_string(),
                    }
                };
                client.avoid(client.preferred());
                why
            }
        };
        if pause == FIRST_PAUSE * 4 {
            // Said once, when it takes longer than another node does to answer.
            eprintln!("{why}; trying again");
        }
        sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
