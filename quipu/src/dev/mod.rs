//! `quipu dev`: a cluster on this machine.

mod children;
mod doors;
mod layout;

use crate::Failure;
use crate::table::render;
use children::Children;
use clap::Args;
use layout::Layout;
use std::path::PathBuf;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// Start a cluster on this machine: each node a process of its own, on loopback only.
///
/// Node N listens for ZooKeeper clients on port 2180+N, for HTTP on 8180+N and for its peers on 7180+N, each plus
/// --port-offset. Its configuration, journal, log and process id are in DIR/node-N. Data is kept: run it again and
/// the cluster goes on. Ctrl-C or SIGTERM stops all nodes.
///
/// Clients that authenticate with the digest super:test may do anything: this is for trying things out.
///
/// Examples:
///   quipu dev
///   quipu dev --tls
///   quipu dev --nodes 5 --data /tmp/five --port-offset 100
///   kill -9 $(cat quipu-data/node-1/pid)            see the others go on
///   quipu start --config quipu-data/node-1/node.toml    and node 1 come back
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    nodes: u16,
    /// Where their data is
    #[arg(long, value_name = "DIR", default_value = "quipu-data")]
    data: PathBuf,
    /// Speak TLS everywhere and ask HTTP clients for a token, with certificates and a token that are made and kept in DIR
    #[arg(long)]
    tls: bool,
    /// Is added to every port
    #[arg(long, value_name = "K", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=57_000))]
    port_offset: u16,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut layout = Layout::new(arguments.nodes, arguments.port_offset, &arguments.data)?;
    if arguments.tls {
        layout = layout.secured()?;
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(supervise(&layout))
}

async fn supervise(layout: &Layout) -> Result<(), Failure> {
    let handler = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut interrupt, mut terminate) =
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
    let begun = Instant::now();
    layout.check_and_write()?;
    let mut children = Children::spawn(layout)?;
    let served = async {
        children.wait_until_ready(layout).await?;
        print!("{}{}", endpoints(layout), layout.describe_doors());
        println!("ready: {} nodes in {} ms; Ctrl-C stops them", layout.nodes, begun.elapsed().as_millis());
        children.watch(layout).await
    };
    let result = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        result = served => result,
    };
    children.stop().await;
    result
}

fn endpoints(layout: &Layout) -> String {
    let rows: Vec<Vec<String>> = (1..=layout.nodes)
        .map(|node| {
            vec![
                node.to_string(),
                format!("127.0.0.1:{}", layout.client_port(node)),
                layout.url(node),
                layout.directory(node).display().to_string(),
            ]
        })
        .collect();
    render(&["NODE", "ZOOKEEPER", "HTTP", "DATA"], &rows)
}
