//! The program on madsim: a node for each replica, which talk by datagrams.

use crate::clients::Clients;
use crate::program::{LOSS, MOST_DELAY, Message, Outputs, REPLICAS, RETRY, Replica, Timer, bytes};
use crate::system::{Execution, System};
use madsim::net::Endpoint;
use madsim::runtime::{Handle, Runtime};
use madsim::time::{Instant, sleep};
use quipu_bench::Failure;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// madsim, as it is compared.
pub(crate) const SYSTEM: System = System {
    name: "madsim 0.2",
    includes: "its executor, and datagrams of 34 bytes through its endpoints, each sent by a task of its own, since \
               its endpoints take 1 ms to send and 1 ms to receive; its links take 0 to 8 ms, so that the sum is as \
               elsewhere",
    execute,
};

const PORT: u16 = 7000;
const TAG: u64 = 0;
/// What an endpoint takes at either end.
const ENDPOINTS: Duration = Duration::from_millis(2);

/// What the nodes of a run share with whoever watches.
#[derive(Clone)]
struct Watch {
    clients: Arc<Mutex<Clients>>,
    done: Arc<Notify>,
}

impl Watch {
    fn handled(&self, id: u64, replica: &Replica) {
        let mut clients = self.clients.lock().expect("no holder panics");
        clients.handled(id, replica);
        if clients.all_done() {
            self.done.notify_one();
        }
    }
}

fn run(seed: u64, operations: u64) -> (Watch, Duration) {
    let mut config = madsim::Config::default();
    config.net.packet_loss_rate = LOSS;
    config.net.send_latency = Duration::ZERO..MOST_DELAY - ENDPOINTS;
    let clients = Arc::new(Mutex::new(Clients::new(operations)));
    let watch = Watch { clients, done: Arc::new(Notify::new()) };
    let runtime = Runtime::with_seed_and_config(seed, config);
    let simulated = runtime.block_on(async {
        let begun = Instant::now();
        for id in 0..REPLICAS {
            let node = Handle::current().create_node().ip(address(id).ip()).build();
            let replica = Replica::new(id, operations);
            // The task ends with the runtime.
            drop(node.spawn(serve(id, replica, watch.clone())));
        }
        watch.done.notified().await;
        begun.elapsed()
    });
    (watch, simulated)
}

fn execute(seed: u64, operations: u64) -> Result<Execution, Failure> {
    let (watch, simulated) = run(seed, operations);
    let clients = watch.clients.lock().expect("no holder panics");
    clients.judge()?;
    Ok(Execution { events: clients.events(), simulated: Some(simulated) })
}

fn address(id: u64) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1 + id as u8)), PORT)
}

async fn serve(id: u64, mut replica: Replica, watch: Watch) -> io::Result<()> {
    let endpoint = Endpoint::bind(address(id)).await?;
    let mut outputs = Outputs::default();
    let mut timer = pin!(sleep(RETRY));
    let mut is_set = false;
    replica.begin(&mut outputs);
    loop {
        // Receiving is not given up when the timer fires: it takes a while, and a message would be lost.
        let mut receiving = pin!(receive(&endpoint));
        let (from, message) = loop {
            for (to, message) in outputs.messages.drain(..) {
                madsim::task::spawn(send(endpoint.clone(), to, message));
            }
            match std::mem::take(&mut outputs.timer) {
                Timer::Keep => {}
                Timer::Set => {
                    timer.as_mut().reset(Instant::now() + RETRY);
                    is_set = true;
                }
                Timer::Cancel => is_set = false,
            }
            tokio::select! {
                biased;
                received = &mut receiving => break received?,
                () = &mut timer, if is_set => {
                    replica.time_out(&mut outputs);
                    watch.handled(id, &replica);
                }
            }
        };
        replica.receive(from, message, &mut outputs);
        watch.handled(id, &replica);
    }
}

async fn receive(endpoint: &Endpoint) -> io::Result<(u64, Message)> {
    let mut buffer = [0; bytes::LENGTH];
    let (length, from) = endpoint.recv_from(TAG, &mut buffer).await?;
    let stranger = || io::Error::other("not a message of a replica");
    let from = (0..REPLICAS).find(|id| address(*id) == from).ok_or_else(stranger)?;
    Ok((from, bytes::decode(&buffer[..length]).ok_or_else(stranger)?))
}

async fn send(endpoint: Endpoint, to: u64, message: Message) -> io::Result<()> {
    endpoint.send_to(address(to), TAG, &bytes::encode(message)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_in_a_hundred_is_lost() {
        let (watch, _) = run(5, 2_000);
        let share = watch.clients.lock().expect("no holder panics").share_lost();
        assert!((0.007..0.013).contains(&share), "{share}");
    }
}
