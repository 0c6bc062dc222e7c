//! The parameters of a request. What is not known is refused, so that a misspelt filter does not show everything.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use tidewatch_core::names::StreamName;
use url::form_urlencoded;

use super::operation::Operation;
use crate::results::{DEFAULT_ROWS, MOST_ROWS, PageRequest};

/// The parameters of a request, by their names.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads the query of a request for `operation`, with the `id` of the path. The error says what is wrong.
    pub(super) fn read(operation: Operation, id: Option<&str>, query: &str) -> Result<Self, String> {
        let known = operation.parameters().iter().filter(|parameter| !parameter.in_path);
        let known: Vec<&str> = known.map(|parameter| parameter.name).collect();
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(format!("there is no parameter {name:?}: there are {known}"));
            }
            if values.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(format!("the parameter {name:?} is there twice"));
            }
        }
        // What stands in a path is encoded as in a query, but for `+`.
        let decoded = id.map(|id| {
            let pair = format!("id={}", id.replace('+', "%2B"));
            form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()).collect::<String>()
        });
        values.extend(decoded.map(|id| ("id".to_owned(), id)));
        Ok(Self(values))
    }

    /// A parameter that can be left out.
    pub(super) fn optional<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.0.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| format!("the parameter {name:?}: {error}"))
    }

    /// A parameter that must be there.
    pub(super) fn required<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, String> {
        self.optional(name)?.ok_or_else(|| format!("the parameter {name:?} is missing"))
    }

    /// The stream that is meant.
    pub(super) fn stream(&self) -> Result<StreamName, String> {
        Ok(self.optional("stream")?.unwrap_or_else(StreamName::latest_indexed))
    }

    /// The page that is asked for.
    pub(super) fn page(&self) -> Result<PageRequest, String> {
        let limit = self.optional("limit")?.unwrap_or(DEFAULT_ROWS);
        if !(1..=MOST_ROWS).contains(&limit) {
            return Err(format!("the parameter \"limit\": from 1 to {MOST_ROWS}"));
        }
        Ok(PageRequest { limit, from: self.optional("next")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Parameters, String> {
        Parameters::read(Operation::Vulnerability, Some("a%2Fb+c"), query)
    }

    #[test]
    fn values_are_decoded() {
        let parameters = read("stream=pro%64uction&limit=7").unwrap();
        assert_eq!(parameters.required::<String>("id").as_deref(), Ok("a/b+c"));
        assert_eq!(parameters.stream().unwrap().as_str(), "production");
        assert_eq!(parameters.page().unwrap().limit, 7);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(read("streem=a").err().unwrap().contains("\"streem\""));
        assert!(read("stream=a&stream=b").err().unwrap().contains("twice"));
        for (query, named) in
            [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("next=x", "next")]
        {
            assert!(read(query).unwrap().page().unwrap_err().contains(named), "{query}");
        }
        assert!(read("stream=A").unwrap().stream().unwrap_err().contains("\"A\""));
        let nothing = Parameters::read(Operation::Image, None, "").unwrap();
        assert_eq!(nothing.required::<String>("ref"), Err("the parameter \"ref\" is missing".to_owned()));
    }
}
