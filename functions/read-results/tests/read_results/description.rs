//! The OpenAPI document is held against the routes and against real answers.

use serde_json::Value;
use tidewatch_read_results::openapi;

use crate::requests::{PATHS, body, request, world};

/// The validator of a schema of the document.
fn validator(schema: &Value) -> jsonschema::Validator {
    let mut root = schema.clone();
    // References lead into the document.
    root["components"] = openapi()["components"].clone();
    jsonschema::draft202012::new(&root).unwrap()
}

fn assert_valid(schema: &Value, answer: &Value, what: &str) {
    let validator = validator(schema);
    let errors: Vec<String> =
        validator.iter_errors(answer).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{answer:#}");
}

/// The path of the document that a request is about.
fn described(path: &str) -> String {
    let path = path.split('?').next().unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    match &parts[..] {
        ["", "v1", "org", _, list @ ("policies" | "vulnerabilities"), _] => {
            format!("/v1/org/{{org}}/{list}/{{id}}")
        }
        ["", "v1", "org", _, list] => format!("/v1/org/{{org}}/{list}"),
        _ => panic!("{path}"),
    }
}

#[test]
fn the_document_in_the_documentation_is_what_the_code_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(written == openapi(), "docs/openapi.json is not what the code says: run `make docs`");
}

#[tokio::test]
async fn the_document_is_served_to_everybody() {
    let world = world().await;
    let response = world.function().handle(&request("GET", "/v1/openapi.json", &[])).await;
    assert_eq!((response.status_code, body(&response)), (200, openapi()));
    let posted = world.function().handle(&request("POST", "/v1/openapi.json", &[])).await;
    assert_eq!(posted.status_code, 405);
}

#[tokio::test]
async fn every_path_of_the_document_is_answered_as_it_says() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.issue("acme", 1, |_| {}).await.reveal());
    let document = openapi();
    let paths = document["paths"].as_object().unwrap();
    let mut asked: Vec<String> = PATHS.iter().map(|path| described(path)).collect();
    asked.sort();
    assert_eq!(asked, paths.keys().cloned().collect::<Vec<_>>(), "a path that is not asked for");
    for path in PATHS {
        let response = world.function().handle(&request("GET", path, &[("authorization", &bearer)])).await;
        assert_eq!(response.status_code, 200, "{path}");
        let schema =
            &paths[&described(path)]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        assert_valid(schema, &body(&response), path);
    }
}

#[tokio::test]
async fn every_refusal_is_of_the_shape_and_status_that_the_document_says() {
    let world = world().await;
    let bearer = format!("Bearer {}", world.issue("acme", 1, |_| {}).await.reveal());
    let other = format!("Bearer {}", world.issue("other", 2, |_| {}).await.reveal());
    let document = openapi();
    let asked = [
        ("GET", "/v1/org/acme/images?limit=0", bearer.as_str(), 400),
        ("GET", "/v1/org/acme/images", "", 401),
        ("GET", "/v1/org/acme/images", other.as_str(), 403),
        ("GET", "/v1/org/acme/images?stream=none", bearer.as_str(), 404),
        ("POST", "/v1/org/acme/images", bearer.as_str(), 405),
    ];
    for (method, path, authorization, status) in asked {
        let response =
            world.function().handle(&request(method, path, &[("authorization", authorization)])).await;
        assert_eq!(response.status_code, status, "{method} {path}");
        let responses = &document["paths"]["/v1/org/{org}/images"]["get"]["responses"];
        let named = responses[status.to_string()]["$ref"].as_str().expect("a described refusal");
        let refusal = document.pointer(named.trim_start_matches('#')).unwrap();
        assert_valid(&refusal["content"]["application/json"]["schema"], &body(&response), path);
    }
}

/// What the test is worth: an answer of another shape is noticed.
#[test]
fn an_answer_that_lacks_a_field_is_noticed() {
    let document = openapi();
    let schema = &document["paths"]["/v1/org/{org}/streams"]["get"]["responses"]["200"]["content"]["application/json"]
        ["schema"];
    assert!(validator(schema).is_valid(&serde_json::json!({"streams": []})));
    assert!(!validator(schema).is_valid(&serde_json::json!({"streams": [{"name": "latest-indexed"}]})));
    assert!(!validator(schema).is_valid(&serde_json::json!({})));
}
