//! Both ends of connections, in one process, with certificates made for the occasion.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(5);

/// Who signs, and a directory for what is signed.
struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let directory = tempfile::tempdir().expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "an authority");
        let certificate = parameters.self_signed(&key).expect("signed");
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("written");
        Authority { directory, issuer: Issuer::new(parameters, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn sign(&self, file: &str, name: &str, adjust: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new([name.to_string()]).expect("a name");
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        adjust(&mut parameters);
        let certificate = parameters.signed_by(&key, &self.issuer).expect("signed");
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).expect("written");
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).expect("written");
    }

    /// The configuration of a node of cluster `c`, with the files of that name and more lines in its `[tls]`.
    fn config(&self, id: u64, file: &str, more: &str) -> Config {
        let text = format!(
            "[node]\nid = {id}\ncluster = \"c\"\ndata_dir = \"d\"\npeer = \"localhost:1\"\nclient = \"localhost:2\"\n\
             http = \"localhost:3\"\n[tls]\ncertificate = {:?}\nkey = {:?}\nca = {:?}\n{more}",
            self.path(&format!("{file}.pem")),
            self.path(&format!("{file}.key")),
            self.path("ca.pem")
        );
        Config::parse(&text, Path::new("test.toml")).expect("valid")
    }

    /// The doors of a node with a certificate of its own.
    fn node(&self, id: u64) -> Doors {
        let file = format!("node-{id}");
        self.sign(&file, &node_name("c", id), |_| {});
        Doors::open(&self.config(id, &file, "")).expect("doors")
    }
}

/// Two sockets, connected.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (here, there) = tokio::join!(TcpStream::connect(address), listener.accept());
    (here.expect("connected"), there.expect("accepted").0)
}

/// What comes of it when `one` dials `to`, and `two` answers. The one who dials reads, since it may be refused after
/// its own half of the handshake.
async fn meet(one: &Doors, to: u64, two: &Doors) -> (Result<Stream, String>, Result<Stream, Unwelcome>) {
    let (here, there) = sockets().await;
    let dialling = async {
        let mut stream = one.peer.dial(here, NodeId(to)).await?;
        let mut byte = [0];
        match stream.read(&mut byte).await {
            Ok(1) => Ok(stream),
            Ok(_) => Err("hung up".into()),
            Err(error) => Err(sentence(&error).unwrap_or_else(|| error.to_string())),
        }
    };
    let answering = async {
        let mut stream = two.peer.welcome(there, PATIENCE).await?;
        stream.write_all(b"!").await.expect("written");
        stream.flush().await.expect("flushed");
        Ok(stream)
    };
    tokio::join!(dialling, answering)
}

fn failures(doors: &Doors) -> Vec<((&'static str, &'static str), u64)> {
    doors.counters.failed.borrow().iter().map(|(at, count)| (*at, *count)).collect()
}

#[tokio::test]
async fn nodes_of_one_authority_know_each_other_by_name() {
    let authority = Authority::new();
    let (one, two) = (authority.node(1), authority.node(2));
    let (dialled, answered) = meet(&one, 2, &two).await;
    let (dialled, answered) = (dialled.expect("connected"), answered.expect("welcome"));
    assert!(one.peer.proves(&dialled, NodeId(2)) && !one.peer.proves(&dialled, NodeId(1)));
    assert!(two.peer.proves(&answered, NodeId(1)) && !two.peer.proves(&answered, NodeId(3)));
    assert_eq!((failures(&one), failures(&two)), (vec![], vec![]));
}

