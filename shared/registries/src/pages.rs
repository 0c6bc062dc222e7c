//! Cursors of listings that are not made by a link: numbered pages, and pages of one place after another.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tidewatch_core::ports::registry::RegistryError;

/// The number of a page, from 1 on: the cursor of the first is none.
pub(crate) fn number(cursor: Option<&str>) -> Result<u32, String> {
    cursor.map_or(Ok(1), |cursor| cursor.parse().map_err(|_| format!("{cursor:?} is no page of it")))
}

/// A page of one of several places that are listed one after another: `2:CURSOR`.
pub(crate) struct Walk<'a> {
    /// The position of the place.
    pub(crate) place: usize,
    /// The cursor within it.
    pub(crate) cursor: Option<&'a str>,
}

impl<'a> Walk<'a> {
    /// Where `cursor` leads.
    pub(crate) fn at(cursor: Option<&'a str>) -> Result<Self, String> {
        let Some(text) = cursor else { return Ok(Self { place: 0, cursor: None }) };
        let (place, cursor) = text.split_once(':').ok_or_else(|| format!("{text:?} is no page of it"))?;
        let place = place.parse().map_err(|_| format!("{text:?} is no page of it"))?;
        Ok(Self { place, cursor: Some(cursor).filter(|cursor| !cursor.is_empty()) })
    }

    /// Where to go on after a page whose place goes on at `next`, of so many places.
    pub(crate) fn turn(&self, next: Option<String>, places: usize) -> Option<String> {
        match next {
            Some(next) => Some(format!("{}:{next}", self.place)),
            None => (self.place + 1 < places).then(|| format!("{}:", self.place + 1)),
        }
    }
}

/// The names among `texts`. One that is none cannot be asked for either; it is logged and left out.
pub(crate) fn names<T: FromStr<Err: Display>>(
    subject: &crate::answer::Subject,
    texts: impl IntoIterator<Item: AsRef<str>>,
) -> Vec<T> {
    texts.into_iter().filter_map(|text| name(subject, text.as_ref())).collect()
}

/// `text` as a name. One that is none is logged.
pub(crate) fn name<T: FromStr<Err: Display>>(subject: &crate::answer::Subject, text: &str) -> Option<T> {
    let parsed = text.parse().inspect_err(|error| {
        tracing::warn!(
            registry.id = %subject.registry,
            listing.of = subject.what,
            listing.problem = %error,
            "a listed name is none and is left out"
        );
    });
    parsed.ok()
}

/// Reads a list that has to be there: without it, an answer is no page, and not an empty one. `null` stands for none.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `values` as the entries of a page. One that is not as documented is logged and left out, so that the others are read. Where
/// that is most of them, the page is not what it is taken for: it must not pass for one without entries.
pub(crate) fn entries<T: DeserializeOwned>(
    subject: &crate::answer::Subject,
    values: Vec<Value>,
) -> Result<Vec<T>, RegistryError> {
    let all = values.len();
    let entry = |value| {
        let read = serde_json::from_value(value).inspect_err(|error| {
            tracing::warn!(
                registry.id = %subject.registry,
                listing.of = subject.what,
                listing.problem = %error,
                "a listed entry is not as documented and is left out"
            );
        });
        read.ok()
    };
    let read: Vec<T> = values.into_iter().filter_map(entry).collect();
    let left_out = all - read.len();
    if left_out * 2 > all {
        return Err(subject.invalid(format!("{left_out} of its {all} entries are not as documented")));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_numbered_from_one() {
        assert_eq!((number(None), number(Some("7"))), (Ok(1), Ok(7)));
        assert!(number(Some("x")).is_err());
    }

    #[test]
    fn places_are_walked_one_after_another() {
        let first = Walk::at(None).unwrap();
        assert_eq!((first.place, first.cursor), (0, None));
        assert_eq!(first.turn(Some("a:b".to_owned()), 2).as_deref(), Some("0:a:b"));
        let second = Walk::at(Some("0:a:b")).unwrap();
        assert_eq!((second.place, second.cursor), (0, Some("a:b")));
        assert_eq!(second.turn(None, 2).as_deref(), Some("1:"));
        let third = Walk::at(Some("1:")).unwrap();
        assert_eq!((third.place, third.cursor), (1, None));
        assert_eq!(third.turn(None, 2), None);
        assert!(Walk::at(Some("x")).is_err() && Walk::at(Some("x:y")).is_err());
    }
}
