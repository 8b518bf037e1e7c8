//! Tests only: `cargo xtask conformance clients` runs them beside three nodes, named by `ZOOKEEPER_HOSTS`.
