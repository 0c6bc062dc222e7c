//! Settings from the environment.

use tidewatch_sync_advisories::{Settings, SettingsError};

fn settings(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::from_environment("/scratch", &|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn without_variables_there_is_no_url_and_every_ecosystem_that_is_matched() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings, Settings::new("/scratch"));
    assert_eq!(settings.url, None);
    assert_eq!(settings.ecosystems.iter().collect::<Vec<_>>(), ["Alpine", "Debian"]);
}

#[test]
fn the_variables_say_where_and_what_to_fetch() {
    let settings = settings(&[
        ("TIDEWATCH_ADVISORIES_URL", "https://osv.example.com/bucket/"),
        ("TIDEWATCH_ECOSYSTEMS", "Debian, GIT ,Rocky Linux,"),
    ])
    .unwrap();
    assert_eq!(settings.url.unwrap().as_str(), "https://osv.example.com/bucket/");
    assert_eq!(settings.ecosystems.iter().collect::<Vec<_>>(), ["Debian", "GIT", "Rocky Linux"]);
}

#[test]
fn a_url_that_cannot_be_used_is_an_error_that_says_why_and_shows_no_password() {
    for (url, reason) in [
        ("osv.example.com", "it is no URL"),
        ("ftp://osv.example.com", "neither with https:// nor with http://"),
        ("https://user:secret@osv.example.com", "it names a user"),
        ("https://osv.example.com/?a=b", "a query or a fragment"),
    ] {
        let error = settings(&[("TIDEWATCH_ADVISORIES_URL", url)]).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("osv.example.com"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_name_that_is_no_ecosystem_is_an_error_that_names_it() {
    for name in ["Debian:12", "../etc", "Debian_12", "Größe", "..", &"x".repeat(65)] {
        let error = settings(&[("TIDEWATCH_ECOSYSTEMS", name)]).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?}")), "{error}");
    }
}
