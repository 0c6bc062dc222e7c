//! A place where advisories are: on a server, in a bucket, or in a folder of this machine.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::settings::SettingsError;

/// What a setting says instead of a place, to have nothing fetched.
const NOTHING: &str = "none";

/// A place, which may hold others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a server: `https://…` or `http://…`.
    Web(Url),
    /// In a bucket of S3: `s3://BUCKET/PREFIX`.
    Bucket {
        /// The name of the bucket.
        bucket: String,
        /// What keys begin with, without a slash at its end; empty for the whole bucket.
        prefix: String,
    },
    /// In a folder of this machine: `file:///…`, or a path that begins with `/`, `./` or `../`.
    Folder(PathBuf),
}

impl Place {
    /// Reads a place. A URL has a host and no user, query or fragment.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        if text.starts_with(['/', '.']) {
            return Ok(Self::Folder(PathBuf::from(text)));
        }
        // A URL with a password is not repeated in full.
        let failed = |reason: &str| {
            let url = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
            SettingsError::Place { place: url.to_owned(), reason: reason.to_owned() }
        };
        let url: Url =
            text.parse().map_err(|_| failed("it is no URL, and no path that begins with / or ./"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(failed("it names a user"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(failed("it has a query or a fragment"));
        }
        match url.scheme() {
            "http" | "https" => Ok(Self::Web(url)),
            "s3" => bucket(text).ok_or_else(|| failed("it names no bucket: s3://BUCKET/PREFIX")),
            "file" => url
                .to_file_path()
                .map(Self::Folder)
                .map_err(|()| failed("it names another machine: file:///PATH has three slashes")),
            _ => Err(failed("it begins neither with https://, http://, s3:// nor with file://")),
        }
    }

    /// Reads a place, or the word `none`.
    pub fn parse_or_none(text: &str) -> Result<Option<Self>, SettingsError> {
        if text == NOTHING { Ok(None) } else { Self::parse(text).map(Some) }
    }

    /// The place in this one that these names lead to.
    #[must_use]
    pub fn join(&self, names: &[&str]) -> Self {
        match self {
            Self::Web(url) => {
                let mut url = url.clone();
                // Only a URL without a host has no segments, and such a one is no place.
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(names);
                }
                Self::Web(url)
            }
            Self::Bucket { bucket, prefix } => {
                let parts: Vec<&str> = [prefix.as_str()].into_iter().chain(names.iter().copied()).collect();
                let prefix = parts.join("/").trim_start_matches('/').to_owned();
                Self::Bucket { bucket: bucket.clone(), prefix }
            }
            Self::Folder(folder) => {
                Self::Folder(names.iter().fold(folder.clone(), |path, name| path.join(name)))
            }
        }
    }

    /// The place whose name is this one's without `suffix`; `None` where it does not end so, and on a server, which is not
    /// to be asked for what it does not publish.
    pub(crate) fn without_suffix(&self, suffix: &str) -> Option<Self> {
        match self {
            Self::Web(_) => None,
            Self::Bucket { bucket, prefix } => {
                let prefix = prefix.strip_suffix(suffix)?.to_owned();
                Some(Self::Bucket { bucket: bucket.clone(), prefix })
            }
            Self::Folder(path) => path.to_str()?.strip_suffix(suffix).map(|path| Self::Folder(path.into())),
        }
    }

    /// Whether it can be told what it holds: no server says that.
    pub const fn is_listable(&self) -> bool {
        matches!(self, Self::Bucket { .. } | Self::Folder(_))
    }
}

/// Names: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
fn bucket(text: &str) -> Option<Place> {
    let rest = text.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let is_name = (3..=63).contains(&bucket.len()) && bucket.bytes().all(is_allowed);
    let prefix = prefix.trim_matches('/').to_owned();
    is_name.then(|| Place::Bucket { bucket: bucket.to_owned(), prefix })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => url.fmt(f),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Folder(folder) => folder.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_as_they_are_given() {
        for text in [
            "https://osv.example.com/bucket",
            "http://127.0.0.1:8080/",
            "s3://acme-osv",
            "s3://acme-osv/a/b",
            "/srv/osv",
            "./osv",
        ] {
            assert_eq!(Place::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Place::parse("file:///srv/osv%20x").unwrap().to_string(), "/srv/osv x");
        assert_eq!(Place::parse("s3://acme-osv/a/").unwrap().to_string(), "s3://acme-osv/a");
        assert_eq!(Place::parse_or_none("none").unwrap(), None);
    }

    #[test]
    fn names_are_joined_as_each_kind_of_place_writes_them() {
        for (text, joined) in [
            ("https://osv.example.com/bucket/", "https://osv.example.com/bucket/Rocky%20Linux/all.zip"),
            ("s3://acme-osv", "s3://acme-osv/Rocky Linux/all.zip"),
            ("s3://acme-osv/a", "s3://acme-osv/a/Rocky Linux/all.zip"),
            ("/srv/osv/", "/srv/osv/Rocky Linux/all.zip"),
        ] {
            assert_eq!(Place::parse(text).unwrap().join(&["Rocky Linux", "all.zip"]).to_string(), joined);
        }
    }

    #[test]
    fn what_is_no_place_is_an_error_that_says_why() {
        for (text, reason) in [
            ("osv", "no URL, and no path"),
            ("ftp://osv.example.com", "neither with https://"),
            ("s3://", "names no bucket"),
            ("s3://UPPER/a", "names no bucket"),
            ("file://host/a", "names another machine"),
        ] {
            let error = Place::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
