//! The signals that ask a process to end or mean something to its command.

use rustix::process::Signal;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What `quipu` hands on to its command.
const HANDED_ON: [Signal; 6] =
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// The signals that this process is sent.
pub(super) struct Signals {
    streams: Vec<(Signal, Stream)>,
}

impl Signals {
    /// Catches them from now on, except those that whoever started us wants ignored: nohup(1) does.
    pub(super) fn listen() -> io::Result<Self> {
        let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        let wanted = HANDED_ON.into_iter().filter(|signal| ignored & (1 << (signal.as_raw() - 1)) == 0);
        let streams = wanted.map(|wanted| {
            let stream = signal(SignalKind::from_raw(wanted.as_raw()))?;
            Ok((wanted, stream))
        });
        Ok(Signals { streams: streams.collect::<io::Result<_>>()? })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, stream) in &mut self.streams {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The mask of ignored signals, bit N-1 for signal N, from what /proc says of a process.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_process_status() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t00\n";
        assert_eq!(ignored(status), 0x1001);
        assert_eq!(ignored("nothing"), 0);
    }
}
