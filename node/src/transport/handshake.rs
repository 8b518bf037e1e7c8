//! The first thing two nodes say to each other.
//!
//! The dialling node says `magic, version: u16, length: u16` and then, `length` bytes long, its cluster's name,
//! its own number, whom it means to reach, and where it can be reached itself. The other answers `magic, version,
//! answer: u8`. The magic, the version and the answer keep their place in every version to come, so that two
//! versions can always tell each other what is wrong.

use super::{Identity, PEER_PROTOCOL_VERSION};
use bytes::{BufMut, Bytes, BytesMut};
use quipu_base::codec::{Codec, Malformed};
use quipu_base::{NodeId, codec_struct};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const MAGIC: [u8; 8] = *b"quipu\0np";
const MAX_HELLO: usize = 1024;

/// What the dialling node says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hello {
    pub(super) cluster: String,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    /// Where the dialling node listens, so that a node that joins can answer before it knows the members.
    pub(super) address: String,
}

codec_struct!(Hello { cluster, from, to, address });

/// What the other node thinks of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Welcome,
    OtherVersion,
    OtherCluster,
    OtherNode,
    OtherCertificate,
}

impl Answer {
    fn byte(self) -> u8 {
        match self {
            Answer::Welcome => 0,
            Answer::OtherVersion => 1,
            Answer::OtherCluster => 2,
            Answer::OtherNode => 3,
            Answer::OtherCertificate => 4,
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Answer::Welcome => "welcome",
            Answer::OtherVersion => "it speaks another version of the peer protocol",
            Answer::OtherCluster => "it belongs to a cluster of another name",
            Answer::OtherNode => {
                "it has another number than the one dialled, or the same as the dialling node"
            }
            Answer::OtherCertificate => "the dialling node's certificate is not that of its number",
        }
    }
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(super) enum HandshakeError {
    Io(io::Error),
    /// What is wrong with its TLS.
    Tls(String),
    NotAPeer,
    /// It speaks TLS, and this node does not.
    WantsTls,
    Malformed(Malformed),
    Refused {
        answer: Answer,
        version: u16,
    },
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match crate::doors::sentence(&error) {
            Some(sentence) => HandshakeError::Tls(sentence),
            None => HandshakeError::Io(error),
        }
    }
}

impl std::fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HandshakeError::Io(error) => error.fmt(f),
            HandshakeError::Tls(sentence) => f.write_str(sentence),
            HandshakeError::WantsTls => f.write_str("it speaks TLS: this node's configuration has no [tls]"),
            HandshakeError::NotAPeer => f.write_str("what answers there is no quipu node"),
            HandshakeError::Malformed(malformed) => write!(f, "the handshake is {malformed}"),
            HandshakeError::Refused { answer: Answer::OtherVersion, version } => write!(
                f,
                "one speaks version {version} of the peer protocol, the other {PEER_PROTOCOL_VERSION}"
            ),
            HandshakeError::Refused { answer, .. } => f.write_str(answer.sentence()),
        }
    }
}

/// The dialling side.
pub(super) async fn introduce<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    own: &Identity,
    to: NodeId,
) -> Result<(), HandshakeError> {
    let hello = Hello { cluster: own.cluster.clone(), from: own.id, to, address: own.address.clone() };
    let body = hello.to_bytes();
    let mut out = BytesMut::new();
    out.put_slice(&MAGIC);
    out.put_u16_le(PEER_PROTOCOL_VERSION);
    out.put_u16_le(u16::try_from(body.len()).map_err(|_| HandshakeError::Malformed(Malformed("too long")))?);
    out.put_slice(&body);
    stream.write_all(&out).await?;
    let mut magic = [0; MAGIC.len()];
    // A whole alert of TLS is shorter than the magic.
    stream.read_exact(&mut magic[..2]).await?;
    if is_tls(&magic) {
        return Err(HandshakeError::WantsTls);
    }
    stream.read_exact(&mut magic[2..]).await?;
    if magic != MAGIC {
        return Err(HandshakeError::NotAPeer);
    }
    let version = stream.read_u16_le().await?;
    match stream.read_u8().await? {
        0 => Ok(()),
        2 => Err(HandshakeError::Refused { answer: Answer::OtherCluster, version }),
        3 => Err(HandshakeError::Refused { answer: Answer::OtherNode, version }),
        4 => Err(HandshakeError::Refused { answer: Answer::OtherCertificate, version }),
        // An answer that this version does not know comes from another one.
        _ => Err(HandshakeError::Refused { answer: Answer::OtherVersion, version }),
    }
}

/// Whether what begins so is TLS: an alert that refuses a hello in the open, or a handshake.
fn is_tls(start: &[u8]) -> bool {
    matches!(start, [0x15 | 0x16, 0x03, ..])
}

