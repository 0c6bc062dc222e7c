//! VEX documents that lie in an image, `NAME.vex.json` or `NAME.openvex.json`: what their authors say of vulnerabilities.
//!
//! Where they are looked for: <https://docs.docker.com/scout/how-tos/create-exceptions-vex/>.

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::lenient_json;
use crate::reading::openvex::OpenVex;
use crate::reading::{InputFile, Reading};

pub(super) const READER: Reader = Reader {
    id: "openvex",
    paths: &[PathPattern::new("**/*.vex.json"), PathPattern::new("**/*.openvex.json")],
    // It proves no packages, and gives none.
    evidence: Evidence::About,
    file_bytes: 4 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let document = reading.problems.ok_or_add(lenient_json::parse_kept::<OpenVex>(file.bytes));
    reading.vex.extend(document.and_then(|document| document.document(&mut reading.problems)));
    reading
}

#[cfg(test)]
mod tests {
    use tidewatch_core::vex::VexStatus;

    use super::*;
    use crate::reading::file;

    fn read_text(text: &str) -> Reading {
        read(&file("app/app.vex.json", text.as_bytes()))
    }

    #[test]
    fn a_document_says_what_of_which_products_and_why() {
        let reading = read_text(
            r#"{
  "@context": "https://openvex.dev/ns/v0.2.0",
  "@id": "https://openvex.dev/docs/public/vex-2e67563e128250cbcb3e98930df948dd053e43271d70dc50cfa22d57e03fe96f",
  "author": "Security <security@example.org>",
  "role": "Document Creator",
  "timestamp": "2023-01-08T18:02:03.647787998-06:00",
  "version": 1,
  "tooling": "vexctl",
  "statements": [
    {
      "vulnerability": {
        "@id": "https://nvd.nist.gov/vuln/detail/CVE-2019-17571",
        "name": "CVE-2019-17571",
        "description": "Deserializes untrusted data.",
        "aliases": ["GHSA-2qrg-x229-3v8q", "DSA-4686-1"]
      },
      "timestamp": "2023-02-01T00:00:00Z",
      "products": [
        {
          "@id": "pkg:docker/example/app@1.0",
          "identifiers": {"purl": "pkg:docker/example/app@1.0", "cpe23": "cpe:2.3:a:example:app:1.0:*:*:*:*:*:*:*"},
          "hashes": {"sha-256": "402fa523b96591d4450ace90e32d9f779fcfd938903e1c5bf9d3701860b8f856"},
          "subcomponents": [{"@id": "pkg:maven/log4j/log4j@1.2.17"}, {"identifiers": {"purl": "pkg:maven/log4j/extras@1.2"}}]
        }
      ],
      "status": "not_affected",
      "justification": "vulnerable_code_not_in_execute_path",
      "impact_statement": "The server is never started."
    },
    {
      "vulnerability": {"name": "CVE-2023-12345"},
      "products": [{"@id": "pkg:apk/wolfi/git@2.39.0-r1?arch=armv7"}, {"@id": "pkg:apk/wolfi/git@2.39.0-r1?arch=x86_64"}],
      "status": "fixed"
    }
  ]
}"#,
        );
        insta::assert_json_snapshot!(reading.vex);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn a_document_of_an_older_version_has_names_in_place_of_objects() {
        let reading = read_text(
            r#"{"@context": "https://openvex.dev/ns", "@id": "x", "author": "a", "timestamp": "2023-01-08T18:02:03Z", "version": "1",
                "statements": [{"vulnerability": "CVE-2023-1255", "products": ["pkg:oci/app@sha256%3Aabc", "pkg:oci/other"],
                                "subcomponents": ["pkg:apk/alpine/openssl@3.0.8"], "status": "under_investigation"}]}"#,
        );
        insta::assert_json_snapshot!(reading.vex);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn what_is_no_openvex_document_is_a_problem() {
        for text in ["{}", r#"{"document": {"category": "csaf_vex"}}"#, r#"{"bomFormat": "CycloneDX"}"#] {
            let reading = read_text(text);
            assert!(reading.vex.is_empty());
            assert_eq!(reading.problems.into_reasons(), ["is no OpenVEX document"]);
        }
        assert_eq!(read_text("{\"@context\": ").problems.into_reasons().len(), 1);
    }

