//! The media plane of one peer: RTP and RTCP, their protection, and which section they belong to.

mod demux;
mod rtcp;
mod rtp;
mod srtp;

pub(crate) use demux::Demux;
pub use rtcp::SenderReport;
pub(crate) use rtcp::{MAX_REPORTS, Rtcp, parse as parse_rtcp, write_report};
pub(crate) use rtp::Layout;
pub use rtp::RtpHeader;
pub(crate) use srtp::Srtp;
