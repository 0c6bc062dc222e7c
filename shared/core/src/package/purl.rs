//! Package URLs. Specification: <https://github.com/package-url/purl-spec>.

use super::{Distribution, Package, PackageType};

impl Package {
    /// The package URL, `pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12`; `distribution` is the one of the
    /// image, and counts for the packages of distributions.
    pub fn purl(&self, distribution: Option<&Distribution>) -> String {
        let distribution = distribution.filter(|_| self.package_type.is_of_distribution());
        let (namespace, name) = self.namespace_and_name(distribution);
        let (epoch, version) = self.epoch_and_version();
        let mut purl = format!("pkg:{}", self.package_type.as_str());
        let parts = namespace.split('/').filter(|part| !part.is_empty()).chain([name]);
        for part in parts {
            purl.push('/');
            purl.push_str(&percent_encode(part));
        }
        purl.push('@');
        purl.push_str(&percent_encode(version));
        let distro = distribution.map(|distribution| match &distribution.version_id {
            Some(version) => format!("{}-{version}", distribution.id),
            None => distribution.id.clone(),
        });
        let architecture = match self.package_type {
            PackageType::Conda => "subdir",
            PackageType::Gem => "platform",
            _ => "arch",
        };
        let qualifiers = [
            (architecture, self.architecture.clone()),
            ("distro", distro),
            ("epoch", epoch.map(str::to_owned)),
        ];
        let qualifiers = qualifiers.into_iter().filter_map(|(key, value)| Some((key, value?)));
        for (position, (key, value)) in qualifiers.enumerate() {
            purl.push(if position == 0 { '?' } else { '&' });
            purl.push_str(key);
            purl.push('=');
            purl.push_str(&percent_encode(&value));
        }
        purl
    }

    /// The namespace, which may have several parts or none, and the name in it.
    fn namespace_and_name<'a>(&'a self, distribution: Option<&'a Distribution>) -> (&'a str, &'a str) {
        match self.package_type {
            PackageType::Apk | PackageType::Deb | PackageType::Rpm => {
                (distribution.map_or("", namespace), &self.name)
            }
            PackageType::Composer | PackageType::Golang | PackageType::Npm => {
                self.name.rsplit_once('/').unwrap_or(("", &self.name))
            }
            PackageType::Maven => self.name.split_once(':').unwrap_or(("", &self.name)),
            PackageType::Bitnami
            | PackageType::Cargo
            | PackageType::Conda
            | PackageType::Gem
            | PackageType::Nuget
            | PackageType::Pypi => ("", &self.name),
        }
    }

    /// RPM's epoch is a qualifier. The standard library of Go has the number of the release, `1.21.3` of `go1.21.3`, as in
    /// Go's own advisories: <https://go.dev/doc/security/vuln/database>.
    fn epoch_and_version(&self) -> (Option<&str>, &str) {
        if self.package_type == PackageType::Golang && self.name == "stdlib" {
            return (None, self.version.strip_prefix("go").unwrap_or(&self.version));
        }
        let split = (self.package_type == PackageType::Rpm).then(|| self.version.split_once(':')).flatten();
        split.map_or((None, &self.version), |(epoch, version)| (Some(epoch), version))
    }
}

/// The vendor, as the purl specification's own examples name it.
fn namespace(distribution: &Distribution) -> &str {
    match distribution.id.as_str() {
        "rhel" => "redhat",
        id if id.starts_with("opensuse") => "opensuse",
        "sles" | "sled" | "sle" => "suse",
        id => id,
    }
}

/// Percent-encodes what the purl specification wants encoded: all but letters, digits, `.`, `-`, `_`, `~` and `:`.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purl(package: &Package, distribution: &str, version_id: &str) -> String {
        let distribution = Distribution {
            id: distribution.to_owned(),
            version_id: Some(version_id.to_owned()),
            ..Distribution::default()
        };
        package.purl(Some(&distribution))
    }

    #[test]
    fn a_purl_names_distribution_and_architecture_and_encodes_the_version() {
        let package = Package {
            architecture: Some("amd64".to_owned()),
            ..Package::new(PackageType::Deb, "libstdc++6", "1:12.2.0-14+deb12u1", "dpkg")
        };
        assert_eq!(
            purl(&package, "debian", "12"),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
        );
    }

    #[test]
    fn an_epoch_of_rpm_is_a_qualifier_and_the_vendor_of_rhel_is_red_hat() {
        let package = Package {
            architecture: Some("x86_64".to_owned()),
            ..Package::new(PackageType::Rpm, "openssl", "1:3.0.7-27.el9", "rpm")
        };
        assert_eq!(
            purl(&package, "rhel", "9.4"),
            "pkg:rpm/redhat/openssl@3.0.7-27.el9?arch=x86_64&distro=rhel-9.4&epoch=1"
        );
    }

    #[test]
    fn a_package_of_a_language_has_the_namespace_of_its_kind_and_no_distribution() {
        for (package_type, name, version, expected) in [
            (PackageType::Npm, "@babel/core", "7.0.0", "pkg:npm/%40babel/core@7.0.0"),
            (PackageType::Npm, "lodash", "4.17.4", "pkg:npm/lodash@4.17.4"),
            (PackageType::Golang, "golang.org/x/net", "v0.1.0", "pkg:golang/golang.org/x/net@v0.1.0"),
            (PackageType::Golang, "stdlib", "go1.21.3", "pkg:golang/stdlib@1.21.3"),
            (PackageType::Maven, "org.slf4j:slf4j-api", "2.0.9", "pkg:maven/org.slf4j/slf4j-api@2.0.9"),
            (PackageType::Composer, "symfony/yaml", "6.4.0", "pkg:composer/symfony/yaml@6.4.0"),
            (PackageType::Pypi, "jinja2", "3.1.2", "pkg:pypi/jinja2@3.1.2"),
        ] {
            let package = Package::new(package_type, name, version, "reader");
            assert_eq!(purl(&package, "debian", "12"), expected);
        }
        let gem = Package {
            architecture: Some("x86_64-linux".to_owned()),
            ..Package::new(PackageType::Gem, "nokogiri", "1.15.4", "gem")
        };
        assert_eq!(purl(&gem, "debian", "12"), "pkg:gem/nokogiri@1.15.4?platform=x86_64-linux");
    }

    #[test]
    fn every_type_of_package_is_stored_by_its_purl_type() {
        for package_type in PackageType::ALL {
            assert_eq!(serde_json::to_value(package_type).unwrap(), package_type.as_str());
        }
        assert!(PackageType::ALL.is_sorted());
    }
}
