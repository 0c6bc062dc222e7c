//! New advisories and changed policies take effect by themselves, and no registry is asked anything.

use std::path::Path;
use std::time::Duration;

use tidewatch_core::ports::Sleeper as _;
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_testkit::advisory::{AdvisoryBuilder, write_folder};
use tidewatch_testkit::fixtures;
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::LocalMode;

use crate::images::{OLD_LIBC, OLD_OPENSSL, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, Numbers, ORG, fixture_registry, settle};

#[tokio::test(flavor = "multi_thread")]
async fn new_advisories_change_the_numbers_without_a_run_and_no_registry_is_asked() {
    let registry = fixture_registry().await;
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    let before = settle(&local, ORG, &token, &Numbers::of_the_fixtures()).await;
    registry.clear_requests();

    // Every Debian image holds this package, and one platform of each counts: five images more fail.
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures::advisories(), folder.path());
    let advisory = AdvisoryBuilder::new("DEBIAN-CVE-2099-3001")
        .upstream(["CVE-2099-3001"])
        .severity("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
        .fixed("Debian:13", "base-files", "14")
        .build();
    write_folder(folder.path(), "Debian", &[advisory]);
    installation.build_advisories(folder.path());
    let Numbers { evaluated, mut severities, .. } = Numbers::of_the_fixtures();
    severities[0] += 5;
    settle(&local, ORG, &token, &Numbers { compliant: 0, evaluated, severities }).await;
    // Each of these images is told of once, whatever comes after that.
    told_of(&local, "CVE-2099-3001", 5).await;

    installation.build_advisories(&fixtures::advisories());
    assert_eq!(settle(&local, ORG, &token, &Numbers::of_the_fixtures()).await, before);
    assert_eq!(registry.requests(), []);
    assert_eq!(installation.work_rows(ORG, "local").await, 0);
    told_of(&local, "CVE-2099-3001", 5).await;
}

/// Waits until the log of local mode tells of as many images that a vulnerability newly affects, and of no other.
async fn told_of(local: &LocalMode, vulnerability: &str, images: usize) {
    let told = || {
        let log = local.stderr();
        let lines = log.lines().filter(|line| line.contains("image newly affected"));
        lines.map(str::to_owned).collect::<Vec<String>>()
    };
    for _ in 0..300 {
        if told().len() >= images {
            break;
        }
        SystemSleeper.sleep(Duration::from_millis(100)).await;
    }
    let told = told();
    assert_eq!(told.len(), images, "{told:#?}");
    assert!(
        told.iter().all(|line| line.contains(vulnerability) && line.contains("latest-indexed")),
        "{told:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_policy_changes_the_numbers_without_a_run_and_without_the_registry() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1", &debian_image(&[OLD_LIBC]));
    push(&registry, "team/api", "1", &debian_image(&[OLD_LIBC]));
    push(&registry, "team/tls", "1", &debian_image(&[OLD_OPENSSL]));
    let configuration = Configuration::of(&registry);
    let installation = Installation::configured(&configuration);
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    let before = numbers(&[&[OLD_LIBC], &[OLD_LIBC], &[OLD_OPENSSL]]);
    assert_eq!(before.compliant, 2);
    settle(&local, ORG, &token, &before).await;
    registry.clear_requests();

    // Both images with the MEDIUM vulnerability fail now, and the other one passes.
    installation.apply(
        &configuration.clone().policy("{id: fixable-vulnerabilities, config: {severities: [MEDIUM]}}"),
    );
    settle(&local, ORG, &token, &Numbers { compliant: 1, ..before }).await;
    installation.apply(&configuration);
    settle(&local, ORG, &token, &before).await;
    assert_eq!(registry.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_waits_for_advisories_is_counted_when_they_come() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/tls", "1", &debian_image(&[OLD_OPENSSL]));
    let installation = Installation::new();
    installation.apply(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    assert_eq!(installation.image("team/tls")["state"], "pending");
    registry.clear_requests();
    installation.build_advisories(&fixtures::advisories());
    settle(&local, ORG, &token, &numbers(&[&[OLD_OPENSSL]])).await;
    assert_eq!(installation.image("team/tls")["state"], "scanned");
    assert_eq!(registry.requests(), []);
}

/// Copies the files of every folder in `from`.
fn copy(from: &Path, to: &Path) {
    for ecosystem in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let folder = to.join(ecosystem.file_name());
        std::fs::create_dir_all(&folder).unwrap();
        for file in std::fs::read_dir(ecosystem.path()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }
}
