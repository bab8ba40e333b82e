//! The few JSON writers that the hot path needs: into the caller's buffer, without `fmt`.

/// Whether `text` is one JSON value (RFC 8259) and nothing else.
///
/// [`crate::ResultBody::Node`] copies its text unchecked, so whoever takes text from users calls
/// this first: Python's `json.dumps` writes `NaN`, for one, which no browser parses.
#[must_use]
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Appends `text` between quotes, escaped as RFC 8259, section 7 asks.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    // Without an early exit, so that the compiler turns the scan into vector compares.
    if text.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
        for byte in text.bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..=0x1f => {
                    out.extend_from_slice(b"\\u00");
                    out.push(HEX[usize::from(byte >> 4)]);
                    out.push(HEX[usize::from(byte & 15)]);
                }
                _ => out.push(byte),
            }
        }
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Appends a whole number.
pub(crate) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `micros` as milliseconds with one to three decimals: `240.0`, `3.125`.
pub(crate) fn millis(out: &mut Vec<u8>, micros: u64) {
    integer(out, micros / 1_000);
    fraction::<3>(out, micros % 1_000);
}

/// Appends `value` rounded to `PLACES` decimals, trailing zeros dropped but the first. NaN is
/// written as 0.0 and the infinities as a large number: JSON has none of them.
pub(crate) fn decimal<const PLACES: u32>(out: &mut Vec<u8>, value: f64) {
    let scale = 10_u64.pow(PLACES);
    let scaled = (value * scale as f64).round() as i64;
    if scaled < 0 {
        out.push(b'-');
    }
    let magnitude = scaled.unsigned_abs();
    integer(out, magnitude / scale);
    fraction::<PLACES>(out, magnitude % scale);
}

fn fraction<const PLACES: u32>(out: &mut Vec<u8>, mut rest: u64) {
    out.push(b'.');
    let mut unit = 10_u64.pow(PLACES - 1);
    loop {
        out.push(b'0' + (rest / unit) as u8);
        rest %= unit;
        if rest == 0 {
            return;
        }
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn milliseconds_keep_one_to_three_decimals() {
        assert_eq!(text(|out| millis(out, 240_000)), "240.0");
        assert_eq!(text(|out| millis(out, 3_100)), "3.1");
        assert_eq!(text(|out| millis(out, 7)), "0.007");
        assert_eq!(text(|out| millis(out, 0)), "0.0");
    }

    #[test]
    fn decimals_round_and_never_leave_json() {
        assert_eq!(text(|out| decimal::<4>(out, 0.97)), "0.97");
        assert_eq!(text(|out| decimal::<4>(out, 0.999_96)), "1.0");
        assert_eq!(text(|out| decimal::<2>(out, -0.5)), "-0.5");
        assert_eq!(text(|out| decimal::<2>(out, -0.001)), "0.0");
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN] {
            assert!(is_json(&text(|out| decimal::<4>(out, odd))), "{odd}");
        }
    }

    #[test]
    fn not_everything_is_json() {
        assert!(is_json("{\"a\":[1,null]}") && is_json("3"));
        assert!(!is_json("NaN") && !is_json("") && !is_json("1 2") && !is_json("{"));
    }

    proptest! {
        #[test]
        fn any_string_comes_back(value in any::<String>()) {
            let written = text(|out| string(out, &value));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), value);
        }

        #[test]
        fn any_number_comes_back_within_half_a_unit(value in -1e9..1e9_f64) {
            let written: f64 = text(|out| decimal::<3>(out, value)).parse().unwrap();
            prop_assert!((written - value).abs() <= 0.000_501);
        }
    }
}
