//! The program on turmoil: a host for each replica, which talk by UDP.

use crate::clients::Clients;
use crate::program::{LEAST_DELAY, MOST_DELAY, Outputs, REPLICAS, RETRY, Replica, Timer, bytes};
use crate::system::{Execution, System};
use quipu_bench::Failure;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use turmoil::net::UdpSocket;

/// turmoil, as it is compared.
pub(crate) const SYSTEM: System = System {
    name: "turmoil 0.7",
    includes: "a tokio runtime for each host and UDP datagrams of 34 bytes; time goes on in ticks of 1 ms, its default, \
               whether anything happens or not; delays are exponential between the same bounds and of the same mean, \
               and a loss takes what is under way between the two hosts with it, so that losses are drawn less often: \
               it offers nothing else",
    execute,
};

const PORT: u16 = 7000;
/// The rate at which an exponential delay that is cut off at the upper bound has the mean of a uniform one:
/// (1 - e^-rate) / rate is a half.
const DELAY_CURVE: f64 = 1.594;
/// How often a link fails, for one message. It loses that one and all that is under way between the two hosts; the
/// test sees to it that in all one message in a hundred is lost.
const FAIL_RATE: f64 = 0.0031;

fn run(seed: u64, operations: u64) -> Result<(Rc<RefCell<Clients>>, Duration), Failure> {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(1_000_000))
        .min_message_latency(LEAST_DELAY)
        .max_message_latency(MOST_DELAY)
        .fail_rate(FAIL_RATE)
        .repair_rate(1.0)
        .build();
    sim.set_message_latency_curve(DELAY_CURVE);
    let clients = Rc::new(RefCell::new(Clients::new(operations)));
    for id in 0..REPLICAS {
        let clients = clients.clone();
        sim.host(address(id).ip(), move || host(id, Replica::new(id, operations), clients.clone()));
    }
    while !clients.borrow().all_done() {
        sim.step().map_err(|error| error.to_string())?;
    }
    let simulated = sim.elapsed();
    Ok((clients, simulated))
}

fn execute(seed: u64, operations: u64) -> Result<Execution, Failure> {
    let (clients, simulated) = run(seed, operations)?;
    let clients = clients.borrow();
    clients.judge()?;
    Ok(Execution { events: clients.events(), simulated: Some(simulated) })
}

fn address(id: u64) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1 + id as u8)), PORT)
}

async fn host(id: u64, mut replica: Replica, clients: Rc<RefCell<Clients>>) -> turmoil::Result {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let (mut outputs, mut buffer) = (Outputs::default(), [0; bytes::LENGTH]);
    let mut timer = pin!(sleep(RETRY));
    let mut is_set = false;
    replica.begin(&mut outputs);
    loop {
        for (to, message) in outputs.messages.drain(..) {
            socket.send_to(&bytes::encode(message), address(to)).await?;
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
            received = socket.recv_from(&mut buffer) => {
                let (length, from) = received?;
                let from = (0..REPLICAS).find(|id| address(*id) == from).ok_or("a stranger")?;
                let message = bytes::decode(&buffer[..length]).ok_or("not a message")?;
                replica.receive(from, message, &mut outputs);
            }
            () = &mut timer, if is_set => replica.time_out(&mut outputs),
        }
        clients.borrow_mut().handled(id, &replica);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_in_a_hundred_is_lost() {
        let (clients, _) = run(5, 2_000).expect("it runs");
        let share = clients.borrow().share_lost();
        assert!((0.007..0.013).contains(&share), "{share}");
    }
}
