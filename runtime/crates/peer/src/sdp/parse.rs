//! Text to sections. Total and bounded: what it does not know it skips, what it needs and cannot
//! read is an error that names the line.

use std::str::FromStr;

use super::{
    Codec, Direction, Extension, Fingerprint, Limits, MAX_SSRCS, Media, MediaKind, Offer, SdpError,
    Setup,
};
use crate::ice::MAX_REMOTE_CANDIDATES;

/// Header extensions kept of a section; more are ignored.
const MAX_EXTENSIONS: usize = 64;
/// Fingerprints kept of a section; more are ignored.
const MAX_FINGERPRINTS: usize = 8;

/// Parses a description, an offer or an answer.
///
/// # Errors
///
/// `InvalidSdp`, naming the line and the attribute.
pub fn parse_offer(text: &str, limits: &Limits) -> Result<Offer, SdpError> {
    if text.len() > limits.bytes {
        let message = format!("the description is longer than {} bytes", limits.bytes);
        return Err(SdpError::invalid("sdp", message));
    }
    let mut parser = Parser::default();
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    for (index, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let at = Line { number: index + 1 };
        if index >= limits.lines {
            return Err(at.error(format!("the description has more than {} lines", limits.lines)));
        }
        parser.line(at, line, limits)?;
    }
    parser.finish()
}

#[derive(Clone, Copy)]
struct Line {
    number: usize,
}

impl Line {
    fn error(self, message: impl AsRef<str>) -> SdpError {
        let field = format!("line {}", self.number);
        SdpError::invalid(&field, format!("{field} of the description: {}", message.as_ref()))
    }

    fn number<T: FromStr>(self, name: &str, text: &str) -> Result<T, SdpError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number.ok_or_else(|| self.error(format!("{name} is not a number in range")))
    }
}

/// Attributes that may stand at session level too.
#[derive(Default)]
struct Common {
    ufrag: Option<String>,
    pwd: Option<String>,
    fingerprints: Vec<Fingerprint>,
    setup: Option<Setup>,
    direction: Option<Direction>,
}

#[derive(Default)]
struct Parser {
    begun: bool,
    session: Common,
    bundle: Vec<String>,
    extmap_allow_mixed: bool,
    ice_lite: bool,
    media: Vec<(Media, Common)>,
}