    fn with_statements(statements: &str) -> Reading {
        read_text(&format!(
            r#"{{"@context": "https://openvex.dev/ns/v0.2.0", "timestamp": "soon", "statements": {statements}}}"#
        ))
    }

    #[test]
    fn a_statement_that_cannot_be_used_is_a_problem_and_the_others_count() {
        let reading = with_statements(
            r#"[{"status": "fixed"}, {"vulnerability": "CVE-1", "status": "Fixed"}, 5,
                {"vulnerability": "CVE-2", "status": "not_affected", "justification": "because"},
                {"vulnerability": {"name": "CVE-3", "aliases": [1, "GHSA-3"]}, "status": "affected", "products": [{}, 1, ""], "timestamp": "2023"}]"#,
        );
        let statements = &reading.vex[0].statements;
        let found: Vec<_> =
            statements.iter().map(|statement| (statement.vulnerability.as_str(), statement.status)).collect();
        assert_eq!(found, [("CVE-2", VexStatus::NotAffected)]);
        assert_eq!(statements[0].justification, None);
        insta::assert_json_snapshot!(reading.problems.into_reasons());
    }

    #[test]
    fn statements_and_names_have_a_limit_and_words_are_cut() {
        let statement = r#"{"vulnerability": "CVE-1", "status": "fixed"}"#;
        let reading = with_statements(&format!("[{}{statement}]", format!("{statement},").repeat(10_000)));
        assert_eq!(reading.vex[0].statements.len(), 10_000);
        assert!(reading.problems.into_reasons()[1].contains("the first 10000 statements were read"));
        // 1 + 150 products with 150 parts each are 22,651 names.
        let parts = format!("{}\"p\"", "\"p\",".repeat(149));
        let statement = format!(
            r#"{{"vulnerability": {{"name": "CVE-1", "aliases": ["A"]}}, "status": "fixed", "products": [{parts}],
                 "subcomponents": [{parts}], "impact_statement": "{}\u001b"}}"#,
            "x".repeat(5000)
        );
        let reading = with_statements(&format!("[{statement}, {statement}, {statement}]"));
        let statements = &reading.vex[0].statements;
        assert_eq!((statements.len(), statements[1].products.len()), (2, 150));
        assert_eq!(statements[0].impact_statement.as_ref().unwrap().len(), 1000);
        assert!(reading.problems.into_reasons()[1].contains("the first 2 statements were read"));
    }

    #[test]
    fn a_product_or_part_that_cannot_be_told_widens_no_statement() {
        let reading = with_statements(
            r#"[{"vulnerability": "CVE-1", "status": "fixed", "products": [{"@id": "a", "subcomponents": [{}]}, {"@id": "b"}]},
                {"vulnerability": "CVE-2", "status": "fixed", "products": [{"hashes": {"sha-256": "00"}}]},
                {"vulnerability": "CVE-3", "status": "fixed", "products": ["a"], "subcomponents": [5]},
                {"vulnerability": "CVE-4", "status": "fixed"}]"#,
        );
        let found: Vec<_> = reading.vex[0]
            .statements
            .iter()
            .map(|statement| (statement.vulnerability.as_str(), statement.products.len()))
            .collect();
        assert_eq!(found, [("CVE-1", 1), ("CVE-4", 0)]);
        assert_eq!(
            reading.problems.into_reasons(),
            [
                "has a time that cannot be read",
                "names no product of CVE-2 that can be told",
                "names no product of CVE-3 that can be told"
            ]
        );
    }
}
