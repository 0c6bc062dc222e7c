//! The fields of log events, as they stand in the source: a JSON line has each key once, so none is called like the keys
//! that every line has.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use syn::Macro;
use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};

/// The keys that every line has.
const RESERVED: [&str; 4] = ["timestamp", "level", "message", "span"];

/// The macros of tracing that make events or spans.
const MACROS: [&str; 10] = [
    "error",
    "warn",
    "info",
    "debug",
    "trace",
    "error_span",
    "warn_span",
    "info_span",
    "debug_span",
    "trace_span",
];

/// The names of fields in the macros of one file.
#[derive(Default)]
struct Fields(Vec<String>);

impl Visit<'_> for Fields {
    fn visit_macro(&mut self, node: &Macro) {
        let names: Vec<String> = node.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if matches!(&names[..], [tracing, name] if tracing == "tracing" && MACROS.contains(&name.as_str())) {
            self.0.extend(fields(TokenBuffer::new2(node.tokens.clone()).begin()));
        }
        visit::visit_macro(self, node);
    }
}

/// The names in `a.b = value, %c, d`.
fn fields(mut cursor: Cursor<'_>) -> Vec<String> {
    let (mut fields, mut name, mut in_value) = (Vec::new(), String::new(), false);
    while let Some((token, rest)) = cursor.token_tree() {
        let text = token.to_string();
        match text.as_str() {
            "," => {
                fields.extend(Some(std::mem::take(&mut name)).filter(|name| !name.is_empty()));
                in_value = false;
            }
            "=" => in_value = true,
            // How a value is written, or a target, which is no field.
            "%" | "?" => {}
            // A literal is the message.
            text if !in_value && !text.starts_with('"') => name.push_str(text),
            _ => {}
        }
        cursor = rest;
    }
    fields.extend(Some(name).filter(|name| !name.is_empty()));
    fields
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_field_of_a_log_event_is_called_like_a_key_that_every_line_has() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut files, mut count, mut wrong) = (Vec::new(), 0, Vec::new());
    for folder in ["functions", "shared", "infra"] {
        sources(&checkout.join(folder), &mut files);
    }
    for file in files {
        let mut found = Fields::default();
        found.visit_file(&syn::parse_file(&std::fs::read_to_string(&file).unwrap()).unwrap());
        count += found.0.len();
        let reserved = found.0.into_iter().filter(|name| RESERVED.contains(&name.as_str()));
        wrong.extend(reserved.map(|name| format!("{}: {name}", file.display())));
    }
    assert!(count > 50, "the search finds only {count} fields");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_search_finds_fields_in_every_form() {
    let source = r#"fn f() { tracing::warn!(level = 1, queue.name = %name(a, b), ?error, span, "words"); }"#;
    let mut found = Fields::default();
    found.visit_file(&syn::parse_file(source).unwrap());
    assert_eq!(found.0, ["level", "queue.name", "error", "span"]);
}