impl Parser {
    fn line(&mut self, at: Line, line: &str, limits: &Limits) -> Result<(), SdpError> {
        let Some((kind, value)) = line.split_once('=').filter(|(kind, _)| kind.len() == 1) else {
            return Err(at.error("not of the form letter=value"));
        };
        if line.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(at.error("it holds a control character"));
        }
        if !self.begun {
            self.begun = true;
            return match line {
                "v=0" => Ok(()),
                _ => Err(at.error("the first line is not v=0")),
            };
        }
        match kind {
            "m" if self.media.len() >= limits.media => {
                Err(at.error(format!("more than {} media sections", limits.media)))
            }
            "m" => {
                self.media.push((media(at, value)?, Common::default()));
                Ok(())
            }
            "a" => self.attribute(at, value),
            _ => Ok(()),
        }
    }

    fn attribute(&mut self, at: Line, text: &str) -> Result<(), SdpError> {
        let (key, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.trim();
        let (section, common) = match self.media.last_mut() {
            Some((media, common)) => (Some(media), common),
            None => (None, &mut self.session),
        };
        if common.take(at, key, value)? {
            return Ok(());
        }
        match section {
            Some(media) => section_attribute(media, at, key, text, value),
            None => {
                match key {
                    "group" if self.bundle.is_empty() => {
                        if let Some(mids) = value.strip_prefix("BUNDLE") {
                            let mids = mids.split_ascii_whitespace();
                            self.bundle = mids.map(str::to_owned).collect();
                        }
                    }
                    "extmap-allow-mixed" => self.extmap_allow_mixed = true,
                    "ice-lite" => self.ice_lite = true,
                    _ => {}
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Offer, SdpError> {
        if !self.begun {
            return Err(SdpError::invalid("sdp", "the description is empty"));
        }
        if self.media.is_empty() {
            return Err(SdpError::invalid("sdp", "the description has no media section (m=)"));
        }
        let session = self.session;
        let fill = |(mut media, own): (Media, Common)| {
            media.ufrag = own.ufrag.or_else(|| session.ufrag.clone());
            media.pwd = own.pwd.or_else(|| session.pwd.clone());
            media.setup = own.setup.or(session.setup);
            media.direction = own.direction.or(session.direction).unwrap_or_default();
            media.fingerprints = own.fingerprints;
            if media.fingerprints.is_empty() {
                media.fingerprints.clone_from(&session.fingerprints);
            }
            media
        };
        let media: Vec<Media> = self.media.into_iter().map(fill).collect();
        for (index, section) in media.iter().enumerate() {
            if section.mid.is_some() && media[..index].iter().any(|m| m.mid == section.mid) {
                let field = format!("media[{index}].mid");
                return Err(SdpError::invalid(field, "two media sections have the same mid"));
            }
        }
        let (extmap_allow_mixed, ice_lite) = (self.extmap_allow_mixed, self.ice_lite);
        Ok(Offer { media, bundle: self.bundle, extmap_allow_mixed, ice_lite })
    }
}

impl Common {
    /// Takes an attribute that is known at both levels; says whether it was one.
    fn take(&mut self, at: Line, key: &str, value: &str) -> Result<bool, SdpError> {
        match key {
            "ice-ufrag" => self.ufrag = Some(credential(at, "ice-ufrag", value, 4)?),
            "ice-pwd" => self.pwd = Some(credential(at, "ice-pwd", value, 22)?),
            "fingerprint" => {
                let (hash, digest) = value.split_once(' ').unwrap_or((value, ""));
                if hash.eq_ignore_ascii_case("sha-256") {
                    let fingerprint = Fingerprint::parse(digest.trim()).ok_or_else(|| {
                        at.error("the fingerprint is not 32 pairs of hexadecimal digits")
                    })?;
                    if self.fingerprints.len() < MAX_FINGERPRINTS {
                        self.fingerprints.push(fingerprint);
                    }
                }
            }
            "setup" => {
                self.setup = Some(match value {
                    "active" => Setup::Active,
                    "passive" => Setup::Passive,
                    "actpass" => Setup::ActPass,
                    _ => return Err(at.error("setup is none of actpass, active and passive")),
                });
            }
            "sendrecv" => self.direction = Some(Direction::SendRecv),
            "sendonly" => self.direction = Some(Direction::SendOnly),
            "recvonly" => self.direction = Some(Direction::RecvOnly),
            "inactive" => self.direction = Some(Direction::Inactive),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// RFC 8839, section 5.4, a little wider: no colon, as that separates the two in a USERNAME.
fn credential(at: Line, name: &str, value: &str, least: usize) -> Result<String, SdpError> {
    let good = (least..=256).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    if good {
        Ok(value.to_owned())
    } else {
        Err(at.error(format!("{name} is not {least} to 256 characters without spaces and colons")))
    }
}

/// `m=audio 9 UDP/TLS/RTP/SAVPF 111 63`
fn media(at: Line, value: &str) -> Result<Media, SdpError> {
    let mut words = value.split_ascii_whitespace();
    let (Some(name), Some(port), Some(protocol)) = (words.next(), words.next(), words.next())
    else {
        return Err(at.error("m= needs a kind, a port, a protocol and formats"));
    };
    // RFC 8866, section 5.14: a number of ports may follow.
    let port = at.number("the port", port.split('/').next().unwrap_or_default())?;
    let formats: Vec<String> = words.map(str::to_owned).collect();
    if formats.is_empty() {
        return Err(at.error("m= names no format"));
    }
    let kind = match name {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        "application" => MediaKind::Application,
        _ => MediaKind::Other,
    };
    Ok(Media {
        kind,
        name: name.to_owned(),
        port,
        protocol: protocol.to_owned(),
        formats,
        mid: None,
        direction: Direction::default(),
        bundle_only: false,
        rtcp_mux: false,
        codecs: Vec::new(),
        extensions: Vec::new(),
        ssrcs: Vec::new(),
        ufrag: None,
        pwd: None,
        fingerprints: Vec::new(),
        setup: None,
        candidates: Vec::new(),
        end_of_candidates: false,
        sctp_port: None,
        max_message_size: None,
    })
}

fn section_attribute(
    media: &mut Media,
    at: Line,
    key: &str,
    text: &str,
    value: &str,
) -> Result<(), SdpError> {
    match key {
        "mid" => {
            if value.is_empty() || value.len() > 255 || value.contains(char::is_whitespace) {
                return Err(at.error("mid is not 1 to 255 characters without spaces"));
            }
            media.mid = Some(value.to_owned());
        }
        "bundle-only" => media.bundle_only = true,
        "rtcp-mux" => media.rtcp_mux = true,
        "rtpmap" => rtpmap(media, at, value)?,
        "fmtp" => {
            let (payload_type, parameters) = value.split_once(' ').unwrap_or((value, ""));
            if let Ok(payload_type @ 0..=127) = payload_type.parse() {
                fmtp(media, payload_type, parameters.trim());
            }
        }
        "extmap" => {
            let mut words = value.split_ascii_whitespace();
            let id = words.next().and_then(|id| id.split('/').next()).unwrap_or_default();
            let id = at.number("the id of extmap", id)?;
            let uri = words.next().ok_or_else(|| at.error("extmap names no extension"))?;
            if media.extensions.len() < MAX_EXTENSIONS {
                media.extensions.push(Extension { id, uri: uri.to_owned() });
            }
        }
        "ssrc" => {
            let ssrc = value.split(' ').next().unwrap_or_default();
            let ssrc = at.number("ssrc", ssrc)?;
            if media.ssrcs.len() < MAX_SSRCS && !media.ssrcs.contains(&ssrc) {
                media.ssrcs.push(ssrc);
            }
        }
        // One more than the agent takes, so that it can tell that there are too many.
        "candidate" if media.candidates.len() <= MAX_REMOTE_CANDIDATES => {
            media.candidates.push(text.to_owned());
        }
        "end-of-candidates" => media.end_of_candidates = true,
        "sctp-port" => media.sctp_port = Some(at.number("sctp-port", value)?),
        "max-message-size" => media.max_message_size = Some(at.number("max-message-size", value)?),
        _ => {}
    }
    Ok(())
}

/// `a=rtpmap:111 opus/48000/2`
fn rtpmap(media: &mut Media, at: Line, value: &str) -> Result<(), SdpError> {
    let (payload_type, encoding) = value.split_once(' ').unwrap_or((value, ""));
    let payload_type = at.number("the payload type of rtpmap", payload_type)?;
    let mut parts = encoding.trim().split('/');
    let name = parts.next().unwrap_or_default();
    if payload_type > 127 || name.is_empty() {
        return Err(at.error("rtpmap is not of the form payload-type name/rate"));
    }
    let clock_rate = at.number("the rate of rtpmap", parts.next().unwrap_or_default())?;
    let channels = parts.next().map_or(Ok(1), |text| at.number("the channels of rtpmap", text))?;
    let (name, fmtp) = (name.to_owned(), String::new());
    match media.codecs.iter_mut().find(|codec| codec.payload_type == payload_type) {
        Some(codec) if codec.name.is_empty() => {
            (codec.name, codec.clock_rate, codec.channels) = (name, clock_rate, channels);
        }
        // At most 128 payload types, and the first mapping of each counts.
        Some(_) => {}
        None => media.codecs.push(Codec { payload_type, name, clock_rate, channels, fmtp }),
    }
    Ok(())
}

/// Keeps format parameters. Where they come before their rtpmap, as Firefox writes them, the codec
/// has no name for the time being.
fn fmtp(media: &mut Media, payload_type: u8, parameters: &str) {
    let fmtp = parameters.to_owned();
    match media.codecs.iter_mut().find(|codec| codec.payload_type == payload_type) {
        Some(codec) => codec.fmtp = fmtp,
        None => {
            let name = String::new();
            media.codecs.push(Codec { payload_type, name, clock_rate: 0, channels: 0, fmtp });
        }
    }
}
