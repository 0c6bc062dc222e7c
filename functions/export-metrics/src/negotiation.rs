//! What a client takes: the format and the encoding that its headers ask for.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc9110#section-12.5>

use http::HeaderMap;
use http::header::ACCEPT;
use tidewatch_runtime::http::{Element, elements};

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The Prometheus text format.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// The media type; Prometheus 3 refuses a scrape without one that it knows.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What the entity tag of a text ends with, so that the tag of one format is none of the other.
    pub(crate) const fn tag_suffix(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::OpenMetrics => "-openmetrics",
        }
    }
}

/// The versions of OpenMetrics that are written alike for gauges.
const OPEN_METRICS_VERSIONS: [&str; 2] = ["1.0.0", "0.0.1"];

/// The format for a client: OpenMetrics only for one that takes it and does not take text. Scrapers that take both are
/// used to text from Docker Scout.
pub(crate) fn format(headers: &HeaderMap) -> Format {
    let ranges = ranges(headers);
    let takes = |kind, subtype| weight(&ranges, kind, subtype).is_some_and(|weight| weight > 0.0);
    if takes("application", "openmetrics-text") && !takes("text", "plain") {
        Format::OpenMetrics
    } else {
        Format::Text
    }
}

/// A range of media types.
struct Range {
    kind: String,
    subtype: String,
    weight: f32,
}

/// The media types that are accepted, without those of versions that are not written here.
fn ranges(headers: &HeaderMap) -> Vec<Range> {
    elements(headers, &ACCEPT)
        .filter(|element| {
            let version = element.parameters.iter().find(|(name, _)| name == "version");
            element.name != "application/openmetrics-text"
                || version.is_none_or(|(_, version)| OPEN_METRICS_VERSIONS.contains(&version.as_str()))
        })
        .filter_map(|Element { name, weight, .. }| {
            let (kind, subtype) = name.split_once('/')?;
            Some(Range { kind: kind.to_owned(), subtype: subtype.to_owned(), weight })
        })
        .collect()
}

/// How much a media type is wanted: the weight of the closest range that it is in, the greatest of several. `None` when it
/// is in none.
fn weight(ranges: &[Range], kind: &str, subtype: &str) -> Option<f32> {
    let of = |kind: &str, subtype: &str| {
        let matching = ranges.iter().filter(|range| range.kind == kind && range.subtype == subtype);
        matching.map(|range| range.weight).reduce(f32::max)
    };
    of(kind, subtype).or_else(|| of(kind, "*")).or_else(|| of("*", "*"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accepting(values: &[&'static str]) -> Format {
        let values = values.iter().map(|value| (ACCEPT, HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| {
            headers.append(name, value);
        });
        format(&headers)
    }

    #[test]
    fn who_takes_text_gets_text() {
        for accept in [
            // Prometheus 2.42 and 3.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            // Datadog's check, browsers, curl.
            "text/plain",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "*/*",
            "",
            "application/json",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text, text/*;q=0.1",
            "application/openmetrics-text, */*;q=0.001",
            "application/openmetrics-text;version=2.0.0",
            "APPLICATION/OPENMETRICS-TEXT, TEXT/PLAIN",
            "nonsense;;;,=,",
        ] {
            assert_eq!(accepting(&[accept]), Format::Text, "{accept}");
        }
        assert_eq!(accepting(&[]), Format::Text);
    }

    #[test]
    fn who_insists_on_open_metrics_gets_it() {
        for accept in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
            "application/openmetrics-text;version=0.0.1",
            // Datadog's check with `use_latest_spec`.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0.1, text/plain;q=0",
            "text/plain;q=0, */*",
            "application/openmetrics-text, application/json",
            "application/openmetrics-text, */*;q=0",
        ] {
            assert_eq!(accepting(&[accept]), Format::OpenMetrics, "{accept}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        assert_eq!(accepting(&["application/openmetrics-text", "text/plain;q=0.1"]), Format::Text);
    }
}
