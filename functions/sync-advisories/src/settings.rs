//! Where advisories come from, and within which limits they are fetched.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tidewatch_advisories::FAMILIES;
use tidewatch_core::{Retry, Retryable, Timestamp};

use crate::place::Place;
use crate::sources::{self, amazon_linux, eol, kev, nvd, osv};

/// The variable that holds the ecosystems, separated by commas.
pub const ECOSYSTEMS_VARIABLE: &str = "TIDEWATCH_ECOSYSTEMS";
/// The longest name of an ecosystem in bytes.
const MAX_ECOSYSTEM: usize = 64;

/// What can be set of the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the archives of OSV are, as `<place>/<Ecosystem>/all.zip`. Without it nothing is fetched but what has a
    /// place of its own.
    pub osv: Option<Place>,
    /// Where the repositories of Amazon Linux are; in a folder or bucket `<place>/<release>/updateinfo.xml.gz`.
    pub amazon_linux: Option<Place>,
    /// The file of the catalogue of known exploited vulnerabilities.
    pub kev: Option<Place>,
    /// The file of the table of ends of life.
    pub eol: Option<Place>,
    /// Where the feeds of the NVD are, as `<place>/nvdcve-2.0-<year>.json.gz`.
    pub nvd: Option<Place>,
    /// The ecosystems to fetch, by OSV's names without a release.
    pub ecosystems: BTreeSet<String>,
    /// An existing folder for temporary files: at most two archives and an index at the same time.
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
    /// How often it is told how far a download is.
    pub progress_period: Duration,
    /// The pause before a failed ecosystem is tried again; doubles with each failure.
    pub retry_pause: Duration,
    /// The pause before the other ecosystems look at changed scores, so that they look once at what comes together.
    pub scores_pause: Duration,
}

/// The settings are wrong.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There can be no advisories there.
    #[error("failed to use {place:?} as a place of advisories: {reason}")]
    Place {
        /// What was given.
        place: String,
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

/// Where advisories are, as somebody says it; what is `None` is left to [`Places::settle`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Where the archives of OSV are, or `none`.
    pub osv: Option<String>,
    /// Where the repositories of Amazon Linux are, or `none`.
    pub amazon_linux: Option<String>,
    /// The catalogue of known exploited vulnerabilities, or `none`.
    pub kev: Option<String>,
    /// The table of ends of life, or `none`.
    pub eol: Option<String>,
    /// Where the feeds of the NVD are, or `none`.
    pub nvd: Option<String>,
}

impl Places {
    /// What the environment says.
    pub fn from_environment(environment: &dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            osv: environment(osv::VARIABLE),
            amazon_linux: environment(amazon_linux::VARIABLE),
            kev: environment(kev::VARIABLE),
            eol: environment(eol::VARIABLE),
            nvd: environment(nvd::VARIABLE),
        }
    }

    /// Puts the places into `settings`. What is not said, or empty: OSV's own bucket; for Amazon Linux, the catalogue and the table
    /// of ends of life, those who publish them, or, where the archives of OSV are in a folder or bucket, what lies beside them; no NVD. Nothing at
    /// all for `none` in place of the archives.
    pub fn settle(&self, settings: &mut Settings) -> Result<(), SettingsError> {
        let place = |said: &Option<String>| {
            let said = said.as_deref().filter(|said| !said.is_empty());
            said.map(Place::parse_or_none).transpose()
        };
        settings.osv = place(&self.osv)?.unwrap_or_else(|| Place::parse(osv::PUBLISHER).ok());
        let beside = |names: &[&str], publisher: &str| {
            let osv = settings.osv.as_ref()?;
            if osv.is_listable() { Some(osv.join(names)) } else { Place::parse(publisher).ok() }
        };
        let amazon_linux = beside(&[amazon_linux::NAME], amazon_linux::PUBLISHER);
        let kev = beside(&[kev::NAME, kev::FILE], kev::PUBLISHER);
        let eol = beside(&[eol::NAME, eol::FILE], eol::PUBLISHER);
        settings.amazon_linux = place(&self.amazon_linux)?.unwrap_or(amazon_linux);
        settings.kev = place(&self.kev)?.unwrap_or(kev);
        settings.eol = place(&self.eol)?.unwrap_or(eol);
        settings.nvd = place(&self.nvd)?.flatten();
        Ok(())
    }
}

impl Settings {
    /// Deployed settings with `folder` for temporary files: no places; every ecosystem that images can hold packages of;
    /// archives of at most 2 GiB with 32 GiB of records; 10 s for a connection, 30 s of silence, 10 minutes for a
    /// download, of which is told every 5 s; a minute before the second try, and before scores are taken in.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            osv: None,
            amazon_linux: None,
            kev: None,
            eol: None,
            nvd: None,
            ecosystems: default_ecosystems(),
            folder: folder.into(),
            archive_limit: 2 << 30,
            inflated_limit: 32 << 30,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            download_timeout: Duration::from_secs(600),
            progress_period: Duration::from_secs(5),
            retry_pause: Duration::from_secs(60),
            scores_pause: Duration::from_secs(600),
        }
    }

    /// Deployed settings with `folder` for temporary files, and the places and ecosystems that `environment` names.
    pub fn from_environment(
        folder: impl Into<PathBuf>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let mut settings = Self::new(folder);
        Places::from_environment(environment).settle(&mut settings)?;
        if let Some(names) = environment(ECOSYSTEMS_VARIABLE) {
            settings.ecosystems = parse_ecosystems(names.split(','))?;
        }
        Ok(settings)
    }

    /// Whether something is to be read from a bucket.
    pub fn reads_buckets(&self) -> bool {
        let places = [&self.osv, &self.amazon_linux, &self.kev, &self.eol, &self.nvd];
        places.into_iter().flatten().any(|place| matches!(place, Place::Bucket { .. }))
    }

    /// The names of all sources that are fetched at the time `now`: the ecosystems, and what else has a place.
    pub fn sources(&self, now: Timestamp) -> BTreeSet<String> {
        let beside = [(&self.kev, kev::NAME), (&self.eol, eol::NAME)];
        let beside = beside.into_iter().filter(|(place, _)| place.is_some()).map(|(_, name)| name.to_owned());
        let years = self.nvd.iter().flat_map(|_| nvd::names(now));
        let names = self.ecosystems.iter().cloned().chain(beside).chain(years);
        names.filter(|name| sources::of(name).place_of(name, self).is_some()).collect()
    }
}

/// The ecosystems whose packages are found in images, and the one that has scores for them.
fn default_ecosystems() -> BTreeSet<String> {
    let families = FAMILIES.iter().filter(|family| family.package_type.is_some());
    families.map(|family| family.ecosystem).chain([osv::SCORES]).map(str::to_owned).collect()
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
    if ecosystems.is_empty() { Ok(default_ecosystems()) } else { Ok(ecosystems) }
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
