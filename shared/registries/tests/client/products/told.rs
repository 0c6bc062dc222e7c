//! What docs/REGISTRIES.md says that listings tell.

use std::path::Path;

use serde_json::{Value, json};
use tidewatch_core::config::RegistryKind;
use tidewatch_core::ports::registry::ListingTells;

use super::support::Product;

/// The least configuration that each kind can be opened with.
fn config(kind: RegistryKind) -> Value {
    let mut config = json!({"kind": kind, "url": "{registry}"});
    for (key, value) in match kind {
        RegistryKind::DockerHub | RegistryKind::Quay => vec![("namespaces", json!(["acme"]))],
        RegistryKind::Google => vec![("namespaces", json!(["acme"])), ("region", json!("europe"))],
        RegistryKind::Ecr => vec![("account", json!("123456789012")), ("region", json!("eu-west-1"))],
        RegistryKind::EcrPublic => vec![("repositories", json!(["acme/web"]))],
        RegistryKind::Openshift => vec![("api_url", json!("{api}"))],
        RegistryKind::Acr | RegistryKind::Harbor | RegistryKind::Jfrog | RegistryKind::Oci => Vec::new(),
    } {
        config[key] = value;
    }
    config
}

#[tokio::test]
async fn the_table_of_the_documents_says_what_listings_tell() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/REGISTRIES.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table =
        text.split_once("| kind | digest | created | pushed | pulled | size | platforms |").unwrap().1;
    for kind in RegistryKind::ALL {
        let row = table.lines().find(|line| line.starts_with(&format!("| `{}` |", kind.as_str()))).unwrap();
        let cells: Vec<bool> = row.split('|').skip(2).take(6).map(|cell| !cell.trim().is_empty()).collect();
        let aws = aws_types::SdkConfig::builder().build();
        let opened = Product::try_open_with(&config(kind), &[], "", Some(aws)).await.unwrap();
        let ListingTells { digest, created, pushed, pulled, size, platforms } = opened.registry.tells();
        assert_eq!(cells, [digest, created, pushed, pulled, size, platforms], "{}", kind.as_str());
    }
}