#[tokio::test]
async fn whoever_reaches_another_node_than_it_meant_goes_away() {
    let authority = Authority::new();
    let (one, two) = (authority.node(1), authority.node(2));
    let (dialled, answered) = meet(&one, 3, &two).await;
    assert_eq!(dialled.err().as_deref(), Some("its certificate is that of another node or cluster"));
    assert_eq!(answered.err().expect("refused").reason, "refused_by_other_side");
    assert_eq!(failures(&one), [(("dialled", "bad_certificate"), 1)]);
    assert_eq!(failures(&two), [(("peer", "refused_by_other_side"), 1)]);
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (one, two) = (ours.node(1), theirs.node(2));
    let (dialled, _) = meet(&one, 2, &two).await;
    let told = dialled.err().expect("refused");
    assert!(told.starts_with("its certificate is not signed by the authority"), "{told}");
    // One that trusts them, with a certificate that they do not trust.
    std::fs::copy(theirs.path("ca.pem"), ours.path("ca.pem")).expect("copied");
    let config = ours.config(1, "node-1", "");
    let told = Doors::open(&config).err().expect("its own certificate is not of its authority").to_string();
    assert!(told.contains("node-1.pem: is not signed by the authority in tls.ca"), "{told}");
}

#[tokio::test]
async fn what_does_not_speak_tls_is_told_apart() {
    let authority = Authority::new();
    let doors = authority.node(1);
    let (mut here, there) = sockets().await;
    let hello = async {
        here.write_all(b"quipu\0np and more of it").await.expect("written");
        let mut answer = Vec::new();
        let _ = here.read_to_end(&mut answer).await;
        answer
    };
    let (answer, refused) = tokio::join!(hello, doors.peer.welcome(there, PATIENCE));
    let refused = refused.err().expect("refused");
    assert_eq!((refused.reason, failures(&doors)), ("not_tls", vec![(("peer", "not_tls"), 1)]));
    assert!(refused.sentence.contains("does not speak TLS"), "{}", refused.sentence);
    assert_eq!(answer.get(..2), Some(&[0x15, 3][..]), "an alert of TLS");
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let authority = Authority::new();
    let doors = authority.node(1);
    let (mut here, there) = sockets().await;
    let refused = doors.client.welcome(there, Duration::from_millis(50)).await.err().expect("refused");
    assert_eq!((refused.reason, failures(&doors)), ("timeout", vec![(("client", "timeout"), 1)]));
    assert_eq!(here.read(&mut [0]).await.expect("closed"), 0);
    let (here, there) = sockets().await;
    drop(here);
    let refused = doors.client.welcome(there, PATIENCE).await.err().expect("refused");
    assert_eq!(refused.reason, HUNG_UP);
}

#[tokio::test]
async fn clients_show_a_certificate_only_where_they_must() {
    let authority = Authority::new();
    let doors = authority.node(1);
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
    let pem = CertificateDer::from_pem_file(authority.path("ca.pem")).expect("a certificate");
    roots.add(pem).expect("an authority");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let client = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(client));
    for (door, is_let_in) in [(&doors.http, true), (&doors.client, false)] {
        let (here, there) = sockets().await;
        let name = ServerName::try_from(node_name("c", 1)).expect("a name");
        let (_, welcomed) = tokio::join!(connector.connect(name, here), door.welcome(there, PATIENCE));
        assert_eq!(welcomed.is_ok(), is_let_in);
        assert!(welcomed.is_ok() || failures(&doors) == [(("client", "no_certificate"), 1)]);
    }
}

