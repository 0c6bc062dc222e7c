//! The distribution that gave an image its packages, and the release by which advisories name it.

use serde::{Deserialize, Serialize};

/// The distribution that an image is built on, from its os-release file.
///
/// Specification: <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Distribution {
    /// `ID`, lower case: `debian`, `alpine`.
    pub id: String,
    /// `VERSION_ID` as it stands: `12`, `3.19.1`. `None` on rolling releases and where the file does not say.
    pub version_id: Option<String>,
    /// `PRETTY_NAME`, for people. Empty where the file does not say.
    pub pretty_name: String,
}

impl Distribution {
    /// The release as advisories name it: `12` for Debian 12, `3.19` for Alpine 3.19.1, `edge` for Alpine's rolling
    /// release; of other distributions `VERSION_ID` as it stands. `None` where no release is named, as in Debian testing.
    pub fn advisory_release(&self) -> Option<String> {
        let version = self.version_id.as_deref().unwrap_or_default();
        let mut numbers = version.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next());
        let release = match self.id.as_str() {
            // Snapshots of edge call themselves 3.19_alpha20230901.
            "alpine" if version.contains('_') || self.pretty_name.ends_with(" edge") => "edge".to_owned(),
            "alpine" => minor.map_or_else(|| major.to_owned(), |minor| format!("{major}.{minor}")),
            // Releases before 7 kept their second number.
            "debian" if major.parse::<u32>().is_ok_and(|major| major < 7) => {
                format!("{major}.{}", minor.unwrap_or("0"))
            }
            "debian" => major.to_owned(),
            _ => version.to_owned(),
        };
        Some(release).filter(|release| !release.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advisories_name_a_release_by_the_custom_of_its_distribution() {
        for (id, version_id, pretty_name, release) in [
            ("debian", Some("12"), "Debian GNU/Linux 12 (bookworm)", Some("12")),
            ("debian", Some("12.5"), "", Some("12")),
            ("debian", None, "Debian GNU/Linux trixie/sid", None),
            ("alpine", Some("3.19.1"), "Alpine Linux v3.19", Some("3.19")),
            ("alpine", Some("3.19"), "", Some("3.19")),
            ("alpine", Some("3.19_alpha20230901"), "Alpine Linux edge", Some("edge")),
            ("ubuntu", Some("22.04"), "Ubuntu 22.04.4 LTS", Some("22.04")),
        ] {
            let distribution = Distribution {
                id: id.to_owned(),
                version_id: version_id.map(str::to_owned),
                pretty_name: pretty_name.to_owned(),
            };
            assert_eq!(distribution.advisory_release().as_deref(), release, "{distribution:?}");
        }
    }
}
