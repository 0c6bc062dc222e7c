//! What is due, and which windows are open, by examples.

mod clock_changes;

use super::*;

pub(super) const NEVER: Timestamp = Timestamp::UNIX_EPOCH;

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn schedule(json: &str) -> Schedule {
    serde_json::from_str(json).unwrap()
}

/// From two in the night until six, in Tokyo: from 17:00 to 21:00 UTC.
fn nightly() -> Schedule {
    schedule(r#"{"cron": "0 2 * * *", "timezone": "Asia/Tokyo", "until": "06:00"}"#)
}

#[test]
fn a_cron_expression_may_name_a_period_and_days_of_month_and_week() {
    let next = |cron: &str| {
        schedule(&format!(r#"{{"cron": "{cron}"}}"#)).next(None, at("2026-11-09T00:30:00Z")).unwrap()
    };
    for (cron, expected) in [
        ("@hourly", "2026-11-09T01:00:00Z"),
        ("@daily", "2026-11-10T00:00:00Z"),
        ("@weekly", "2026-11-15T00:00:00Z"),
        ("@monthly", "2026-12-01T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        // A Thursday the 12th and a Friday: the earlier of the two.
        ("0 2 12 * FRI", "2026-11-12T02:00:00Z"),
        ("0 2 14 * FRI", "2026-11-13T02:00:00Z"),
    ] {
        assert_eq!(next(cron), at(expected), "{cron}");
    }
}

#[test]
fn a_cron_schedule_starts_at_its_time_in_its_time_zone() {
    let nightly = schedule(r#"{"cron": "0 2 * * *", "timezone": "Asia/Tokyo"}"#);
    let last = Some(at("2026-03-01T00:00:00Z"));
    assert_eq!(nightly.due(last, NEVER, at("2026-03-01T16:59:59Z")), None);
    assert_eq!(nightly.due(last, NEVER, at("2026-03-01T17:00:00Z")), Some(at("2026-03-01T17:00:00Z")));
}

#[test]
fn missed_times_fold_into_one_start() {
    let hourly = schedule(r#"{"cron": "0 * * * *"}"#);
    let last = Some(at("2026-03-01T00:00:00Z"));
    assert_eq!(hourly.due(last, NEVER, at("2026-03-01T05:30:00Z")), Some(at("2026-03-01T05:00:00Z")));
}

#[test]
fn a_schedule_that_was_changed_does_not_start_at_once_because_of_an_old_start() {
    let monthly = schedule(r#"{"cron": "0 0 1 * *"}"#);
    let (last, applied) = (Some(at("2026-01-20T02:00:00Z")), at("2026-03-15T00:00:00Z"));
    assert_eq!(monthly.due(last, applied, at("2026-03-15T00:01:00Z")), None);
    let next = at("2026-04-01T00:00:00Z");
    assert_eq!(monthly.due(last, applied, next), Some(next));
    assert_eq!(monthly.due(Some(next), applied, at("2026-04-01T00:01:00Z")), None);
}

#[test]
fn a_period_starts_at_once_and_then_after_each_period() {
    let every = schedule(r#"{"every": "6h"}"#);
    let applied = at("2026-03-01T00:00:00Z");
    assert_eq!(every.due(None, applied, at("2026-03-01T00:00:30Z")), Some(applied));
    assert_eq!(every.due(Some(applied), applied, at("2026-03-01T05:59:59Z")), None);
    assert_eq!(
        every.due(Some(applied), applied, at("2026-03-01T13:00:00Z")),
        Some(at("2026-03-01T12:00:00Z"))
    );
}

#[test]
fn a_manual_schedule_never_starts_by_itself() {
    assert_eq!(schedule(r#""manual""#).due(None, NEVER, at("2026-03-01T00:00:00Z")), None);
}

#[test]
fn a_missed_start_is_made_up_for_within_its_window_only() {
    let start = at("2026-03-01T17:00:00Z");
    for (now, expected) in [
        ("2026-03-01T16:59:59.999Z", None),
        ("2026-03-01T17:00:00Z", Some(start)),
        ("2026-03-01T20:59:59.999Z", Some(start)),
        ("2026-03-01T21:00:00Z", None),
        ("2026-03-02T16:59:59Z", None),
        ("2026-03-02T17:00:00Z", Some(at("2026-03-02T17:00:00Z"))),
    ] {
        assert_eq!(nightly().due(Some(at("2026-03-01T00:00:00Z")), NEVER, at(now)), expected, "{now}");
    }
}

#[test]
fn a_window_is_open_from_its_start_until_it_closes() {
    let open = |closes_at: &str| Some(Window::Open { closes_at: Some(at(closes_at)) });
    let closed = |opens_at: &str| Some(Window::Closed { opens_at: at(opens_at) });
    for (now, expected) in [
        ("2026-03-01T16:59:59.999Z", closed("2026-03-01T17:00:00Z")),
        ("2026-03-01T17:00:00Z", open("2026-03-01T21:00:00Z")),
        ("2026-03-01T20:59:59.999Z", open("2026-03-01T21:00:00Z")),
        ("2026-03-01T21:00:00Z", closed("2026-03-02T17:00:00Z")),
    ] {
        assert_eq!(nightly().window(at(now)), expected, "{now}");
    }
}

#[test]
fn a_window_may_go_over_midnight_or_last_for_a_day() {
    let window = |cron: &str, until: &str, now: &str| {
        schedule(&format!(r#"{{"cron": "{cron}", "until": "{until}"}}"#)).window(at(now)).unwrap()
    };
    let open = |closes_at: &str| Window::Open { closes_at: Some(at(closes_at)) };
    let late = window("0 22 * * *", "04:00", "2026-02-28T23:00:00Z");
    assert_eq!(late, open("2026-03-01T04:00:00Z"));
    let early = window("0 22 * * *", "04:00", "2026-03-01T03:59:00Z");
    assert_eq!(early, open("2026-03-01T04:00:00Z"));
    let sunday = window("0 6 * * SUN", "06:00", "2026-03-01T06:00:00Z");
    assert_eq!(sunday, open("2026-03-02T06:00:00Z"), "a full day");
}

#[test]
fn windows_that_overlap_or_meet_are_one() {
    let window = |cron: &str, until: &str, now: &str| {
        schedule(&format!(r#"{{"cron": "{cron}", "until": "{until}"}}"#)).window(at(now)).unwrap()
    };
    let never_closes = Window::Open { closes_at: None };
    for now in ["2026-03-01T05:59:00Z", "2026-03-01T06:00:00Z", "2026-03-01T23:00:00Z"] {
        assert_eq!(window("0 * * * *", "06:00", now), never_closes, "{now}");
        assert_eq!(window("0 6 * * *", "06:00", now), never_closes, "{now}");
    }
    // Every hour from 22:00 to 04:00: until six.
    let night = |now| window("0 22-23,0-4 * * *", "06:00", now);
    for now in ["2026-03-01T22:00:00Z", "2026-03-02T02:30:00Z", "2026-03-02T05:59:59Z"] {
        assert_eq!(night(now), Window::Open { closes_at: Some(at("2026-03-02T06:00:00Z")) }, "{now}");
    }
    assert_eq!(night("2026-03-02T06:00:00Z"), Window::Closed { opens_at: at("2026-03-02T22:00:00Z") });
    // Five full days, one after the other, from Monday on.
    let week = window("0 6 * * MON-FRI", "06:00", "2026-03-03T12:00:00Z");
    assert_eq!(week, Window::Open { closes_at: Some(at("2026-03-07T06:00:00Z")) });
}

#[test]
fn without_an_end_nothing_is_ever_closed() {
    for text in [r#""manual""#, r#"{"every": "6h"}"#, r#"{"cron": "0 2 * * *"}"#] {
        let schedule = schedule(text);
        for now in ["2026-03-01T00:00:00Z", "2026-03-01T02:00:00Z", "2026-03-01T12:00:00Z"] {
            assert_eq!((schedule.window(at(now)), schedule.closed_until(at(now))), (None, None), "{text}");
        }
    }
}

#[test]
fn what_is_left_of_a_schedule_that_never_opens_again_does_not_wait_for_ever() {
    let never = schedule(r#"{"cron": "0 2 31 2 *", "until": "06:00"}"#);
    let now = at("2026-03-01T00:00:00Z");
    assert_eq!((never.window(now), never.closed_until(now), never.next(None, now)), (None, None, None));
}
