//! Settings from the environment.

use tidewatch_advisories::FAMILIES;
use tidewatch_sync_advisories::{Place, Settings, SettingsError};

fn settings(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::from_environment("/scratch", &|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

/// The places of the archives, of Amazon Linux, of the catalogue, of the table of ends of life, and of the NVD; empty where there is none.
fn places(variables: &[(&str, &str)]) -> [String; 5] {
    let Settings { osv, amazon_linux, kev, eol, nvd, .. } = settings(variables).unwrap();
    [osv, amazon_linux, kev, eol, nvd].map(|place| place.map_or_else(String::new, |place| place.to_string()))
}

const OSV: &str = "https://storage.googleapis.com/osv-vulnerabilities";
const AMAZON: &str = "https://cdn.amazonlinux.com/";
const KEV: &str = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json";
const EOL: &str = "https://endoflife.date/api/v1/products/full";

#[test]
fn without_variables_everything_is_fetched_from_its_publisher_but_for_the_nvd() {
    assert_eq!(places(&[]), [OSV, AMAZON, KEV, EOL, ""]);
    assert_eq!(
        places(&[("TIDEWATCH_ADVISORIES_URL", ""), ("TIDEWATCH_KEV_URL", "")]),
        [OSV, AMAZON, KEV, EOL, ""]
    );
    let sources = settings(&[]).unwrap().sources("2026-06-01T00:00:00Z".parse().unwrap());
    for family in FAMILIES {
        assert_eq!(sources.contains(family.ecosystem), family.package_type.is_some(), "{}", family.ecosystem);
    }
    assert!(sources.contains("GIT") && sources.contains("KEV") && sources.contains("EOL"));
    assert!(!sources.iter().any(|name| name.starts_with("NVD")));
}

#[test]
fn what_lies_beside_the_archives_of_a_folder_or_bucket_is_taken_from_there() {
    assert_eq!(
        places(&[("TIDEWATCH_ADVISORIES_URL", "file:///srv/osv")]),
        [
            "/srv/osv",
            "/srv/osv/Amazon Linux",
            "/srv/osv/KEV/known_exploited_vulnerabilities.json",
            "/srv/osv/EOL/endoflife.json",
            ""
        ]
    );
    assert_eq!(
        places(&[("TIDEWATCH_ADVISORIES_URL", "s3://acme-osv/a"), ("TIDEWATCH_AMAZON_LINUX_URL", AMAZON)]),
        [
            "s3://acme-osv/a",
            AMAZON,
            "s3://acme-osv/a/KEV/known_exploited_vulnerabilities.json",
            "s3://acme-osv/a/EOL/endoflife.json",
            ""
        ]
    );
}

#[test]
fn none_turns_a_source_off_and_in_place_of_the_archives_all() {
    assert_eq!(places(&[("TIDEWATCH_ADVISORIES_URL", "none")]), ["", "", "", "", ""]);
    assert_eq!(
        places(&[("TIDEWATCH_KEV_URL", "none"), ("TIDEWATCH_AMAZON_LINUX_URL", "none")]),
        [OSV, "", "", EOL, ""]
    );
    let now = "2026-06-01T00:00:00Z".parse().unwrap();
    let off = settings(&[("TIDEWATCH_ADVISORIES_URL", "none"), ("TIDEWATCH_KEV_URL", KEV)]).unwrap();
    assert_eq!(off.sources(now).into_iter().collect::<Vec<_>>(), ["KEV"]);
    let off = settings(&[("TIDEWATCH_AMAZON_LINUX_URL", "none")]).unwrap();
    assert!(!off.sources(now).contains("Amazon Linux"));
}

#[test]
fn the_variables_say_where_and_what_to_fetch() {
    let settings = settings(&[
        ("TIDEWATCH_ADVISORIES_URL", "https://osv.example.com/bucket/"),
        ("TIDEWATCH_NVD_URL", "https://nvd.example.com/feeds"),
        ("TIDEWATCH_KEV_URL", "none"),
        ("TIDEWATCH_EOL_URL", "none"),
        ("TIDEWATCH_ECOSYSTEMS", "Debian, GIT ,Rocky Linux,"),
    ])
    .unwrap();
    assert_eq!(settings.osv, Place::parse("https://osv.example.com/bucket/").ok());
    assert_eq!(settings.ecosystems.iter().collect::<Vec<_>>(), ["Debian", "GIT", "Rocky Linux"]);
    let sources = settings.sources("2003-06-01T00:00:00Z".parse().unwrap());
    assert_eq!(
        sources.into_iter().collect::<Vec<_>>(),
        ["Debian", "GIT", "NVD-2002", "NVD-2003", "Rocky Linux"]
    );
}

#[test]
fn a_place_that_cannot_be_used_is_an_error_that_says_why_and_shows_no_password() {
    for (url, reason) in [
        ("osv.example.com", "it is no URL"),
        ("ftp://osv.example.com", "neither with https://, http://"),
        ("https://user:secret@osv.example.com", "it names a user"),
        ("https://osv.example.com/?a=b", "a query or a fragment"),
    ] {
        for variable in [
            "TIDEWATCH_ADVISORIES_URL",
            "TIDEWATCH_AMAZON_LINUX_URL",
            "TIDEWATCH_KEV_URL",
            "TIDEWATCH_EOL_URL",
            "TIDEWATCH_NVD_URL",
        ] {
            let error = settings(&[(variable, url)]).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("osv.example.com"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

#[test]
fn a_name_that_is_no_ecosystem_is_an_error_that_names_it() {
    for name in ["Debian:12", "../etc", "Debian_12", "Größe", "..", &"x".repeat(65)] {
        let error = settings(&[("TIDEWATCH_ECOSYSTEMS", name)]).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?}")), "{error}");
    }
}
