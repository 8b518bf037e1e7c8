//! The processes of a cluster on this machine.

use super::layout::Layout;
use crate::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long a cluster may take to be ready; only a machine in trouble takes that long.
const START: Duration = Duration::from_secs(60);

/// How long a node may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(5);

/// The nodes that this process has started and that have not ended.
pub(super) struct Children {
    running: Vec<(u16, Child)>,
}

impl Children {
    /// Starts every node.
    pub(super) fn spawn(layout: &Layout) -> Result<Children, Failure> {
        let mut children = Children { running: Vec::new() };
        for node in 1..=layout.nodes {
            // Those that did start end with this process.
            children.running.push((node, start(layout, node)?));
        }
        Ok(children)
    }

    /// Waits until every node says that it is ready.
    pub(super) async fn wait_until_ready(&mut self, layout: &Layout) -> Result<(), Failure> {
        let deadline = Instant::now() + START;
        let mut waiting: Vec<u16> = (1..=layout.nodes).collect();
        while !waiting.is_empty() {
            if let Some((node, status)) = self.ended() {
                return Err(format!(
                    "node {node} {}; its log ends:\n{}",
                    how(status),
                    last_lines(layout, node)
                ));
            }
            if Instant::now() > deadline {
                let seconds = START.as_secs();
                return Err(format!("nodes {waiting:?} are not ready after {seconds} s; see their logs"));
            }
            waiting.retain(|node| !is_ready(layout, *node));
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Tells of nodes that end, until none is left.
    pub(super) async fn watch(&mut self, layout: &Layout) -> Result<(), Failure> {
        while !self.running.is_empty() {
            while let Some((node, status)) = self.ended() {
                let config = layout.config_path(node);
                println!("node {node} {}; start it again with:", how(status));
                println!("  quipu start --config {}", config.display());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err("all nodes have ended".into())
    }

    /// Takes a node that has ended.
    fn ended(&mut self) -> Option<(u16, ExitStatus)> {
        for at in 0..self.running.len() {
            let (node, child) = &mut self.running[at];
            if let Ok(Some(status)) = child.try_wait() {
                let ended = (*node, status);
                self.running.remove(at);
                return Some(ended);
            }
        }
        None
    }

    /// Stops all nodes: asks them to, and kills those that do not.
    pub(super) async fn stop(&mut self) {
        for (_, child) in &self.running {
            if let Some(pid) = Pid::from_raw(child.id() as i32) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let deadline = Instant::now() + STOP;
        while !self.running.is_empty() && Instant::now() < deadline {
            while self.ended().is_some() {}
            sleep(Duration::from_millis(5)).await;
        }
        for (_, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.running.clear();
    }
}

fn start(layout: &Layout, node: u16) -> Result<Child, Failure> {
    let failed = |error: std::io::Error| format!("node {node} cannot be started: {error}");
    let program = std::env::current_exe().map_err(failed)?;
    let log = OpenOptions::new().create(true).append(true).open(layout.log_path(node)).map_err(failed)?;
    Command::new(program)
        .arg("start")
        .arg("--config")
        .arg(layout.config_path(node))
        // Whatever ends this process, even a SIGKILL, ends the nodes.
        .arg("--parent")
        .arg(std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        // Ctrl-C is for this process, which then stops the nodes in good order.
        .process_group(0)
        .spawn()
        .map_err(failed)
}

fn is_ready(layout: &Layout, node: u16) -> bool {
    crate::client::is_ready(&layout.url(node), layout.authority().as_deref())
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

fn last_lines(layout: &Layout, node: u16) -> String {
    let log = fs::read_to_string(layout.log_path(node)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(5).map(|line| line.trim()).collect();
    lines.into_iter().rev().map(|line| format!("  {line}\n")).collect()
}
