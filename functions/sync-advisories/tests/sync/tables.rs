//! The tables that images are judged by: put in force as they are fetched, with the time that they are of.

use serde_json::{Value, json};
use tidewatch_core::package::Distribution;
use tidewatch_core::tables::{Support, TableDate};
use tidewatch_sync_advisories::Place;

use crate::world::{KEV, World, catalogue, debian};

const EOL: &str = "/endoflife.json";

/// With the catalogue and the table of ends of life.
async fn world() -> World {
    let mut world = World::of(&["Debian"]).await;
    let place = |path: &str| Place::parse(&format!("{}{path}", world.server.url())).ok();
    let (kev, eol) = (place(KEV), place(EOL));
    world.again_with(|settings| (settings.kev, settings.eol) = (kev, eol));
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.server.put_file(KEV, catalogue(&["CVE-2024-1"]).to_string());
    world.server.put_file(EOL, published("2026-05-31T10:00:00Z", "2026-07-11").to_string());
    world
}

/// The document of endoflife.date with the last day of Debian 12.
fn published(generated_at: &str, last_day: &str) -> Value {
    let releases = json!([{"name": "12", "isEol": false, "eolFrom": last_day}]);
    json!({"generated_at": generated_at, "result": [{"name": "debian", "releases": releases}]})
}

async fn support(world: &World) -> Option<Support> {
    let current = world.records.current_advisories().await.unwrap();
    let tables = world.records.tables(&current).await.unwrap();
    let (id, version_id) = ("debian".to_owned(), Some("12".to_owned()));
    tables.end_of_life.as_ref()?.support(&Distribution { id, version_id, ..Distribution::default() })
}

fn date(text: &str) -> TableDate {
    TableDate(text.parse().unwrap())
}

#[tokio::test]
async fn tables_are_in_force_with_the_time_that_they_are_of() {
    let world = world().await;
    world.tick().await;
    let tables = world.records.current_advisories().await.unwrap().tables;
    assert_eq!(tables.known_exploited, Some(date("2024-05-01T00:00:00Z")));
    assert_eq!(tables.end_of_life.map(|table| table.date), Some(date("2026-05-31T10:00:00Z")));
    assert_eq!(support(&world).await, Some(Support::Until("2026-07-12T00:00:00Z".parse().unwrap())));
    assert_eq!(world.source("EOL").await.archive.unwrap().records, 1);

    world.server.put_file(EOL, published("2026-06-01T10:00:00Z", "2026-08-31").to_string());
    world.tick().await;
    let later = world.records.current_advisories().await.unwrap().tables;
    assert_ne!(later.end_of_life.unwrap().content, tables.end_of_life.unwrap().content);
    assert_eq!(support(&world).await, Some(Support::Until("2026-09-01T00:00:00Z".parse().unwrap())));
}

#[tokio::test]
async fn a_table_is_no_part_of_indexes() {
    let world = world().await;
    world.tick().await;
    let (index, compiled) = (world.in_force().await, world.source("Debian").await.compiled);
    assert!(!compiled.as_ref().unwrap().scores.contains_key("EOL"));
    world.server.put_file(EOL, published("2026-06-01T10:00:00Z", "2026-08-31").to_string());
    world.tick().await;
    assert_eq!((world.in_force().await, world.source("Debian").await.compiled), (index, compiled));
}

#[tokio::test]
async fn what_is_broken_leaves_the_last_good_table_in_force() {
    let world = world().await;
    world.tick().await;
    let before = world.records.current_advisories().await.unwrap();
    for broken in ["", "{}", r#"{"result": []}"#, r#"{"result": [{"name": "nextjs", "releases": []}]}"#] {
        world.server.put_file(EOL, broken);
        world.tick().await;
        let error = world.error("EOL").await;
        assert!(error.contains("failed to read the table of ends of life"), "{broken}: {error}");
        assert_eq!(world.records.current_advisories().await.unwrap().tables, before.tables, "{broken}");
    }
}

#[tokio::test]
async fn a_build_of_a_folder_has_the_same_tables() {
    let world = world().await;
    world.tick().await;
    let folder = tempfile::TempDir::new().unwrap();
    for name in ["KEV", "EOL"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join(format!("KEV{KEV}")), catalogue(&["CVE-2024-1"]).to_string()).unwrap();
    let document = published("2026-05-31T10:00:00Z", "2026-07-11").to_string();
    std::fs::write(folder.path().join(format!("EOL{EOL}")), document).unwrap();
    let tables = world.records.current_advisories().await.unwrap().tables;
    assert_eq!(world.tables_of(folder.path()), tables);
}
