//! `quipu member`: who is in the cluster.

use crate::Failure;
use crate::client::{Answer, Client, Node, Nodes, Request};
use crate::table::render;
use clap::{Args, Subcommand};
use quipu_node::status::Status;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Change who is in the cluster while it serves.
///
/// Any node passes the wish on to the leader. While another change is under way, or no leader is known, it is
/// asked again until --timeout.
///
/// Examples:
///   quipu member list
///   quipu member add 4 --peer 10.0.0.4:7181 --client 10.0.0.4:2181 --http 10.0.0.4:8181
///   quipu member remove 2
///   quipu member transfer 3               let member 3 lead
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    nodes: Nodes,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, global = true)]
    timeout: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Add a node: it learns, and votes once it has caught up
    ///
    /// Start the node first, with a configuration that lists no [[member]]s. Adding a member again changes its
    /// addresses.
    Add {
        /// The new node's number, 1 to 255, never reused for another machine
        id: u64,
        /// Where the other nodes reach it
        #[arg(long, value_name = "HOST:PORT")]
        peer: String,
        /// Where ZooKeeper clients reach it
        #[arg(long, value_name = "HOST:PORT")]
        client: String,
        /// Where HTTP clients reach it
        #[arg(long, value_name = "HOST:PORT", default_value = "")]
        http: String,
        /// Leave it a learner, which receives everything and never votes
        #[arg(long)]
        learner: bool,
    },
    /// Let a learner vote
    Promote {
        /// The learner
        id: u64,
    },
    /// Remove a member; it may be the leader
    Remove {
        /// The member
        id: u64,
    },
    /// Hand the leadership to a voter
    Transfer {
        /// The voter
        id: u64,
    },
    /// List the members
    List {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(arguments.timeout);
    let client = arguments.nodes.client()?;
    let (node, status) = client.first_status()?;
    let operator = Operator::new(client, node, &status, deadline);
    match &arguments.command {
        Command::Add { id, peer, client, http, learner } => {
            let member = serde_json::json!({ "id": id, "peer": peer, "client": client, "http": http });
            operator.wish(&Request::post("/v1/members", member), &mut |_| {})?;
            println!("member {id} learns");
            if *learner { Ok(()) } else { operator.promote(*id) }
        }
        Command::Promote { id } => operator.promote(*id),
        Command::Remove { id } if !status.members.iter().any(|member| member.id == *id) => {
            Err(format!("there is no member {id}; `quipu member list` shows those there are"))
        }
        Command::Remove { id } => {
            operator.wish(&Request::delete(format!("/v1/members/{id}")), &mut |_| {})?;
            println!("member {id} is removed; its process may be stopped now");
            Ok(())
        }
        Command::Transfer { id } => {
            operator.wish(&Request::post_empty(format!("/v1/transfer/{id}")), &mut |_| {})?;
            println!("member {id} takes the leadership over");
            Ok(())
        }
        Command::List { json } => {
            list(&status, *json);
            Ok(())
        }
    }
}

fn list(status: &Status, json: bool) {
    if json {
        println!("{}", serde_json::json!({ "leader": status.leader, "members": status.members }));
        return;
    }
    let rows: Vec<Vec<String>> = status
        .members
        .iter()
        .map(|member| {
            let votes = if member.voting { "yes" } else { "no" };
            let leads = if status.leader == Some(member.id) { "leader" } else { "" };
            let addresses = [member.peer.clone(), member.client.clone(), member.http.clone()];
            [member.id.to_string(), votes.into()].into_iter().chain(addresses).chain([leads.into()]).collect()
        })
        .collect();
    print!("{}", render(&["NODE", "VOTES", "PEER", "CLIENT", "HTTP", ""], &rows));
}

/// Which nodes to ask, and how long.
struct Operator {
    client: Client,
    /// Every member, the one that answered first in front.
    nodes: Vec<Node>,
    deadline: Instant,
}

/// What a node's refusal says: its code and its words.
fn refusal_of(answer: &Answer) -> (String, String) {
    let problem = answer.problem();
    (problem.code().to_string(), problem.detail().to_string())
}

impl Operator {
    fn new(client: Client, first: Node, status: &Status, deadline: Instant) -> Self {
        let others = status.members.iter().filter(|member| !member.http.is_empty());
        let others: Vec<Node> =
            others.map(|member| first.like(&member.http)).filter(|o| *o != first).collect();
        Operator { client, nodes: std::iter::once(first).chain(others).collect(), deadline }
    }

    /// Asks until it is granted, and elsewhere where no leader is known: a node that is being removed never hears
    /// that it has been. `meanwhile` is called with what a refusal says before it is asked again.
    fn wish(&self, request: &Request, meanwhile: &mut dyn FnMut(&str)) -> Result<(), Failure> {
        const PAUSE: Duration = Duration::from_millis(200);
        let mut asked = 0;
        for node in self.nodes.iter().cycle() {
            let (code, message) = match self.client.ask_at(node, request) {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => refusal_of(&answer),
                Err(no_answer) => ("no-leader".into(), no_answer.why),
            };
            asked += 1;
            match code.as_str() {
                "already-done" => return Ok(()),
                // What was asked before did happen, only nobody said so.
                "unknown-member" if request.is_delete() && asked > 1 => return Ok(()),
                "no-leader" | "change-in-progress" | "not-caught-up" | "unknown" => meanwhile(&code),
                _ => return Err(message),
            }
            if Instant::now() >= self.deadline {
                return Err(format!("not done in time: {message}"));
            }
            sleep(PAUSE);
        }
        unreachable!("there is a node, and it comes round again")
    }

    /// Lets a learner vote, and shows how far it is until it may.
    fn promote(&self, id: u64) -> Result<(), Failure> {
        let mut shown = String::new();
        self.wish(&Request::post_empty(format!("/v1/members/{id}/promote")), &mut |code| {
            let progress = if code == "not-caught-up" { self.progress(id) } else { None };
            let line = progress.unwrap_or_else(|| format!("waiting: {}", code.replace('-', " ")));
            if line != shown {
                eprintln!("{line}");
                shown = line;
            }
        })?;
        println!("member {id} votes");
        Ok(())
    }

    /// How far the leader says that a learner is.
    fn progress(&self, id: u64) -> Option<String> {
        let status = self.nodes.iter().find_map(|node| self.client.status_of(node).ok())?;
        let leader = status.members.iter().find(|member| Some(member.id) == status.leader)?;
        let own = leader.id == status.id;
        let status =
            if own { status } else { self.client.status_of(&self.nodes[0].like(&leader.http)).ok()? };
        let learner = status.members.iter().find(|member| member.id == id)?;
        Some(match (learner.matched.unwrap_or_default(), learner.active) {
            (_, Some(false)) => format!("member {id} has not answered yet: is it running?"),
            (matched, _) => format!("member {id} has {matched} of {} entries", status.last_index),
        })
    }
}
