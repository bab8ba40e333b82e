use serde::{Serialize, Serializer};

/// Defines the codes once: the enum, its text and the list that documentation and tests walk.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A stable error code: the number is never reused, so users can look it up for ever.
        ///
        /// 1xxx manifest and graph, 2xxx negotiation, 3xxx media and transport, 4xxx messages on a
        /// channel, 5xxx nodes, 6xxx server. `runtime/README.md` documents each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The code as users see it: `RM-` and four digits.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// The manifest is not valid.
    InvalidManifest = "RM-1001",
    /// A node type is unknown.
    UnknownNodeType = "RM-1002",
    /// A node parameter is missing, unknown or out of its range.
    InvalidParameter = "RM-1003",
    /// The graph has a cycle.
    GraphCycle = "RM-1004",
    /// Two connected ports do not fit.
    PortMismatch = "RM-1005",
    /// The SDP cannot be parsed or lacks a required line.
    InvalidSdp = "RM-2001",
    /// No codec in common, or no audio where the pipeline needs it.
    NoCommonCodec = "RM-2002",
    /// No pipeline has that name.
    UnknownPipeline = "RM-2003",
    /// No session or peer has that id.
    UnknownId = "RM-2004",
    /// The id is taken or in a state that does not allow the call.
    Conflict = "RM-2005",
    /// A candidate line cannot be parsed.
    InvalidCandidate = "RM-2006",
    /// More candidates than a peer may have.
    TooManyCandidates = "RM-2007",
    /// Offers on one connection follow each other too fast.
    TooManyOffers = "RM-2008",
    /// ICE found no path in time.
    IceTimeout = "RM-3001",
    /// DTLS failed or did not finish in time.
    DtlsFailed = "RM-3002",
    /// The certificate does not match the fingerprint of the SDP.
    FingerprintMismatch = "RM-3003",
    /// The other side has not answered for 30 s (consent, RFC 7675).
    ConsentLost = "RM-3004",
    /// The other side reads too slowly: events could not be delivered.
    SlowReader = "RM-3005",
    /// The data channel association was lost.
    AssociationLost = "RM-3006",
    /// A control message is not valid.
    InvalidMessage = "RM-4001",
    /// Too many control messages wait.
    Busy = "RM-4002",
    /// Not in this version.
    NotInThisVersion = "RM-4003",
    /// A result is larger than the largest message that the client takes.
    ResultTooLarge = "RM-4004",
    /// A node failed on a frame.
    NodeFailed = "RM-5001",
    /// A node's mailbox was full and lost frames.
    NodeOverrun = "RM-5002",
    /// Admission is closed: the server is full.
    ServerFull = "RM-6001",
    /// The server is shutting down.
    Draining = "RM-6002",
    /// A bug of ours.
    Internal = "RM-6999",
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = std::collections::HashSet::new();
        for code in ErrorCode::ALL {
            let text = code.as_str();
            assert!(seen.insert(text), "{text} stands for two errors");
            assert!(text.len() == 7 && text.starts_with("RM-"), "{text}");
        }
    }

    #[test]
    fn the_readme_says_what_each_code_means() {
        let readme = include_str!("../../../README.md");
        for code in ErrorCode::ALL {
            assert!(readme.contains(&format!("| {code} |")), "{code} is not in runtime/README.md");
        }
    }
}
