use std::fmt;

use remotemedia_core::{ChannelCount, ErrorCode};

use crate::ice::Credentials;

/// Why a description was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SdpError {
    /// [`ErrorCode::InvalidSdp`] or [`ErrorCode::NoCommonCodec`].
    pub code: ErrorCode,
    /// What is wrong, and where it helps what to do.
    pub message: String,
    /// The line or attribute concerned: `line 12`, `media[0].ice-ufrag`.
    pub field: Option<String>,
}

impl SdpError {
    pub(super) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (Some(field.into()), message.into());
        SdpError { code: ErrorCode::InvalidSdp, message, field }
    }

    pub(super) fn no_common_codec(message: impl Into<String>) -> Self {
        SdpError { code: ErrorCode::NoCommonCodec, message: message.into(), field: None }
    }
}

/// Bounds on a description.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole text.
    pub bytes: usize,
    /// Lines of the whole text.
    pub lines: usize,
    /// Media sections.
    pub media: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 256 * 1024, lines: 8192, media: 32 }
    }
}

/// The kind of a media section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// `m=audio`
    Audio,
    /// `m=video`
    Video,
    /// `m=application`
    Application,
    /// Anything else.
    Other,
}

/// Who sends, seen from the description's author.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways; also meant where nothing is said.
    #[default]
    SendRecv,
    /// The author sends.
    SendOnly,
    /// The author receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether the author sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the author receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The direction of an author who sends and receives so.
    #[must_use]
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// The name of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }
}

/// Who begins the DTLS handshake (RFC 8842, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The author does: it is the DTLS client.
    Active,
    /// The other side does.
    Passive,
    /// The other side chooses.
    ActPass,
}

impl Setup {
    /// The value of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
        }
    }
}

/// The SHA-256 of a certificate (RFC 8122). Displays as `AB:CD:...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Parses 32 pairs of hexadecimal digits with colons between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0u8; 32];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next()?;
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Fingerprint(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

/// One codec of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The name as written: `opus`.
    pub name: String,
    /// The RTP clock in Hz.
    pub clock_rate: u32,
    /// Channels, 1 where nothing is said.
    pub channels: u8,
    /// The format parameters as written, empty where there are none.
    pub fmtp: String,
}

/// One RTP header extension (RFC 8285).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The id: 1 to 14 in the one-byte form, up to 255 in the two-byte form.
    pub id: u8,
    /// What it means.
    pub uri: String,
}

/// Synchronisation sources kept of a section; more are ignored.
pub const MAX_SSRCS: usize = 64;

/// One media section as its author wrote it; what it lacks may stand at session level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The kind.
    pub kind: MediaKind,
    /// The name as written: `audio`.
    pub name: String,
    /// The port; zero means rejected, unless the section is bundle-only.
    pub port: u16,
    /// The protocol: `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// The formats as written: payload types, or `webrtc-datachannel`.
    pub formats: Vec<String>,
    /// Its name in the BUNDLE group.
    pub mid: Option<String>,
    /// Who sends; taken from the session, then `sendrecv`, where nothing is said.
    pub direction: Direction,
    /// `a=bundle-only`
    pub bundle_only: bool,
    /// `a=rtcp-mux`
    pub rtcp_mux: bool,
    /// The codecs in the author's order.
    pub codecs: Vec<Codec>,
    /// The header extensions.
    pub extensions: Vec<Extension>,
    /// The synchronisation sources, each once, at most [`MAX_SSRCS`].
    pub ssrcs: Vec<u32>,
    /// The ICE user fragment; that of the session where the section has none.
    pub ufrag: Option<String>,
    /// The ICE password; that of the session where the section has none.
    pub pwd: Option<String>,
    /// The fingerprints of SHA-256; those of the session where the section has none.
    pub fingerprints: Vec<Fingerprint>,
    /// The DTLS role; that of the session where the section has none.
    pub setup: Option<Setup>,
    /// Candidate lines without `a=`, at most one more than an agent takes.
    pub candidates: Vec<String>,
    /// `a=end-of-candidates`
    pub end_of_candidates: bool,
    /// `a=sctp-port`
    pub sctp_port: Option<u16>,
    /// `a=max-message-size` in bytes; zero means without bound.
    pub max_message_size: Option<u64>,
}

impl Media {
    /// Whether the author offers the section at all.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.port != 0 || self.bundle_only
    }
}

/// A parsed description: an offer, or an answer before it is matched with the offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The sections in order.
    pub media: Vec<Media>,
    /// The mids of the BUNDLE group in order; empty without one.
    pub bundle: Vec<String>,
    /// `a=extmap-allow-mixed` at session level.
    pub extmap_allow_mixed: bool,
    /// `a=ice-lite`
    pub ice_lite: bool,
}

