//! The forms in which registries write times. What is no time, or stands for none, is none.

use jiff::fmt::rfc2822;
use tidewatch_core::Timestamp;

/// The year before which a time stands for none: some registries write the beginning of some epoch.
const FIRST_CREDIBLE: i64 = 631_152_000; // 1990

fn credible(time: Timestamp) -> Option<Timestamp> {
    (time.as_second() >= FIRST_CREDIBLE).then_some(time)
}

/// `2026-11-21T10:00:00.1234567Z`, and the same with an offset. Specification: <https://www.rfc-editor.org/rfc/rfc3339>
pub(crate) fn rfc3339(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok().and_then(credible)
}

/// Seconds since 1970.
pub(crate) fn seconds(seconds: Option<i64>) -> Option<Timestamp> {
    Timestamp::from_second(seconds?).ok().and_then(credible)
}

/// Nanoseconds since 1970.
pub(crate) fn nanoseconds(nanoseconds: Option<i128>) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanoseconds?).ok().and_then(credible)
}

/// Milliseconds since 1970, written as a text.
pub(crate) fn milliseconds(text: Option<&str>) -> Option<Timestamp> {
    Timestamp::from_millisecond(text?.parse().ok()?).ok().and_then(credible)
}

/// `Sat, 21 Nov 2026 10:00:00 -0000`. Specification: <https://www.rfc-editor.org/rfc/rfc2822#section-3.3>
pub(crate) fn mail(text: Option<&str>) -> Option<Timestamp> {
    rfc2822::parse(text?).ok().map(|time| time.timestamp()).and_then(credible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_what_stands_for_none_is_none() {
        let time = Some("2026-11-21T10:00:00Z".parse().unwrap());
        assert_eq!(rfc3339(Some("2026-11-21T10:00:00Z")), time);
        assert_eq!(rfc3339(Some("2026-11-21T11:00:00.0000000+01:00")), time);
        assert_eq!(seconds(Some(1_795_255_200)), time);
        assert_eq!(nanoseconds(Some(1_795_255_200_000_000_000)), time);
        assert_eq!(milliseconds(Some("1795255200000")), time);
        assert_eq!(mail(Some("Sat, 21 Nov 2026 10:00:00 -0000")), time);
        for none in ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1980-01-01T00:00:00Z", "soon", ""] {
            assert_eq!(rfc3339(Some(none)), None, "{none}");
        }
        assert_eq!((seconds(Some(0)), milliseconds(Some("0")), mail(Some("x"))), (None, None, None));
    }
}
