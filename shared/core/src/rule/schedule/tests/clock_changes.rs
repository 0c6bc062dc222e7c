//! Changes of the clocks: by examples, and against a walk through every minute of the zones.

use std::collections::BTreeSet;

use croner::parser::CronParser;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::{Schedule, Window};
use super::{NEVER, at, schedule};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Zones, and a day just before each of their changes of the clocks.
const CHANGES: &[(&str, &[&str])] = &[
    ("UTC", &["2026-03-28"]),
    ("Asia/Tokyo", &["2026-03-28"]),
    ("Europe/Berlin", &["2026-03-28", "2026-10-24"]),
    ("America/New_York", &["2026-03-07", "2026-10-31"]),
    // By half an hour.
    ("Australia/Lord_Howe", &["2026-04-04", "2026-10-03"]),
    // Back for Ramadan, and forward after it.
    ("Africa/Casablanca", &["2026-02-14", "2026-03-21"]),
    // At midnight.
    ("America/Santiago", &["2026-04-04", "2026-09-05"]),
    ("Asia/Beirut", &["2026-03-28", "2026-10-24"]),
    // Over midnight: the hour before it does not exist, or exists twice.
    ("America/Nuuk", &["2026-03-28", "2026-10-24"]),
];

fn cron(expression: &str, zone: &str, until: Option<&str>) -> Schedule {
    let mut form = serde_json::json!({"cron": expression, "timezone": zone});
    if let Some(until) = until {
        form["until"] = until.into();
    }
    serde_json::from_value(form).unwrap()
}

/// The starts of a schedule from `from` on, before `to`, as ticks in every minute find them.
fn starts(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
    let (mut now, end) = (at(from), at(to));
    let (mut last, mut found) = (now.checked_sub(MINUTE).unwrap(), Vec::new());
    while now < end {
        if let Some(start) = schedule.due(Some(last), NEVER, now) {
            assert_eq!(start, now, "at the first tick");
            found.push(now.strftime("%H:%M").to_string());
            last = start;
        }
        now += MINUTE;
    }
    found
}

#[test]
fn a_time_that_does_not_exist_runs_at_the_next_minute_that_does() {
    // 02:00 CET is 03:00 CEST on that day, 01:00 UTC.
    for (expression, expected) in [
        ("0 2 * * *", vec!["01:00"]),
        ("30 2 * * *", vec!["01:00"]),
        ("30 1,2 * * *", vec!["00:30", "01:00"]),
        ("*/20 2 * * *", vec!["01:00"]),
        ("*/30 * * * *", vec!["00:00", "00:30", "01:00", "01:30"]),
    ] {
        let schedule = cron(expression, "Europe/Berlin", None);
        assert_eq!(
            starts(&schedule, "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z"),
            expected,
            "{expression}"
        );
    }
    // The last hour of a Saturday that has none: on Sunday at midnight, which is 01:00 UTC.
    let saturday = cron("30 23 * * SAT", "America/Nuuk", None);
    assert_eq!(starts(&saturday, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), ["01:00"]);
}

#[test]
fn a_time_that_exists_twice_runs_once() {
    // It is 02:00 CEST at 00:00 UTC on that day, and 02:00 CET an hour later.
    for (expression, expected) in [
        ("0 2 * * *", vec!["00:00"]),
        ("30 2 * * *", vec!["00:30"]),
        ("30 1,2,3 * * *", vec!["00:30", "02:30"]),
        ("*/20 2 * * *", vec!["00:00", "00:20", "00:40"]),
        ("*/30 * * * *", vec!["00:00", "00:30", "02:00", "02:30"]),
    ] {
        let schedule = cron(expression, "Europe/Berlin", None);
        assert_eq!(
            starts(&schedule, "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z"),
            expected,
            "{expression}"
        );
    }
}

/// Why croner is asked for times on the clock only, and never for moments: at changes it goes by the form of the expression.
#[test]
fn croner_itself_treats_expressions_differently_when_clocks_are_changed() {
    let following = |expression: &str, zone: &str, after: &str, count: usize| -> Vec<String> {
        let cron = CronParser::new().parse(expression).unwrap();
        let after = at(after).to_zoned(TimeZone::get(zone).unwrap());
        cron.iter_after(after)
            .take(count)
            .map(|time| time.timestamp().strftime("%d %H:%M").to_string())
            .collect()
    };
    let (gap, fold) = ("2026-03-29T00:00:00Z", "2026-10-24T23:45:00Z");
    assert_eq!(following("30 2 * * *", "Europe/Berlin", gap, 1), ["29 01:00"], "the next minute that exists");
    assert_eq!(following("30 1,2 * * *", "Europe/Berlin", gap, 2), ["29 00:30", "29 23:30"], "not at all");
    assert_eq!(following("30 2 * * *", "Europe/Berlin", fold, 2), ["25 00:30", "26 01:30"], "once");
    assert_eq!(following("30 2,4 * * *", "Europe/Berlin", fold, 2), ["25 00:30", "25 01:30"], "twice");
    let saturday = following("30 23 * * SAT", "America/Nuuk", "2026-03-28T12:00:00Z", 1);
    assert_eq!(saturday, ["05 00:30"], "a week later: the next minute that exists is on a Sunday");
}

