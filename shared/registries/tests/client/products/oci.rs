//! Registries that list by the distribution specification alone.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::support::Product;

/// Ten pages of a thousand tags, each with the link to the next.
fn ten_pages() -> String {
    let mut exchanges = String::new();
    let path = "/v2/acme/web/tags/list";
    for page in 0..10 {
        let query = if page == 0 { "n=1000".to_owned() } else { format!("last={page}.999&n=1000") };
        let tags: Vec<String> = (0..1000).map(|tag| format!("{page}.{tag}")).collect();
        writeln!(exchanges, "> registry GET {path}?{query}\n< 200").unwrap();
        if page < 9 {
            writeln!(exchanges, "< link: <{path}?last={}.999&n=1000>; rel=\"next\"", page + 1).unwrap();
        }
        writeln!(exchanges, "{}\n###", json!({"name": "acme/web", "tags": tags})).unwrap();
    }
    exchanges
}

#[tokio::test]
async fn ten_thousand_tags_cost_ten_requests() {
    let kinds: [Value; 2] = [
        json!({"kind": "oci", "url": "{registry}"}),
        json!({"kind": "ecr-public", "url": "{registry}", "repositories": ["acme/web"]}),
    ];
    for config in kinds {
        let registry = Product::open(&config, &[], &ten_pages()).await;
        assert_eq!(registry.tags("acme/web").await.unwrap().len(), 10_000, "{config}");
        registry.replay.assert_done();
        assert_eq!(registry.replay.requests(), 10, "{config}");
    }
}
