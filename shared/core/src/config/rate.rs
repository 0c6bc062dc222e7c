//! The rate of requests to a registry in the configuration.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// How many requests of a registry all workers together may make.
///
/// It counts requests to the registry's own host with the same credentials, whichever organisation or rule they are for:
/// for lists, manifests and layers, and each that is tried again. What takes longer than two seconds to come by is put off
/// to later, and its worker does something else. Give a little less than the registry allows: others ask it as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Rate")]
pub struct RateConfig {
    /// So many requests …
    pub requests: NonZeroU32,
    /// … in this time.
    pub per: Period,
    /// How many more may come at once after a pause. In any stretch of time there are at most as many as the rate gives in
    /// it, and these. Without it: what the rate gives in two seconds, at least 20. Not less than it gives in half a second,
    /// and at least 16. The more there are, the fewer writes to the table a request costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

/// The longest time of a rate.
const LONGEST: Duration = Duration::from_secs(28 * 24 * 3600);

impl RateConfig {
    /// What is wrong with it, and the key that it is wrong with: a burst that is too small to be kept by workers that do not
    /// share a clock, or a time over which nobody counts.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        if self.per.duration() > LONGEST {
            return Some(("per", "at most 4w: no registry counts over longer times".to_owned()));
        }
        let (burst, least) = (self.burst?.get(), self.least_burst());
        (burst < least).then(|| ("burst", format!("at least {least} are needed at this rate")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(requests: u32, per: &str, burst: Option<u32>) -> Option<(&'static str, String)> {
        let rate = serde_json::json!({"requests": requests, "per": per, "burst": burst});
        serde_json::from_value::<RateConfig>(rate).unwrap().problem()
    }

    #[test]
    fn a_burst_has_at_least_what_the_rate_gives_in_half_a_second() {
        assert_eq!(problem(50, "1s", None), None);
        assert_eq!(problem(50, "1s", Some(25)), None);
        assert_eq!(
            problem(50, "1s", Some(24)),
            Some(("burst", "at least 25 are needed at this rate".to_owned()))
        );
        assert_eq!(problem(100, "6h", Some(16)), None);
        assert_eq!(problem(100, "6h", Some(15)).map(|(key, _)| key), Some("burst"));
        assert_eq!(problem(100, "5w", None).map(|(key, _)| key), Some("per"));
        assert_eq!(problem(100, "4w", None), None);
    }

    #[test]
    fn without_a_burst_two_seconds_may_come_at_once() {
        for (requests, per, burst) in [(50, "1s", 100), (1000, "1m", 34), (100, "6h", 20)] {
            let rate = serde_json::json!({"requests": requests, "per": per});
            assert_eq!(serde_json::from_value::<RateConfig>(rate).unwrap().burst().get(), burst);
        }
    }
}