/// Writes all of it as the gateway and the transport do.
async fn write(half: &WriteHalf, mut bytes: &[u8]) -> u64 {
    let mut waits = 0;
    loop {
        let done = match bytes {
            [] => half.try_flush(),
            _ => half.try_write(bytes).map(|written| bytes = &bytes[written..]),
        };
        match done {
            Ok(()) if bytes.is_empty() && half.try_flush().is_ok() => return waits,
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                waits += 1;
                half.writable().await.expect("still there");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn halves_carry_much_both_ways_and_end() {
    let authority = Authority::new();
    let (one, two) = (authority.node(1), authority.node(2));
    let (dialled, answered) = meet(&one, 2, &two).await;
    let (mut read_here, write_here) = dialled.expect("connected").into_split();
    let (mut read_there, write_there) = answered.expect("welcome").into_split();
    let bytes: Vec<u8> = (0..8_000_000u32).map(|number| (number % 251) as u8).collect();
    let sending = async {
        let waits = write(&write_here, &bytes).await;
        drop(write_here);
        waits
    };
    let returning = async {
        let mut received = Vec::new();
        // Slow at first, so that the sender must wait.
        tokio::time::sleep(Duration::from_millis(50)).await;
        read_there.read_to_end(&mut received).await.expect("read to the end");
        assert!(received == bytes, "{} bytes came through", received.len());
        write(&write_there, &received).await;
        drop(write_there);
    };
    let receiving = async {
        let mut received = Vec::new();
        read_here.read_to_end(&mut received).await.expect("read to the end");
        received
    };
    let (waits, (), received) = tokio::join!(sending, returning, receiving);
    assert!(received == bytes, "{} bytes came back", received.len());
    assert!(waits > 0, "a full socket was waited for");
}

#[tokio::test]
async fn a_process_that_is_killed_ends_the_stream() {
    let authority = Authority::new();
    let (one, two) = (authority.node(1), authority.node(2));
    let (dialled, answered) = meet(&one, 2, &two).await;
    let (mut read, _write) = dialled.expect("connected").into_split();
    // The socket alone is closed, without a word of TLS.
    let Stream::Tls(answered) = answered.expect("welcome") else { panic!("in the open") };
    let TlsStream::Server(answered) = *answered else { panic!("dialled") };
    drop(answered.into_inner());
    assert_eq!(read.read(&mut [0]).await.expect("an end"), 0);
}

#[test]
fn mistakes_in_files_are_told_with_their_names() {
    let authority = Authority::new();
    authority.sign("node-1", &node_name("c", 1), |_| {});
    authority.sign("node-2", &node_name("c", 2), |_| {});
    authority.sign("old", &node_name("c", 1), |parameters| {
        parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    let told = |config: &Config| Doors::open(config).err().expect("a mistake").to_string();
    assert!(told(&authority.config(1, "none", "")).contains("none.key: cannot be read: No such file"));
    let other = told(&authority.config(1, "node-2", ""));
    assert!(
        other.contains("node-2.pem: is not this node's certificate: that bears the name node-1.c."),
        "{other}"
    );
    assert!(told(&authority.config(1, "old", "")).ends_with("old.pem: has expired"));
    std::fs::copy(authority.path("node-2.key"), authority.path("old.key")).expect("copied");
    std::fs::copy(authority.path("node-1.pem"), authority.path("old.pem")).expect("copied");
    let mismatch = told(&authority.config(1, "old", ""));
    assert!(mismatch.contains("old.key: not the key of ") && mismatch.ends_with("old.pem"), "{mismatch}");
    std::fs::write(authority.path("old.pem"), "nothing of the kind").expect("written");
    assert!(told(&authority.config(1, "old", "")).ends_with("old.pem: holds no certificate in PEM form"));
    std::fs::copy(authority.path("node-1.pem"), authority.path("old.key")).expect("copied");
    assert!(told(&authority.config(1, "old", "")).ends_with("old.key: holds no private key in PEM form"));
    std::fs::write(
        authority.path("old.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .expect("written");
    std::fs::copy(authority.path("node-1.key"), authority.path("old.key")).expect("copied");
    let nonsense = told(&authority.config(1, "old", ""));
    assert!(nonsense.ends_with("old.pem: holds something else than a certificate"), "{nonsense}");
    // Whose name it bears matters to nobody but nodes.
    let clients_only = authority.config(1, "node-2", "peer = \"plain\"\n");
    let doors = Doors::open(&clients_only).expect("doors");
    // Made by rcgen for longer than this program will be remembered.
    assert!(doors.not_after.is_some_and(|seconds| seconds > 60_000_000_000), "{:?}", doors.not_after);
    assert!(!doors.peer.is_tls() && doors.client.is_tls() && doors.http.is_tls());
}
