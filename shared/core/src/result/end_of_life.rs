//! The state of an image whose distribution gets no more support. It depends on the time and on the table of ends of life,
//! and so is decided whenever an image is judged.

use super::{ImageResult, Inventory, ResultState};
use crate::Timestamp;
use crate::judgement::Judging;
use crate::tables::Support;

impl ImageResult {
    /// Decides between `scanned` and `eol`; what could not be read or matched comes first, and stays as it is. Gives when
    /// the support ends, where it has not yet and the state depends on it.
    pub(super) fn note_support(&mut self, inventory: &Inventory, judging: Judging<'_>) -> Option<Timestamp> {
        if !matches!(self.state, ResultState::Scanned | ResultState::Eol) {
            return None;
        }
        let distribution = inventory.distribution.as_ref();
        let table = judging.tables.end_of_life.as_ref();
        let support = table.zip(distribution).and_then(|(table, distribution)| table.support(distribution));
        match support {
            Some(support) if !support.is_supported(judging.now) => {
                self.state = ResultState::Eol;
                self.reason = Some(reason(support));
                None
            }
            support => {
                (self.state, self.reason) = (ResultState::Scanned, None);
                match support {
                    Some(Support::Until(end)) => Some(end),
                    _ => None,
                }
            }
        }
    }
}

fn reason(support: Support) -> String {
    match support {
        Support::Until(end) => {
            let day = end.to_zoned(jiff::tz::TimeZone::UTC).date();
            format!("its distribution gets no more support since {day}")
        }
        Support::Endless | Support::Ended => "its distribution gets no more support".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::Digest;
    use crate::judgement::Criteria;
    use crate::metadata::{ConfigMetadata, ImageMetadata};
    use crate::package::Distribution;
    use crate::policy::Outcome;
    use crate::result::Report;
    use crate::severity::SeverityCounts;
    use crate::tables::{EndOfLife, TableDate, Tables};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn tables() -> Tables {
        let document = json!({"debian": {"releases": [
            {"releaseCycle": "10", "eol": true},
            {"releaseCycle": "12", "eol": "2026-07-11"},
        ]}});
        let date = TableDate(at("2026-07-10T00:00:00Z"));
        let end_of_life = Some(EndOfLife::read(document.to_string().as_bytes(), date).unwrap());
        Tables { end_of_life, ..Tables::default() }
    }

    fn result(state: ResultState) -> ImageResult {
        ImageResult {
            state,
            reason: (state != ResultState::Scanned).then(|| "one file cannot be read".to_owned()),
            distribution: None,
            packages: 0,
            severities: SeverityCounts::default(),
            suppressed: SeverityCounts::default(),
            policies: BTreeMap::new(),
            created_at: None,
            scanned_at: at("2026-07-10T00:00:00Z"),
            next_change_at: None,
            reader_version: 1,
            matching: 1,
            indexes: BTreeMap::new(),
            judged_under: Digest::of(b""),
            matched: None,
            inventory: None,
            metadata: None,
            report: None,
            is_limited: false,
        }
    }

    /// `result` of Debian `release`, judged at a time.
    fn judged(mut result: ImageResult, release: &str, tables: &Tables, now: &str) -> ImageResult {
        let config = serde_json::from_value(json!({"org": "acme"})).unwrap();
        let criteria = Criteria::new(&config, Vec::new());
        let (id, version_id) = ("debian".to_owned(), Some(release.to_owned()));
        let distribution = Some(Distribution { id, version_id, ..Distribution::default() });
        let inventory = Inventory { distribution, ..Inventory::default() };
        let judging = Judging { criteria: &criteria, tables, now: at(now) };
        let config = Some(ConfigMetadata { user: Some("app".to_owned()) });
        let metadata = ImageMetadata { config, ..ImageMetadata::default() };
        result.judge(&mut Report::default(), &inventory, &metadata, None, judging);
        result
    }

    #[test]
    fn an_image_becomes_eol_at_the_end_of_the_last_day_of_its_release() {
        let before = judged(result(ResultState::Scanned), "12", &tables(), "2026-07-11T23:00:00Z");
        assert_eq!(before.state, ResultState::Scanned);
        assert!(before.next_change_at.is_some_and(|change| change <= at("2026-07-12T00:00:00Z")));
        let after = judged(before, "12", &tables(), "2026-07-12T00:00:00Z");
        assert_eq!(after.state, ResultState::Eol);
        let reason = after.reason.clone().unwrap();
        assert_eq!(reason, "its distribution gets no more support since 2026-07-12");
        let passed = after.policies.iter().filter(|(_, outcome)| **outcome == Outcome::Pass);
        let passed: Vec<&str> = passed.map(|(policy, _)| policy.as_str()).collect();
        assert_eq!(passed, ["default-non-root-user"], "who it runs as does not rest on its advisories");
        assert_eq!(
            judged(result(ResultState::Scanned), "10", &tables(), "2026-01-01T00:00:00Z").state,
            ResultState::Eol
        );
    }

    #[test]
    fn support_that_is_prolonged_makes_the_image_scanned_again() {
        let over = judged(result(ResultState::Scanned), "10", &tables(), "2026-07-12T00:00:00Z");
        let again = judged(over, "10", &Tables::default(), "2026-07-12T00:00:00Z");
        assert_eq!((again.state, again.reason), (ResultState::Scanned, None));
    }

    #[test]
    fn what_could_not_be_read_or_matched_comes_first() {
        for state in [ResultState::Partial, ResultState::Unsupported] {
            let judged = judged(result(state), "10", &tables(), "2026-07-12T00:00:00Z");
            assert_eq!((judged.state, judged.reason), (state, result(state).reason));
        }
    }
}
