//! RTP receive: reordering, Opus decoding, concealment and reception reports.