#[test]
fn a_window_whose_end_does_not_exist_closes_at_the_next_minute_that_does() {
    let night = cron("0 0 * * *", "Europe/Berlin", Some("02:30"));
    let closes_at = Some(at("2026-03-29T01:00:00Z"));
    assert_eq!(night.window(at("2026-03-29T00:59:59Z")), Some(Window::Open { closes_at }));
    let opens_at = at("2026-03-29T22:00:00Z");
    assert_eq!(night.window(at("2026-03-29T01:00:00Z")), Some(Window::Closed { opens_at }));
}

#[test]
fn a_window_whose_end_exists_twice_closes_the_first_time() {
    let night = cron("0 0 * * *", "Europe/Berlin", Some("02:30"));
    let closes_at = Some(at("2026-10-25T00:30:00Z"));
    assert_eq!(night.window(at("2026-10-25T00:29:59Z")), Some(Window::Open { closes_at }));
    let opens_at = at("2026-10-25T23:00:00Z");
    for now in ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:15:00Z"] {
        assert_eq!(night.window(at(now)), Some(Window::Closed { opens_at }), "{now}");
    }
    // One that begins in the hour that is there twice is open through both.
    let from_two = cron("15 2 * * *", "Europe/Berlin", Some("03:00"));
    let closes_at = Some(at("2026-10-25T02:00:00Z"));
    for now in ["2026-10-25T00:15:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:59:59Z"] {
        assert_eq!(from_two.window(at(now)), Some(Window::Open { closes_at }), "{now}");
    }
}

#[test]
fn a_window_of_which_no_minute_exists_is_left_out() {
    let hour = cron("0 2 * * *", "Europe/Berlin", Some("03:00"));
    let next = at("2026-03-30T00:00:00Z");
    for now in ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"] {
        assert_eq!(hour.window(at(now)), Some(Window::Closed { opens_at: next }), "{now}");
        assert_eq!(hour.next(None, at(now)), Some(next), "{now}");
        assert_eq!(hour.due(Some(at("2026-03-28T01:00:00Z")), NEVER, at(now)), None, "{now}");
    }
}

/// What a schedule does in each minute, found by looking at the clock in every one of them.
struct Walk {
    /// Each minute, with whether a window is open in it.
    minutes: Vec<(Timestamp, bool)>,
    /// The moments of starts; of those with a window, only where that is not over already.
    starts: BTreeSet<Timestamp>,
}

/// The time of day `until` that comes next after `time`, minute by minute.
fn end_of(time: DateTime, until: Time) -> DateTime {
    let following = |time: &DateTime| time.checked_add(MINUTE).ok();
    let mut later = std::iter::successors(following(&time), following);
    later.find(|time| time.time() == until).unwrap()
}

fn walk(expression: &str, zone: &str, until: Option<Time>, (from, to): (Timestamp, Timestamp)) -> Walk {
    let cron = CronParser::new().parse(expression).unwrap();
    let zone = TimeZone::get(zone).unwrap();
    // Begun early enough to know the windows that are open in the beginning: none lasts for more than a day.
    let mut now = from.checked_sub(SignedDuration::from_hours(49)).unwrap();
    let mut shown = zone.to_datetime(now);
    let mut open_until: Option<DateTime> = None;
    let mut walk = Walk { minutes: Vec::new(), starts: BTreeSet::new() };
    while now < to {
        now += MINUTE;
        let mut has_started = false;
        // Each time that the clock has passed since the minute before; none while it shows times again.
        while shown < zone.to_datetime(now) {
            shown = shown.checked_add(MINUTE).unwrap();
            if cron.is_time_matching(&shown).unwrap() {
                has_started = true;
                // Until that comes, it is the next one.
                let next = until.filter(|_| open_until.is_none_or(|end| end <= shown));
                open_until = next.map(|until| end_of(shown, until)).or(open_until);
            }
        }
        let is_open = until.is_none() || open_until.is_some_and(|end| end > shown);
        if now >= from {
            walk.minutes.push((now, is_open));
            walk.starts.extend((has_started && is_open).then_some(now));
        }
    }
    walk
}

impl Walk {
    fn due(&self, last: Timestamp, at: usize) -> Option<Timestamp> {
        let (now, is_open) = self.minutes[at];
        let latest = self.starts.range(..=now).next_back().filter(|_| is_open)?;
        (*latest > last).then_some(*latest)
    }

    fn next(&self, at: usize) -> Option<Timestamp> {
        let (now, _) = self.minutes[at];
        self.starts.iter().find(|start| **start > now).copied()
    }

    /// The first minute after that one in which windows are open, or are not.
    fn turns(&self, at: usize, open: bool) -> Option<Timestamp> {
        self.minutes[at..].iter().find(|(_, is_open)| *is_open == open).map(|(now, _)| *now)
    }
}

