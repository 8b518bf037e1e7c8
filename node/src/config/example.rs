//! The configuration that `quipu config example` prints.

/// Every key, with its default where it has one, and what it is for.
pub const EXAMPLE: &str = r#"# One node of a Quipu cluster: quipu start --config node.toml

[node]
id = 1                               # 1 to 255; never reused for another machine
cluster = "example"                  # nodes of clusters of other names are refused
data_dir = "/var/lib/quipu"          # the journal; nothing else may write here
peer = "10.0.0.1:7181"               # where the other nodes reach this one
client = "10.0.0.1:2181"             # where ZooKeeper clients reach it
http = "10.0.0.1:8181"               # metrics, health, and the operator's commands: keep it private

# The members of a new cluster, the same list on each of them. It is read only while the journal is empty;
# afterwards use `quipu member`. Leave it out on a node that an existing cluster is going to add.

[[member]]
id = 1
peer = "10.0.0.1:7181"
client = "10.0.0.1:2181"
http = "10.0.0.1:8181"

[[member]]
id = 2
peer = "10.0.0.2:7181"
client = "10.0.0.2:2181"
http = "10.0.0.2:8181"

[[member]]
id = 3
peer = "10.0.0.3:7181"
client = "10.0.0.3:2181"
http = "10.0.0.3:8181"

# The doors: see docs/DOORS.md. Without [tls] nothing speaks TLS; without a [[token]] every HTTP client may do anything.
# Then a node starts only if all of its addresses are on loopback.

[tls]
certificate = "/etc/quipu/node-1.pem"   # made by `quipu certs init`; files are read when the node starts
key = "/etc/quipu/node-1.key"
ca = "/etc/quipu/ca.pem"             # who signs certificates of nodes and clients
peer = "mutual"                      # or "plain"
client = "mutual"                    # or "tls", which lets in clients without a certificate, or "plain"
http = "tls"                         # or "mutual" or "plain"

[[token]]                            # as many as you like; `quipu tokens new` prints both halves
name = "operator"
role = "admin"                       # read, write or admin; each includes those before it
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"

[doors]
open_beyond_loopback_without_authentication = false   # true lets anybody in who reaches the ports

[timing]
tick_ms = 2000                       # session timeouts are 2 to 20 ticks
election_timeout_ms = 800            # a follower without a leader for 1 to 2 times this stands
heartbeat_ms = 100                   # at most a third of it
patience_ms = 5000                   # a client that waits longer for a leader is sent to another node
reap_interval_ms = 60000             # containers and TTL nodes are collected this often
# lease_drift_ppm = 500              # lets a leader answer linearizable reads without asking anyone, which is right
                                     # only while no two clocks differ in rate by more than this

[limits]
connections = 10000                  # client connections at once
connections_per_address = 0          # from one address; 0 is any number
max_frame_bytes = 1048575            # ZooKeeper's jute.maxbuffer
outstanding_requests = 1024          # per connection; beyond it nothing more is read from that client
outstanding_bytes = 4194304          # likewise
output_bytes = 16777216              # a client that leaves more than this unread is closed
inbox = 16384                        # inputs that wait for the core; beyond it nobody is read from
peer_bytes = 33554432                # bytes that wait for one peer; beyond it messages are dropped
snapshot_after_bytes = 33554432      # growth of the log, or the last snapshot's size if larger, before the next one
handshake_ms = 10000                 # how long a client may take for its handshake

[http]                               # limits for HTTP clients
connections = 4096                   # at once
connections_per_address = 1024       # from one address; 0 is any number
max_body_bytes = 1048576             # of a request
max_header_bytes = 16384             # of a request, at least 8192
header_ms = 10000                    # how long a request's head may take, and a TLS handshake
body_ms = 10000                      # how long its body may take
idle_ms = 75000                      # how long a connection may stay without a request
write_ms = 30000                     # how long a client may leave what is sent to it
streams = 1024                       # streams of events at once

[zookeeper]
# super_digest = "super:..."         # super:base64(sha1(super:password)); who proves it may do anything
linearizable_reads = false           # until /quipu/settings/linearizable_reads says otherwise
four_letter_words = ["*"]            # the commands answered; ["srvr"] is ZooKeeper's own default

[log]
level = "info"                       # error, warn, info, debug or trace
format = "text"                      # or "json"
"#;
