//! How long nobody can write when the leader is killed.

use super::clusters::Cluster;
use super::key;
use super::session::Session;
use super::wire::Identity;
use crate::Failure;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client waits before it tries to connect again.
const RETRY: Duration = Duration::from_millis(10);

const STEADY: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Kills the leader with SIGKILL while one client on each follower writes, one request at a time, and returns the
/// longest time that either of them went without an acknowledged write.
///
/// A client that loses its connection goes on with its session on the same server, every 10 ms: what is measured is
/// the ensemble, not a client library's patience.
pub fn measure(cluster: &mut Cluster) -> Result<Duration, Failure> {
    let leader = cluster.leader()?;
    let followers: Vec<SocketAddr> =
        (0..cluster.clients.len()).filter(|node| *node != leader).map(|node| cluster.clients[node]).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let writers: Vec<_> =
            followers.iter().map(|address| scope.spawn(move || write_until(*address, stop))).collect();
        thread::sleep(STEADY);
        cluster.nodes[leader].kill();
        let killed = Instant::now();
        let outcome = wait_for_writes(&followers, killed);
        thread::sleep(STEADY);
        stop.store(true, Ordering::Relaxed);
        let mut longest = Duration::ZERO;
        for writer in writers {
            let acknowledged = writer.join().map_err(|_| "a writer panicked")??;
            longest = longest.max(longest_gap(&acknowledged, killed)?);
        }
        outcome.map(|()| longest)
    })
}

/// Writes one after the other; returns when each was acknowledged.
fn write_until(address: SocketAddr, stop: &AtomicBool) -> Result<Vec<Instant>, String> {
    let mut acknowledged = Vec::new();
    let mut identity: Option<Identity> = None;
    while !stop.load(Ordering::Relaxed) {
        let mut session = match Session::connect(address, identity.as_ref(), LONGEST) {
            Ok(session) => session,
            Err(error) => {
                if error.kind() == ErrorKind::PermissionDenied {
                    identity = None;
                }
                thread::sleep(RETRY);
                continue;
            }
        };
        identity = Some(session.identity().clone());
        while let Ok(reply) = session.set(&key(0)) {
            if reply.error != 0 {
                return Err(format!("a write failed with {}", reply.error));
            }
            acknowledged.push(Instant::now());
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    Ok(acknowledged)
}

/// Waits until every follower has acknowledged a write of a new session.
fn wait_for_writes(followers: &[SocketAddr], killed: Instant) -> Result<(), Failure> {
    for address in followers {
        let serves = || {
            let mut session = Session::connect(*address, None, Duration::from_secs(5))?;
            session.set(&key(1))?;
            session.close()
        };
        while serves().is_err() {
            if killed.elapsed() > LONGEST {
                return Err("writes did not come back after the leader was killed".into());
            }
            thread::sleep(RETRY);
        }
    }
    Ok(())
}

/// The longest time between two writes in a row of which the second came after the kill.
fn longest_gap(acknowledged: &[Instant], killed: Instant) -> Result<Duration, Failure> {
    let gaps = acknowledged.windows(2).filter(|pair| pair[1] > killed).map(|pair| pair[1] - pair[0]);
    gaps.max().ok_or_else(|| "a client never wrote again after the leader was killed".into())
}
