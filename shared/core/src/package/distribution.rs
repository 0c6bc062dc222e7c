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

/// Distributions without releases: whatever is newest is what there is. A version that they name is a date.
const ROLLING: &[&str] = &[
    "arch",
    "archarm",
    "artix",
    "cachyos",
    "chainguard",
    "clear-linux-os",
    "endeavouros",
    "gentoo",
    "kali",
    "manjaro",
    "minimos",
    "opensuse-microos",
    "opensuse-slowroll",
    "opensuse-tumbleweed",
    "solus",
    "void",
    "wolfi",
];

impl Distribution {
    /// The release as advisories name it: `12` for Debian 12, `3.19` for Alpine 3.19.1, `edge` for Alpine's rolling
    /// release, `9` for Red Hat Enterprise Linux 9.4 and its kin, `15 SP5` for SUSE Linux Enterprise 15.5, `1` for Amazon
    /// Linux 2018.03, `3` for Azure Linux 3.0; of other distributions `VERSION_ID` as it stands. `None` where no release
    /// is named, as in Debian testing, and of the distributions that have none.
    ///
    /// Names: <https://ossf.github.io/osv-schema/#defined-ecosystems>
    pub fn advisory_release(&self) -> Option<String> {
        let version = self.version_id.as_deref().unwrap_or_default();
        let mut numbers = version.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next());
        let number = major.parse::<u32>().ok();
        let release = match self.id.as_str() {
            "alpine" if self.is_rolling() => "edge".to_owned(),
            "alpine" => minor.map_or_else(|| major.to_owned(), |minor| format!("{major}.{minor}")),
            // Releases before 7 kept their second number.
            "debian" if number.is_some_and(|major| major < 7) => format!("{major}.{}", minor.unwrap_or("0")),
            _ if self.is_rolling() => return None,
            // Amazon Linux 1 counted by year and month.
            "amzn" if number.is_some_and(|year| (2011..=2018).contains(&year)) => "1".to_owned(),
            "almalinux" | "amzn" | "azurelinux" | "centos" | "cloudlinux" | "debian" | "eurolinux"
            | "fedora" | "mariner" | "ol" | "rhel" | "rocky" | "scientific" => major.to_owned(),
            // From 16 on there are no service packs.
            "sle_hpc" | "sled" | "sles" | "sles_sap" if number.is_some_and(|major| major < 16) => {
                let pack = minor.filter(|minor| *minor != "0");
                pack.map_or_else(|| major.to_owned(), |pack| format!("{major} SP{pack}"))
            }
            _ => version.to_owned(),
        };
        Some(release).filter(|release| !release.is_empty())
    }

    /// Whether it has no releases, or is the branch of one that has, like Alpine's edge and Debian's testing: what is fixed
    /// there is fixed in whatever is newest.
    pub fn is_rolling(&self) -> bool {
        match self.id.as_str() {
            // Snapshots of edge call themselves 3.19_alpha20230901.
            "alpine" => {
                self.version_id.as_deref().is_some_and(|version| version.contains('_'))
                    || self.pretty_name.ends_with(" edge")
            }
            "debian" => self.version_id.is_none(),
            "fedora" => self.pretty_name.contains("Rawhide"),
            id => ROLLING.contains(&id),
        }
    }

    /// Its name for people: `PRETTY_NAME`, else id and version: `acme 1.2`.
    pub fn name(&self) -> String {
        match &self.version_id {
            _ if !self.pretty_name.is_empty() => self.pretty_name.clone(),
            Some(version) => format!("{} {version}", self.id),
            None => self.id.clone(),
        }
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
            ("rhel", Some("9.4"), "", Some("9")),
            ("centos", Some("8"), "CentOS Stream 8", Some("8")),
            ("almalinux", Some("8.10"), "", Some("8")),
            ("rocky", Some("9.3"), "", Some("9")),
            ("ol", Some("7.9"), "", Some("7")),
            ("fedora", Some("39"), "", Some("39")),
            ("fedora", Some("41"), "Fedora Linux 41 (Rawhide)", None),
            ("amzn", Some("2018.03"), "", Some("1")),
            ("amzn", Some("2"), "", Some("2")),
            ("amzn", Some("2023"), "", Some("2023")),
            ("sles", Some("15.5"), "", Some("15 SP5")),
            ("sles", Some("15"), "", Some("15")),
            ("sles", Some("12.0"), "", Some("12")),
            ("sles", Some("16.0"), "", Some("16.0")),
            ("opensuse-leap", Some("15.5"), "", Some("15.5")),
            ("opensuse-tumbleweed", Some("20240801"), "", None),
            ("photon", Some("4.0"), "", Some("4.0")),
            ("azurelinux", Some("3.0"), "", Some("3")),
            ("mariner", Some("2.0"), "", Some("2")),
            ("wolfi", Some("20230201"), "Wolfi", None),
            ("chainguard", Some("20230214"), "", None),
            ("arch", None, "Arch Linux", None),
            ("acme", Some("1.2.3"), "", Some("1.2.3")),
            ("acme", None, "", None),
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