/// The dialled side: who is there, once it has been told that it is welcome. `proves` says whether the connection may be
/// that of the node with this number.
pub(super) async fn admit<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    own: &Identity,
    proves: impl Fn(&S, NodeId) -> bool,
) -> Result<Hello, HandshakeError> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic).await?;
    if is_tls(&magic) {
        return Err(HandshakeError::WantsTls);
    }
    if magic != MAGIC {
        return Err(HandshakeError::NotAPeer);
    }
    let version = stream.read_u16_le().await?;
    if version != PEER_PROTOCOL_VERSION {
        reply(stream, Answer::OtherVersion).await?;
        return Err(HandshakeError::Refused { answer: Answer::OtherVersion, version });
    }
    let length = stream.read_u16_le().await? as usize;
    if length > MAX_HELLO {
        return Err(HandshakeError::Malformed(Malformed("too long")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let hello = Hello::from_bytes(Bytes::from(body)).map_err(HandshakeError::Malformed)?;
    let answer = match judge(&hello, own) {
        Answer::Welcome if !proves(stream, hello.from) => Answer::OtherCertificate,
        answer => answer,
    };
    reply(stream, answer).await?;
    match answer {
        Answer::Welcome => Ok(hello),
        answer => Err(HandshakeError::Refused { answer, version }),
    }
}

fn judge(hello: &Hello, own: &Identity) -> Answer {
    if hello.cluster != own.cluster {
        Answer::OtherCluster
    } else if hello.to != own.id || hello.from == own.id || !(1..=255).contains(&hello.from.0) {
        Answer::OtherNode
    } else {
        Answer::Welcome
    }
}

async fn reply<S: AsyncWrite + Unpin>(stream: &mut S, answer: Answer) -> io::Result<()> {
    let mut out = BytesMut::new();
    out.put_slice(&MAGIC);
    out.put_u16_le(PEER_PROTOCOL_VERSION);
    out.put_u8(answer.byte());
    stream.write_all(&out).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster: &str, id: u64) -> Identity {
        Identity {
            cluster: cluster.into(),
            id: NodeId(id),
            address: format!("host-{id}:1"),
            outbound_bytes: 1024,
            max_frame: 1024,
        }
    }

    fn anybody(_: &tokio::io::DuplexStream, _: NodeId) -> bool {
        true
    }

    /// Both ends of a handshake from `dialler`, which means to reach `to`, with `dialled`.
    async fn meet(dialler: &Identity, to: u64, dialled: &Identity) -> (Option<Answer>, Option<Hello>) {
        let (mut here, mut there) = tokio::io::duplex(4096);
        let (introduced, admitted) =
            tokio::join!(introduce(&mut here, dialler, NodeId(to)), admit(&mut there, dialled, anybody));
        let answer = match introduced {
            Ok(()) => Some(Answer::Welcome),
            Err(HandshakeError::Refused { answer, .. }) => Some(answer),
            Err(_) => None,
        };
        (answer, admitted.ok())
    }

    #[tokio::test]
    async fn only_the_right_node_of_the_right_cluster_is_welcome() {
        let (one, two) = (identity("a", 1), identity("a", 2));
        let (answer, hello) = meet(&one, 2, &two).await;
        assert_eq!(answer, Some(Answer::Welcome));
        assert_eq!(hello.map(|hello| (hello.from, hello.address)), Some((NodeId(1), "host-1:1".into())));
        assert_eq!(meet(&one, 3, &two).await, (Some(Answer::OtherNode), None));
        assert_eq!(meet(&two, 2, &two).await, (Some(Answer::OtherNode), None));
        assert_eq!(meet(&identity("b", 1), 2, &two).await, (Some(Answer::OtherCluster), None));
        assert_eq!(meet(&identity("a", 256), 2, &two).await, (Some(Answer::OtherNode), None));
    }

    #[tokio::test]
    async fn another_version_is_told_so() {
        let (mut here, mut there) = tokio::io::duplex(4096);
        let own = identity("a", 2);
        let client = async {
            here.write_all(&MAGIC).await.expect("written");
            here.write_u16_le(PEER_PROTOCOL_VERSION + 1).await.expect("written");
            let mut answer = [0; MAGIC.len() + 3];
            here.read_exact(&mut answer).await.expect("answered");
            answer
        };
        let (answer, refused) = tokio::join!(client, admit(&mut there, &own, anybody));
        assert_eq!(answer[MAGIC.len()..], [1, 0, 1]);
        assert!(matches!(refused, Err(HandshakeError::Refused { answer: Answer::OtherVersion, version: 2 })));
    }

    #[tokio::test]
    async fn what_is_no_node_is_refused() {
        let (mut here, mut there) = tokio::io::duplex(4096);
        let own = identity("a", 2);
        let (written, refused) =
            tokio::join!(here.write_all(b"GET / HTTP/1.1\r\n"), admit(&mut there, &own, anybody));
        written.expect("written");
        assert!(matches!(refused, Err(HandshakeError::NotAPeer)));
    }

    #[tokio::test]
    async fn a_number_that_the_certificate_does_not_bear_is_refused() {
        let (mut here, mut there) = tokio::io::duplex(4096);
        let (one, two) = (identity("a", 1), identity("a", 2));
        let is_three = |_: &tokio::io::DuplexStream, from| from == NodeId(3);
        let (introduced, admitted) =
            tokio::join!(introduce(&mut here, &one, NodeId(2)), admit(&mut there, &two, is_three));
        let told = introduced.expect_err("refused").to_string();
        assert!(told.contains("certificate is not that of its number"), "{told}");
        assert!(matches!(admitted, Err(HandshakeError::Refused { answer: Answer::OtherCertificate, .. })));
    }

    #[tokio::test]
    async fn tls_is_recognised_by_a_node_that_speaks_none() {
        let own = identity("a", 2);
        let (mut here, mut there) = tokio::io::duplex(4096);
        let hello = [0x16, 3, 1, 0, 200, 1, 0, 0, 196];
        let (written, refused) = tokio::join!(here.write_all(&hello), admit(&mut there, &own, anybody));
        written.expect("written");
        assert!(matches!(refused, Err(HandshakeError::WantsTls)));
        let (mut here, mut there) = tokio::io::duplex(4096);
        let alert = [0x15, 3, 3, 0, 2, 2, 10];
        let (written, refused) = tokio::join!(there.write_all(&alert), introduce(&mut here, &own, NodeId(1)));
        written.expect("written");
        assert!(matches!(refused, Err(HandshakeError::WantsTls)));
    }
}
