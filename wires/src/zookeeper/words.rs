//! The commands that an operator sends instead of a first frame (`FourLetterCommands.java`).

macro_rules! words {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A command in place of a first frame's length. The answer is plain text; then the connection closes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum FourLetterWord { $( $(#[$doc])* $variant, )* }

        impl FourLetterWord {
            /// Every word.
            pub const ALL: &[FourLetterWord] = &[$(FourLetterWord::$variant),*];

            /// The word itself.
            pub fn as_str(self) -> &'static str {
                match self { $( FourLetterWord::$variant => $text, )* }
            }
        }
    };
}

words! {
    /// The server's configuration.
    Conf = "conf",
    /// Every connection with its session and figures.
    Cons = "cons",
    /// Resets the figures of connections.
    Crst = "crst",
    /// Bytes of snapshots and logs.
    Dirs = "dirs",
    /// Sessions and their ephemeral nodes.
    Dump = "dump",
    /// The environment, first of all the version.
    Envi = "envi",
    /// The trace mask.
    Gtmk = "gtmk",
    /// Whether the server is well: `imok`.
    Ruok = "ruok",
    /// Sets the trace mask to the 8 bytes that follow.
    Stmk = "stmk",
    /// The server's figures.
    Srvr = "srvr",
    /// Resets the server's figures.
    Srst = "srst",
    /// The server's figures and its connections.
    Stat = "stat",
    /// Watches by session.
    Wchc = "wchc",
    /// Watches by path.
    Wchp = "wchp",
    /// How many watches there are.
    Wchs = "wchs",
    /// Figures for monitoring, a name and a value a line.
    Mntr = "mntr",
    /// Whether the server is read-only: `ro` or `rw`.
    Isro = "isro",
    /// Digests of the tree's history.
    Hash = "hash",
}

/// The word that a connection's first four bytes are, if they are one. As a length they would all be far beyond
/// any accepted frame, so the two cannot be confused; after the first frame they are not looked for.
pub fn four_letter_word(first4: [u8; 4]) -> Option<FourLetterWord> {
    FourLetterWord::ALL.iter().copied().find(|word| word.as_str().as_bytes() == first4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::DEFAULT_MAX_FRAME;

    #[test]
    fn words_are_known_and_longer_than_any_frame() {
        assert_eq!(FourLetterWord::ALL.len(), 18);
        for &word in FourLetterWord::ALL {
            let bytes: [u8; 4] = word.as_str().as_bytes().try_into().expect("four letters");
            assert_eq!(four_letter_word(bytes), Some(word));
            assert!(i32::from_be_bytes(bytes) as usize > DEFAULT_MAX_FRAME);
        }
        assert_eq!(four_letter_word(*b"RUOK"), None);
        assert_eq!(four_letter_word([0, 0, 0, 44]), None);
    }
}
