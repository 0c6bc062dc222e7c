//! Where advisories come from, and within which limits they are fetched.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tidewatch_advisories::FAMILIES;
use tidewatch_core::{Retry, Retryable};
use url::Url;

/// The variable that holds the URL under which the archives are.
pub const URL_VARIABLE: &str = "TIDEWATCH_ADVISORIES_URL";
/// The variable that holds the ecosystems, separated by commas.
pub const ECOSYSTEMS_VARIABLE: &str = "TIDEWATCH_ECOSYSTEMS";
/// The longest name of an ecosystem in bytes.
const MAX_ECOSYSTEM: usize = 64;

/// What can be set of the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The URL under which the archives are, as `<url>/<Ecosystem>/all.zip`. Without one nothing is fetched.
    pub url: Option<Url>,
    /// The ecosystems to fetch, by OSV's names without a release.
    pub ecosystems: BTreeSet<String>,
    /// An existing folder for temporary files: at most an archive and an index at the same time.
    pub folder: PathBuf,
    /// The largest archive that is taken, in bytes.
    pub archive_limit: u64,
    /// How many bytes the records of an archive may have together.
    pub inflated_limit: u64,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long the server may be silent.
    pub read_timeout: Duration,
    /// How long a download may take in all.
    pub download_timeout: Duration,
    /// The pause before a failed ecosystem is tried again; doubles with each failure.
    pub retry_pause: Duration,
}

/// The settings are wrong.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL cannot be used.
    #[error("failed to use {url:?} as the URL of advisories: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name cannot be that of an ecosystem.
    #[error(
        "failed to use {name:?} as an ecosystem: a name has 1 to {MAX_ECOSYSTEM} letters, digits, spaces, dots and \
         hyphens, and no release"
    )]
    Ecosystem {
        /// What was given.
        name: String,
    },
    /// There is no HTTP client on this system.
    #[error("failed to set up an HTTP client")]
    Client(#[source] reqwest::Error),
}

impl Retryable for SettingsError {
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Settings {
    /// Deployed settings with `folder` for temporary files: no URL; every ecosystem that has a family; archives of at
    /// most 512 MiB with 16 GiB of records; 10 s for a connection, 30 s of silence, 5 minutes for a download; a minute
    /// before the second try.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            url: None,
            ecosystems: FAMILIES.iter().map(|family| family.ecosystem.to_owned()).collect(),
            folder: folder.into(),
            archive_limit: 512 << 20,
            inflated_limit: 16 << 30,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            download_timeout: Duration::from_secs(300),
            retry_pause: Duration::from_secs(60),
        }
    }

    /// Deployed settings with `folder` for temporary files, and the variables [`URL_VARIABLE`] and
    /// [`ECOSYSTEMS_VARIABLE`], as `environment` gives them. Without the second, every ecosystem that has a family is
    /// fetched.
    pub fn from_environment(
        folder: impl Into<PathBuf>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let mut settings = Self::new(folder);
        settings.url = environment(URL_VARIABLE).map(|url| parse_url(&url)).transpose()?;
        if let Some(names) = environment(ECOSYSTEMS_VARIABLE) {
            settings.ecosystems = parse_ecosystems(names.split(','))?;
        }
        Ok(settings)
    }
}

/// The URL under which archives are: http or https, with a host, without user, query and fragment.
pub fn parse_url(text: &str) -> Result<Url, SettingsError> {
    // A URL with a password is not repeated in full.
    let failed = |reason: &str| {
        let url = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
        SettingsError::Url { url: url.to_owned(), reason: reason.to_owned() }
    };
    let url: Url = text.parse().map_err(|_| failed("it is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(failed("it begins neither with https:// nor with http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(failed("it names a user"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(failed("it has a query or a fragment"));
    }
    Ok(url)
}

/// The names of ecosystems, without those that are empty and the spaces around them; the default ones when none is left.
pub fn parse_ecosystems<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeSet<String>, SettingsError> {
    let names = names.into_iter().map(str::trim).filter(|name| !name.is_empty());
    let ecosystems: BTreeSet<String> = names
        .map(|name| {
            let valid = is_ecosystem(name).then(|| name.to_owned());
            valid.ok_or_else(|| SettingsError::Ecosystem { name: name.to_owned() })
        })
        .collect::<Result<_, _>>()?;
    if ecosystems.is_empty() { Ok(Settings::new("").ecosystems) } else { Ok(ecosystems) }
}

/// Whether a name can be that of an ecosystem; it becomes a part of URLs and of keys.
/// Names: <https://ossf.github.io/osv-schema/#defined-ecosystems>
pub(crate) fn is_ecosystem(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'.' | b'-');
    (1..=MAX_ECOSYSTEM).contains(&name.len())
        && name.bytes().all(allowed)
        && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && name.trim() == name
}
