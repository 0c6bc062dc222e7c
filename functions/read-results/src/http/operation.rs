//! What can be asked for: the one list from which requests are told apart and the description is made.

use schemars::{Schema, SchemaGenerator};

use crate::documents::{Explanation, ImagePage, Images, PolicyPage, Streams, VulnerabilityPage};

/// Something that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Images,
    Image,
    Policy,
    Explain,
    Streams,
    Vulnerability,
}

/// A parameter of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// Part of the path, and not of the query.
    pub(crate) in_path: bool,
    pub(crate) is_required: bool,
    pub(crate) kind: Kind,
}

/// What the value of a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Flag,
    Limit,
    State,
}

const ORG: Parameter = in_path("org", "The organisation; the token must be one of it.");
const STREAM: Parameter = query("stream", Kind::Text, "The stream; `latest-indexed` where none is named.");
const LIMIT: Parameter = query("limit", Kind::Limit, "The most rows of the page.");
const NEXT: Parameter =
    query("next", Kind::Text, "What `next` of the page before says; none for the first page.");

const REFERENCE: Parameter = Parameter {
    is_required: true,
    ..query(
        "ref",
        Kind::Text,
        "Which image: `REGISTRY/REPOSITORY[:TAG][@DIGEST]`, or the digest of the manifest of a platform.",
    )
};
const SERIES: Parameter = Parameter {
    is_required: true,
    ..query(
        "series",
        Kind::Text,
        "The series, as Prometheus writes it: `scout_stream_vulnerabilities{streamName=\"latest-indexed\",severity=\"CRITICAL\"}`.",
    )
};
const IMAGES: &[Parameter] = &[
    ORG,
    STREAM,
    query("state", Kind::State, "Only images in this state."),
    query(
        "repository",
        Kind::Text,
        "Only images whose `repository:tag` matches this pattern: `team/**`, `*:1.*`.",
    ),
    query("with", Kind::Text, "Only images that have the vulnerability with this id, alias or advisory."),
    LIMIT,
    NEXT,
];
const POLICY: &[Parameter] = &[
    ORG,
    in_path("id", "The id of the policy."),
    STREAM,
    query("failing", Kind::Flag, "Only images that fail it."),
    LIMIT,
    NEXT,
];
const VULNERABILITY: &[Parameter] =
    &[ORG, in_path("id", "The id of the vulnerability, an alias, or an advisory."), STREAM, LIMIT, NEXT];

const fn query(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter { name, description, in_path: false, is_required: false, kind }
}

const fn in_path(name: &'static str, description: &'static str) -> Parameter {
    Parameter { in_path: true, is_required: true, ..query(name, Kind::Text, description) }
}

/// A request for an operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    pub(crate) operation: Operation,
    pub(crate) org: String,
    pub(crate) id: Option<String>,
}

impl Operation {
    pub(crate) const ALL: [Self; 6] =
        [Self::Images, Self::Image, Self::Policy, Self::Explain, Self::Streams, Self::Vulnerability];

    /// Its path, with names in braces for what is put there.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Images => "/v1/org/{org}/images",
            Self::Image => "/v1/org/{org}/image",
            Self::Policy => "/v1/org/{org}/policies/{id}",
            Self::Explain => "/v1/org/{org}/explain",
            Self::Streams => "/v1/org/{org}/streams",
            Self::Vulnerability => "/v1/org/{org}/vulnerabilities/{id}",
        }
    }

    /// Its name in the description.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Images => "listImages",
            Self::Image => "getImage",
            Self::Policy => "listImagesByPolicy",
            Self::Explain => "explain",
            Self::Streams => "listStreams",
            Self::Vulnerability => "listImagesByVulnerability",
        }
    }

    /// What it gives.
    pub(crate) const fn summary(self) -> &'static str {
        match self {
            Self::Images => "The images of a stream",
            Self::Image => "All that is known of an image, on each platform",
            Self::Policy => "The images of a stream, with what a policy says of them",
            Self::Explain => "The rows behind a number of the metrics",
            Self::Streams => "The streams, with their numbers as they were last rolled up",
            Self::Vulnerability => "The images of a stream that have a vulnerability",
        }
    }

    /// Its parameters.
    pub(crate) const fn parameters(self) -> &'static [Parameter] {
        match self {
            Self::Images => IMAGES,
            Self::Image => &[ORG, REFERENCE],
            Self::Policy => POLICY,
            Self::Explain => &[ORG, SERIES, LIMIT, NEXT],
            Self::Streams => &[ORG],
            Self::Vulnerability => VULNERABILITY,
        }
    }

    /// The schema of the answer.
    pub(crate) fn answer(self, generator: &mut SchemaGenerator) -> Schema {
        match self {
            Self::Images => generator.subschema_for::<ImagePage>(),
            Self::Image => generator.subschema_for::<Images>(),
            Self::Policy => generator.subschema_for::<PolicyPage>(),
            Self::Explain => generator.subschema_for::<Explanation>(),
            Self::Streams => generator.subschema_for::<Streams>(),
            Self::Vulnerability => generator.subschema_for::<VulnerabilityPage>(),
        }
    }

    /// What a path asks for; `None` when there is nothing.
    pub(crate) fn of_path(path: &str) -> Option<Matched> {
        Self::ALL.into_iter().find_map(|operation| {
            let (mut org, mut id) = (None, None);
            let (mut parts, mut wanted) = (path.split('/'), operation.path().split('/'));
            loop {
                match (wanted.next(), parts.next()) {
                    (None, None) => return Some(Matched { operation, org: org?, id }),
                    (Some("{org}"), Some(part)) if !part.is_empty() => org = Some(part.to_owned()),
                    (Some("{id}"), Some(part)) if !part.is_empty() => id = Some(part.to_owned()),
                    (Some(wanted), Some(part)) if wanted == part => {}
                    _ => return None,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_leads_to_its_operation_and_nothing_else_does() {
        for operation in Operation::ALL {
            let path = operation.path().replace("{org}", "acme").replace("{id}", "CVE-2023-1");
            let id = operation.path().contains("{id}").then(|| "CVE-2023-1".to_owned());
            assert_eq!(Operation::of_path(&path), Some(Matched { operation, org: "acme".to_owned(), id }));
            for wrong in
                [format!("{path}/"), format!("{path}/x"), format!("/{path}"), path.replace("acme", "")]
            {
                assert_eq!(Operation::of_path(&wrong), None, "{wrong}");
            }
        }
        assert_eq!(Operation::of_path("/v1/org/acme/policies"), None);
        assert_eq!(Operation::of_path("/v1/org/acme"), None);
    }

    #[test]
    fn the_parameters_of_a_path_are_those_in_its_braces() {
        for operation in Operation::ALL {
            let in_path = operation.parameters().iter().filter(|parameter| parameter.in_path);
            let braces: Vec<String> = in_path.map(|parameter| format!("{{{}}}", parameter.name)).collect();
            let there: Vec<&str> = operation.path().split('/').filter(|part| part.starts_with('{')).collect();
            assert_eq!(braces, there);
        }
    }
}
