//! What the tree promises, trap by trap.

extern crate std;

mod acls;
mod formats;
mod model;
mod quotas;
mod replication;
mod rig;
mod rules;
mod sessions;
mod snapshots;
mod speed;
mod watches;
