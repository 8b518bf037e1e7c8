//! Letting clients in.

use super::client::Client;
use super::counters::bump;
use super::{Gateway, reader};
use crate::doors::Stream;
use quipu_services::coordination::Connection;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::sleep;

impl Gateway {
    /// Accepts connections for as long as it is polled.
    pub async fn listen(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match self.admit(peer.ip()) {
                    Ok(()) => self.serve(stream, peer),
                    // Closed at once: a client tries the next node of its list.
                    Err(reason) => self.counters.refuse(reason),
                },
                Err(error) => {
                    // Out of file descriptors, most likely: let some connections end first.
                    self.counters.refuse("accept_failed");
                    tracing::debug!(%error, "cannot accept a client");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn admit(&self, address: IpAddr) -> Result<(), &'static str> {
        if self.clients.borrow().len() + self.opening.get() >= self.limits.connections {
            return Err("too_many_connections");
        }
        let mut per_address = self.per_address.borrow_mut();
        let here = per_address.entry(address).or_default();
        let limit = self.limits.connections_per_address;
        if limit > 0 && *here >= limit {
            return Err("too_many_connections_of_address");
        }
        *here += 1;
        Ok(())
    }

    fn serve(self: &Rc<Self>, socket: TcpStream, peer: SocketAddr) {
        let _ = socket.set_nodelay(true);
        self.opening.set(self.opening.get() + 1);
        let gateway = self.clone();
        spawn_local(async move {
            let welcomed = gateway.door.welcome(socket, gateway.limits.handshake).await;
            gateway.opening.set(gateway.opening.get() - 1);
            match welcomed {
                Ok(stream) => gateway.converse(stream, peer).await,
                Err(unwelcome) => {
                    gateway.counters.refuse("tls_handshake_failed");
                    tracing::debug!(address = %peer.ip(), reason = unwelcome.sentence, "refused a client");
                }
            }
            gateway.release(peer.ip());
        });
    }

    /// Serves a client until its connection has ended.
    async fn converse(self: &Rc<Self>, stream: Stream, peer: SocketAddr) {
        let id = Connection(self.last_connection.get() + 1);
        self.last_connection.set(id.0);
        let (read, write) = stream.into_split();
        let client = Rc::new(Client::new(id, peer, self.clock.wall(), write));
        self.clients.borrow_mut().insert(id, client.clone());
        bump(&self.counters.accepted, 1);
        reader::run(self, &client, read).await;
        self.clients.borrow_mut().remove(&client.id);
    }

    /// One connection less from there.
    fn release(&self, address: IpAddr) {
        let mut per_address = self.per_address.borrow_mut();
        let here = per_address.get_mut(&address).expect("an open connection is counted");
        *here -= 1;
        if *here == 0 {
            per_address.remove(&address);
        }
    }
}
