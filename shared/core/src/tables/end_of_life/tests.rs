//! Behaviour of the table of ends of life.

use serde_json::json;

use super::*;

fn table() -> EndOfLife {
    let document = json!({
        "alpine-linux": {"category": "os", "releases": [
            {"releaseCycle": "3.20", "eol": "2026-04-01"},
            {"releaseCycle": "3.19", "eol": "2025-11-01", "latest": "3.19.9"},
        ]},
        "centos": {"releases": [{"releaseCycle": "8", "eol": "2021-12-31"}]},
        "centos-stream": {"releases": [{"releaseCycle": "8", "eol": "2024-05-31"}]},
        "debian": {"releases": [{"releaseCycle": "12", "eol": "2026-07-11", "eoes": "2028-06-30"}]},
        "nextjs": {"releases": [{"releaseCycle": "16", "eol": false}]},
        "sles": {"releases": [{"releaseCycle": "15.5", "eol": "2024-12-31"}, {"releaseCycle": "10", "eol": true}]},
        "vmware-photon": {"releases": [{"releaseCycle": "5.0", "eol": false}]},
    });
    EndOfLife::read(document.to_string().as_bytes(), TableDate(at("2026-06-01T00:00:00Z"))).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn support(id: &str, version_id: Option<&str>, pretty_name: &str) -> Option<Support> {
    let distribution = Distribution {
        id: id.to_owned(),
        version_id: version_id.map(str::to_owned),
        pretty_name: pretty_name.to_owned(),
    };
    table().support(&distribution)
}

#[test]
fn a_release_is_supported_to_the_end_of_its_last_day() {
    let until = |text: &str| Some(Support::Until(at(text)));
    assert_eq!(support("debian", Some("12"), ""), until("2026-07-12T00:00:00Z"));
    assert_eq!(support("debian", Some("12.5"), ""), until("2026-07-12T00:00:00Z"));
    assert_eq!(support("alpine", Some("3.19.1"), ""), until("2025-11-02T00:00:00Z"));
    assert_eq!(support("sles", Some("15.5"), ""), until("2025-01-01T00:00:00Z"));
    assert_eq!(support("sled", Some("10"), ""), Some(Support::Ended));
    assert_eq!(support("photon", Some("5.0"), ""), Some(Support::Endless));
    let end = Support::Until(at("2026-07-12T00:00:00Z"));
    assert!(end.is_supported(at("2026-07-11T23:59:59Z")) && !end.is_supported(at("2026-07-12T00:00:00Z")));
}

#[test]
fn centos_stream_ends_at_another_day_than_centos() {
    let linux = support("centos", Some("8"), "CentOS Linux 8");
    let stream = support("centos", Some("8"), "CentOS Stream 8");
    assert_eq!(linux, Some(Support::Until(at("2022-01-01T00:00:00Z"))));
    assert_eq!(stream, Some(Support::Until(at("2024-06-01T00:00:00Z"))));
}

#[test]
fn what_the_table_does_not_know_has_no_support_that_is_known() {
    assert_eq!(support("acme", Some("1"), ""), None);
    assert_eq!(support("debian", Some("99"), ""), None);
    assert_eq!(support("ubuntu", Some("22.04"), ""), None, "the table lacks the product");
    assert_eq!(support("alpine", Some("3.1"), ""), None, "3.1 is not 3.19");
}

#[test]
fn what_is_rolling_does_not_end() {
    assert_eq!(support("arch", None, ""), Some(Support::Endless));
    assert_eq!(support("wolfi", Some("20230201"), ""), Some(Support::Endless));
}

#[test]
fn only_distributions_are_kept_and_read_back() {
    let stored = table().content();
    assert!(!String::from_utf8_lossy(&stored).contains("nextjs"));
    assert_eq!(EndOfLife::from_content(&stored, table().date).unwrap(), table());
}

#[test]
fn a_document_without_distributions_is_none() {
    let date = TableDate(at("2026-06-01T00:00:00Z"));
    for document in ["", "[]", "{}", r#"{"nextjs": {"releases": []}}"#, r#"{"debian": 7}"#] {
        assert!(EndOfLife::read(document.as_bytes(), date).is_err(), "{document:?}");
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn the_published_table_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/eol/endoflife.json");
    let Ok(document) = std::fs::read(path) else {
        eprintln!("SKIPPED: there is no {path}");
        return;
    };
    let table = EndOfLife::read(&document, TableDate(at("2026-08-22T00:00:00Z"))).unwrap();
    let lacking: Vec<&str> = PRODUCTS
        .iter()
        .flat_map(|(product, ids)| ids.iter().map(move |id| (*product, *id)))
        .filter(|(_, id)| !table.distributions.contains_key(*id))
        .map(|(product, _)| product)
        .collect();
    assert!(lacking.iter().all(|product| *product == "azure-linux"), "{lacking:?}");
    let debian = Distribution {
        id: "debian".to_owned(),
        version_id: Some("12".to_owned()),
        ..Distribution::default()
    };
    assert_eq!(table.support(&debian), Some(Support::Until(at("2026-07-12T00:00:00Z"))));
    assert!(table.content().len() < 32 << 10);
}

#[test]
fn the_document_of_the_publisher_says_of_when_it_is() {
    let document = json!({
        "schema_version": "1.2.0",
        "generated_at": "2026-06-02T10:00:00+00:00",
        "total": 2,
        "result": [
            {"name": "debian", "releases": [
                {"name": "12", "isEol": false, "eolFrom": "2026-07-11"},
                {"name": "10", "isEol": true, "eolFrom": "2022-09-10"},
                {"name": "9", "isEol": true},
                {"name": "13", "isEol": false, "eolFrom": null},
            ]},
            {"name": "nextjs", "releases": [{"name": "16", "isEol": false}]},
        ],
    });
    let fetched = TableDate(at("2026-06-03T00:00:00Z"));
    let table = EndOfLife::read(document.to_string().as_bytes(), fetched).unwrap();
    assert_eq!(table.date, TableDate(at("2026-06-02T10:00:00Z")));
    let support = |release: &str| {
        let version_id = Some(release.to_owned());
        table.support(&Distribution { id: "debian".to_owned(), version_id, ..Distribution::default() })
    };
    assert_eq!(support("12"), Some(Support::Until(at("2026-07-12T00:00:00Z"))));
    assert_eq!(support("10"), Some(Support::Until(at("2022-09-11T00:00:00Z"))));
    assert_eq!((support("9"), support("13")), (Some(Support::Ended), Some(Support::Endless)));
    assert_eq!(table.releases(), 4);
}

#[test]
fn what_is_stored_says_nothing_of_when_the_table_is() {
    let newer = EndOfLife { date: TableDate(at("2026-06-08T00:00:00Z")), ..table() };
    assert_eq!(newer.content(), table().content());
    assert_eq!(newer.version().content, table().version().content);
    assert_eq!(EndOfLife::from_content(&table().content(), newer.date).unwrap(), newer);
}
