//! The description of the routes, made from the operations and the types of the answers.
//!
//! Specification: <https://spec.openapis.org/oas/v3.1.1.html>

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use tidewatch_core::result::ResultState;

use super::operation::{Kind, Operation, Parameter};
use crate::results::{DEFAULT_ROWS, MOST_ROWS};

/// The refusals of every operation: status, name of the answer, what it means.
const REFUSALS: [(&str, &str, &str); 7] = [
    ("400", "BadRequest", "A parameter is wrong."),
    ("401", "Unauthorized", "There is no token, or it is not good."),
    ("403", "Forbidden", "The token does not allow `results:read` on this organisation."),
    ("404", "NotFound", "What is asked for is not there."),
    ("405", "MethodNotAllowed", "The method is not GET."),
    ("406", "TooLarge", "The answer is too large to be sent as it is asked for: take gzip, or ask for less."),
    ("503", "Unavailable", "The results cannot be read now."),
];

/// The OpenAPI document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let paths: Map<String, Value> = Operation::ALL
        .into_iter()
        .map(|operation| (operation.path().to_owned(), json!({"get": described(operation, &mut generator)})))
        .collect();
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Error".to_owned(), error());
    let refusals: Map<String, Value> =
        REFUSALS.iter().map(|(_, name, meaning)| ((*name).to_owned(), refusal(meaning))).collect();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Tidewatch: results",
            "version": "1",
            "description": "What is known of the images of an organisation, and the rows behind the numbers of its metrics. Lists come in pages: ask again with `next` until it is null. Fields are added; what is there keeps its meaning.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token with the scope results:read: tidewatch token create --scope results:read",
                },
            },
        },
    })
}

fn described(operation: Operation, generator: &mut SchemaGenerator) -> Value {
    let parameters: Vec<Value> = operation.parameters().iter().map(parameter).collect();
    let answer: Schema = operation.answer(generator);
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": operation.summary(),
            "content": {"application/json": {"schema": answer}},
        }),
    );
    for (status, name, _) in REFUSALS {
        responses.insert(status.to_owned(), json!({"$ref": format!("#/components/responses/{name}")}));
    }
    json!({
        "operationId": operation.id(),
        "summary": operation.summary(),
        "parameters": parameters,
        "responses": responses,
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let states = ResultState::ALL.map(ResultState::as_str);
    let schema = match parameter.kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Flag => json!({"type": "boolean", "default": false}),
        Kind::Limit => {
            json!({"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": DEFAULT_ROWS})
        }
        Kind::State => json!({"type": "string", "enum": states}),
    };
    json!({
        "name": parameter.name,
        "in": if parameter.in_path { "path" } else { "query" },
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": schema,
    })
}

fn error() -> Value {
    json!({
        "type": "object",
        "description": "Why there is no answer.",
        "required": ["code", "message"],
        "properties": {
            "code": {"type": "string", "description": "A word for programs."},
            "message": {"type": "string", "description": "The same for people."},
        },
    })
}

fn refusal(meaning: &str) -> Value {
    json!({
        "description": meaning,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    })
}