fn expressions() -> impl Strategy<Value = String> {
    let minutes = prop::sample::select(vec!["0", "30", "59", "*/20", "0,45", "*"]);
    let hours = prop::sample::select(vec!["0", "1", "2", "3", "23", "*", "1,2", "22-23,0-4", "*/2"]);
    let days = prop::sample::select(vec!["*", "*", "*", "SUN", "SAT", "MON-FRI"]);
    (minutes, hours, days).prop_map(|(minutes, hours, days)| format!("{minutes} {hours} * * {days}"))
}

fn ends() -> impl Strategy<Value = Option<Time>> {
    let times = (0..24_i8, prop::sample::select(vec![0_i8, 1, 15, 30, 59]));
    let around_changes =
        (prop::sample::select(vec![0_i8, 1, 2, 3, 23]), prop::sample::select(vec![0_i8, 30, 59]));
    let time = |(hour, minute)| Time::new(hour, minute, 0, 0).unwrap();
    prop_oneof![
        1 => Just(None),
        2 => times.prop_map(move |one| Some(time(one))),
        3 => around_changes.prop_map(move |one| Some(time(one))),
    ]
}

fn changes() -> impl Strategy<Value = (&'static str, &'static str)> {
    let all = CHANGES.iter().flat_map(|(zone, days)| days.iter().map(|day| (*zone, *day)));
    prop::sample::select(all.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn starts_and_windows_are_those_of_a_walk_through_every_minute(
        expression in expressions(),
        until in ends(),
        (zone, day) in changes(),
        seconds in 0..60_i64,
        moments in prop::collection::vec((0..60 * 24 * 3_usize, 0..60 * 24 * 2_i64), 40),
    ) {
        let from = at(&format!("{day}T00:00:00Z"));
        // For ten days: what is next is found in the walk, at the latest a week after the last moment.
        let days = |days: i64| from.checked_add(SignedDuration::from_hours(24 * days)).unwrap();
        let walk = walk(&expression, zone, until, (from, days(10) + SignedDuration::from_hours(2)));
        let text = until.map(|until| until.strftime("%H:%M").to_string());
        let schedule = cron(&expression, zone, text.as_deref());
        for (minute, ago) in moments {
            let (minute_of, is_open) = walk.minutes[minute];
            let now = minute_of + SignedDuration::from_secs(seconds);
            let last = minute_of - MINUTE * i32::try_from(ago).unwrap();
            if last >= from {
                prop_assert_eq!(schedule.due(Some(last), NEVER, now), walk.due(last, minute), "due at {}", now);
            }
            if let Some(next) = walk.next(minute) {
                prop_assert_eq!(schedule.next(None, now), Some(next), "next at {}", now);
            }
            let expected = walk.turns(minute, true).filter(|_| !is_open);
            prop_assert_eq!(schedule.closed_until(now), expected, "closed until, at {}", now);
            match (schedule.window(now), walk.turns(minute, !is_open)) {
                (None, _) => prop_assert!(until.is_none()),
                (Some(Window::Closed { opens_at }), turns) => prop_assert_eq!(Some(opens_at), turns),
                (Some(Window::Open { closes_at }), Some(turns)) => {
                    prop_assert!(is_open);
                    prop_assert_eq!(closes_at, Some(turns), "closes, at {}", now);
                }
                // It goes on after the walk has ended.
                (Some(Window::Open { closes_at }), None) => {
                    let end = walk.minutes.last().unwrap().0;
                    prop_assert!(closes_at.is_none_or(|closes_at| closes_at > end));
                }
            }
        }
    }

    #[test]
    fn what_is_due_is_what_stepping_through_every_start_ends_at(
        text in prop::sample::select(vec![
            r#"{"cron": "*/20 * * * *"}"#,
            r#"{"cron": "30 1,2 * * *", "timezone": "Europe/Berlin"}"#,
            r#"{"cron": "*/40 2 * * *", "timezone": "America/New_York"}"#,
            r#"{"cron": "15 0 * * 1", "timezone": "Australia/Lord_Howe"}"#,
            r#"{"cron": "0 0 29 2 *"}"#,
        ]),
        // Over the two changes of the clocks of a year, and to milliseconds.
        last in 0..31_536_000_000_i64,
        passed in 0..2_000_000_000_i64,
    ) {
        let start = at("2027-06-15T00:00:00Z").as_millisecond() + last;
        let last = Timestamp::from_millisecond(start).unwrap();
        let now = Timestamp::from_millisecond(start + passed).unwrap();
        let schedule = schedule(text);
        let following = |time: &Timestamp| schedule.next(None, *time).filter(|next| *next <= now);
        let expected = std::iter::successors(following(&last), following).last();
        prop_assert_eq!(schedule.due(Some(last), NEVER, now), expected);
    }
}

#[test]
fn every_zone_of_these_tests_changes_its_clocks_when_they_say() {
    for (zone, days) in CHANGES {
        let zone_of = TimeZone::get(zone).unwrap();
        for day in *days {
            let from = at(&format!("{day}T00:00:00Z"));
            let to = from + SignedDuration::from_hours(48);
            let changes = zone_of.to_offset(from) != zone_of.to_offset(to);
            let is_fixed = ["UTC", "Asia/Tokyo"].contains(zone);
            assert_eq!(changes, !is_fixed, "{zone} after {day}");
        }
    }
}