/// How much a kind of media is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Without it the offer is refused.
    Required,
    /// Taken where it is offered.
    Optional,
    /// Not taken.
    None,
}

/// What the answering side wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaWants {
    /// Audio to receive, which must be Opus.
    pub audio: Want,
    /// Channels of the audio to send, where there is any: the first section in which the other side
    /// receives Opus gets it.
    pub send: Option<ChannelCount>,
}

impl MediaWants {
    /// Only receives.
    #[must_use]
    pub const fn receive(audio: Want) -> Self {
        MediaWants { audio, send: None }
    }
}

/// What the other side would like to receive (RFC 7587, section 6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpusWishes {
    /// Two channels (`stereo`).
    pub stereo: bool,
    /// It makes use of copies of lost frames (`useinbandfec`).
    pub fec: bool,
    /// Bits per second at most (`maxaveragebitrate`).
    pub max_bitrate: Option<u32>,
    /// The highest rate in hertz that it makes use of (`maxplaybackrate`).
    pub max_rate: Option<u32>,
}

impl OpusWishes {
    /// Reads format parameters; those that are wrong say nothing.
    #[must_use]
    pub fn parse(fmtp: &str) -> Self {
        let mut wishes = OpusWishes::default();
        for (name, value) in fmtp.split(';').filter_map(|parameter| parameter.split_once('=')) {
            let (name, value) = (name.trim(), value.trim());
            let number = || value.parse::<u32>().ok();
            if name.eq_ignore_ascii_case("stereo") {
                wishes.stereo = value == "1";
            } else if name.eq_ignore_ascii_case("useinbandfec") {
                wishes.fec = value == "1";
            } else if name.eq_ignore_ascii_case("maxaveragebitrate") {
                wishes.max_bitrate = number().filter(|bits| (6_000..=510_000).contains(bits));
            } else if name.eq_ignore_ascii_case("maxplaybackrate") {
                wishes.max_rate = number().filter(|hz| (8_000..=48_000).contains(hz));
            }
        }
        wishes
    }
}

/// The other side's transport, of the section that carries the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTransport {
    /// Its ICE credentials.
    pub credentials: Credentials,
    /// The fingerprints of which its certificate must match one; never empty.
    pub fingerprints: Vec<Fingerprint>,
    /// Its candidates, without `a=`.
    pub candidates: Vec<String>,
    /// No more candidates will come.
    pub end_of_candidates: bool,
    /// It answers checks and never sends any.
    pub ice_lite: bool,
}

impl RemoteTransport {
    /// Whether `later`, of a new description, means an ICE restart (RFC 8839, section 4.4.3).
    #[must_use]
    pub fn is_restarted_by(&self, later: &RemoteTransport) -> bool {
        self.credentials != later.credentials
    }
}

/// An audio section in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioSection {
    /// Its name.
    pub mid: String,
    /// The payload type of Opus.
    pub payload_type: u8,
    /// Who sends, seen from here.
    pub direction: Direction,
    /// What the other side would like to receive.
    pub wishes: OpusWishes,
    /// We send two channels, where we send.
    pub stereo: bool,
    /// The other side's synchronisation sources, where it names them.
    pub ssrcs: Vec<u32>,
    /// The id of the header extension that carries the mid.
    pub mid_extension: Option<u8>,
    /// The id of the header extension that carries the audio level (RFC 6464).
    pub level_extension: Option<u8>,
}

/// The section of the data channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSection {
    /// Its name.
    pub mid: String,
    /// The other side's SCTP port.
    pub sctp_port: u16,
    /// The largest message that the other side takes, in bytes; `u64::MAX` is without bound.
    pub max_message_size: u64,
}

/// What becomes of one media section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionUse {
    /// Audio flows: an index into [`Negotiated::audio`].
    Audio(usize),
    /// The data channels.
    Data,
    /// Kept without media, so that the other side may use it later.
    Inactive,
    /// Refused: port 0.
    Rejected,
}

/// What two descriptions agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The other side.
    pub remote: RemoteTransport,
    /// Whether this side begins the DTLS handshake. In a new description for a connection whose
    /// handshake is over, set it to what it was before writing the answer (RFC 8842, section 5.5).
    pub dtls_client: bool,
    /// The audio sections in which at least one side sends, in order.
    pub audio: Vec<AudioSection>,
    /// The data channels, where both sides have them.
    pub data: Option<DataSection>,
    /// What becomes of each section of the offer, in order.
    pub sections: Vec<SectionUse>,
}
