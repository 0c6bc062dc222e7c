//! A registry in the configuration.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::GoogleFederation;
use crate::config::RateConfig;
use crate::names::{RegistryId, RepositoryName};

/// A registry to read images from. Which keys a kind takes, and what rights its credentials need, says
/// [REGISTRIES.md](REGISTRIES.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Registry")]
pub struct RegistryConfig {
    /// Its name in rules and tables.
    pub id: RegistryId,
    /// Which product it is.
    pub kind: RegistryKind,
    /// `https://HOST[:PORT]`, or `http://HOST[:PORT]` for a registry without TLS: plain HTTP is spoken only where it
    /// stands here. No path, no user. Docker Hub, Quay (quay.io) and the registries of Amazon have one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^https?://[^/?#@ ]+/*$"))]
    pub url: Option<String>,
    /// Where in the registry to look for repositories: namespaces of Docker Hub (needed there), organisations of Quay (needed
    /// there), projects of Harbor and OpenShift, repository keys of Artifactory, and `PROJECT` or `PROJECT/REPOSITORY` of
    /// Google (needed there).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Read these repositories, instead of those that the registry lists: for a registry that does not list them
    /// (`/v2/_catalog`), or to read only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<RepositoryName>,
    /// Where the credentials are. Without it the registry is read anonymously, and Amazon ECR with the rights of the
    /// process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Where other credentials are, for the API that lists: the token of an OAuth application of Quay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_credentials: Option<Credentials>,
    /// Where certificates (PEM) are of authorities that the registry's own certificate is signed by, besides those that are
    /// known everywhere. Named as credentials are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Credentials>,
    /// The account of AWS that the registry belongs to, 12 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]{12}$"))]
    pub account: Option<String>,
    /// The region of AWS that the registry is in; of Google, the location, where its host does not begin with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[a-z0-9-]+$"))]
    pub region: Option<String>,
    /// The role of AWS to read it in, where it belongs to another account: `infra/aws/ecr-member.yaml` makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^arn:[a-z-]+:iam::[0-9]{12}:role/.+$"))]
    pub role_arn: Option<String>,
    /// The external id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The tenant of Microsoft Entra to whose service principal the credentials belong, `APPLICATION-ID:SECRET`. Without it
    /// they are a user, a token or a service principal of the registry itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_tenant: Option<String>,
    /// Read it without a key of Google's, as the process is known to AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_federation: Option<GoogleFederation>,
    /// Where the API is that lists, when it is not where the product has it: the Kubernetes API of OpenShift (needed there).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^https?://[^/?#@ ]+/*$"))]
    pub api_url: Option<String>,
    /// Who hands out tokens, when that is not whom the product has for it: Microsoft Entra of another cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^https?://[^/?#@ ]+/*$"))]
    pub authority_url: Option<String>,
    /// Ask for attestations that were attached to an image after it was built (OCI referrers of its platform's manifest), once,
    /// when it is first scanned: one more request for each image. Those that BuildKit puts into an index are read without being asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub referrers: bool,
    /// How many requests all workers together may make. Without it they make as many as they have work for, and wait only
    /// where the registry says so (`Retry-After`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateConfig>,
}

/// The product behind a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "Kind of registry")]
pub enum RegistryKind {
    /// Docker Hub.
    DockerHub,
    /// Azure Container Registry.
    Acr,
    /// Amazon Elastic Container Registry: one account in one region.
    Ecr,
    /// Amazon ECR Public.
    EcrPublic,
    /// Quay: quay.io, or one of your own.
    Quay,
    /// Google Artifact Registry, also behind the hosts of gcr.io.
    Google,
    /// Harbor 2.
    Harbor,
    /// `JFrog` Artifactory.
    Jfrog,
    /// The registry within OpenShift 4.
    Openshift,
    /// Any registry that speaks the [OCI distribution
    /// specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md): Distribution, GitHub, Gitea,
    /// GitLab, Nexus, Zot and the like. Basic and Bearer (token server) challenges are answered.
    Oci,
}

/// Where the credentials of a registry are. They never stand in the configuration itself.
///
/// The text found there is `USER:PASSWORD`, where a kind does not want another form. It is split at its first colon; a
/// newline at its end is dropped. The process
/// that reads the registry looks it up each time it turns to the registry, so a changed file is used without a restart.
/// Variables and files are read in local mode only, secrets of AWS when deployed only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Credentials {
    /// In the environment variable of this name, of the process that reads the registry.
    #[schemars(extend("examples" = [{"env": "REGISTRY_LOGIN"}]))]
    Env(String),
    /// In the file at this path, on the machine that reads the registry.
    #[schemars(extend("examples" = [{"file": "/run/secrets/registry"}]))]
    File(String),
    /// In AWS Secrets Manager, under this name or ARN. The text may also be JSON with `username` and `password`. It is
    /// read again after five minutes.
    #[schemars(extend("examples" = [{"secret": "tidewatch/registry"}]))]
    Secret(String),
}

/// The keys that not every kind takes.
const SOME_TAKE: [&str; 13] = [
    "url",
    "namespaces",
    "credentials",
    "api_credentials",
    "ca",
    "account",
    "region",
    "role_arn",
    "external_id",
    "azure_tenant",
    "google_federation",
    "api_url",
    "authority_url",
];

/// What a kind takes or needs besides what every kind takes.
struct Keys {
    /// Has to be there.
    needed: &'static [&'static str],
    /// May be there.
    taken: &'static [&'static str],
}

impl RegistryKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::DockerHub,
        Self::Acr,
        Self::Ecr,
        Self::EcrPublic,
        Self::Quay,
        Self::Google,
        Self::Harbor,
        Self::Jfrog,
        Self::Openshift,
        Self::Oci,
    ];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DockerHub => "docker-hub",
            Self::Acr => "acr",
            Self::Ecr => "ecr",
            Self::EcrPublic => "ecr-public",
            Self::Quay => "quay",
            Self::Google => "google",
            Self::Harbor => "harbor",
            Self::Jfrog => "jfrog",
            Self::Openshift => "openshift",
            Self::Oci => "oci",
        }
    }

    /// The keys that it has to have.
    pub const fn needed(self) -> &'static [&'static str] {
        self.keys().needed
    }

    /// The keys that other kinds take, and this one does not.
    pub fn refused(self) -> impl Iterator<Item = &'static str> {
        let Keys { needed, taken } = self.keys();
        SOME_TAKE.into_iter().filter(move |key| !needed.contains(key) && !taken.contains(key))
    }

    const fn keys(self) -> Keys {
        let (needed, taken): (&'static [_], &'static [_]) = match self {
            Self::DockerHub => (&["namespaces"], &["url", "credentials", "api_url"]),
            Self::Acr => (&["url"], &["credentials", "ca", "azure_tenant", "authority_url"]),
            Self::Ecr => (&["account", "region"], &["url", "role_arn", "external_id"]),
            Self::EcrPublic => (&[], &["url"]),
            Self::Quay => (&["namespaces"], &["url", "credentials", "api_credentials", "ca"]),
            Self::Google => (
                &["url", "namespaces"],
                &["credentials", "region", "google_federation", "api_url", "authority_url"],
            ),
            Self::Harbor | Self::Jfrog => (&["url"], &["namespaces", "credentials", "ca"]),
            Self::Openshift => (&["url", "api_url"], &["namespaces", "credentials", "ca"]),
            Self::Oci => (&["url"], &["credentials", "ca"]),
        };
        Keys { needed, taken }
    }

    /// The URL of its own that a kind has.
    const fn own_url(self) -> &'static str {
        match self {
            Self::DockerHub => "https://registry-1.docker.io",
            Self::EcrPublic => "https://public.ecr.aws",
            Self::Quay => "https://quay.io",
            _ => "",
        }
    }
}

impl RegistryConfig {
    /// A registry of which nothing is said but what it is: the other keys are empty.
    pub const fn new(id: RegistryId, kind: RegistryKind, url: Option<String>) -> Self {
        Self {
            id,
            kind,
            url,
            namespaces: Vec::new(),
            repositories: Vec::new(),
            credentials: None,
            api_credentials: None,
            ca: None,
            account: None,
            region: None,
            role_arn: None,
            external_id: None,
            azure_tenant: None,
            google_federation: None,
            api_url: None,
            authority_url: None,
            referrers: false,
            rate: None,
        }
    }

    /// Where the registry is: what the configuration says, else where its kind is, without a slash at the end. Empty where
    /// neither is known.
    pub fn address(&self) -> Cow<'_, str> {
        match (&self.url, &self.account, &self.region) {
            (Some(url), ..) => url.trim_end_matches('/').into(),
            (None, Some(account), Some(region)) if self.kind == RegistryKind::Ecr => {
                let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                format!("https://{account}.dkr.ecr.{region}.{domain}").into()
            }
            _ => self.kind.own_url().into(),
        }
    }

    /// The keys that are there, of those that not every kind takes, with the URLs among them.
    fn keys(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        let text = |key, value: &'_ Option<String>| value.is_some().then_some(key);
        let urls = [("url", &self.url), ("api_url", &self.api_url), ("authority_url", &self.authority_url)];
        let urls = urls.into_iter().filter_map(|(key, url)| Some((key, Some(url.as_deref()?))));
        let others = [
            (!self.namespaces.is_empty()).then_some("namespaces"),
            self.credentials.is_some().then_some("credentials"),
            self.api_credentials.is_some().then_some("api_credentials"),
            self.ca.is_some().then_some("ca"),
            text("account", &self.account),
            text("region", &self.region),
            text("role_arn", &self.role_arn),
            text("external_id", &self.external_id),
            text("azure_tenant", &self.azure_tenant),
            self.google_federation.is_some().then_some("google_federation"),
        ];
        urls.chain(others.into_iter().flatten().map(|key| (key, None)))
    }

    /// Everything that is wrong with it, by the key, which may be missing.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let (kind, keys) = (self.kind.as_str(), self.kind.keys());
        let there: Vec<&str> = self.keys().map(|(key, _)| key).collect();
        let missing = keys.needed.iter().filter(|key| !there.contains(key));
        let mut problems: Vec<(&str, String)> = missing
            .map(|key| {
                (*key, format!("a registry of kind {kind} needs `{key}`: {}", meaning(self.kind, key)))
            })
            .collect();
        if self.kind == RegistryKind::EcrPublic && self.repositories.is_empty() {
            let reason = "it lists none, so that the ones to read have to be named, as ALIAS/REPOSITORY";
            problems
                .push(("repositories", format!("a registry of kind {kind} needs `repositories`: {reason}")));
        }
        for (key, url) in self.keys() {
            if !keys.needed.contains(&key) && !keys.taken.contains(&key) {
                problems.push((key, format!("a registry of kind {kind} takes no `{key}`")));
            } else if let Some(message) = url.and_then(wrong_url) {
                problems.push((key, message));
            }
        }
        let wrong = |key, pattern: &str, value: &Option<String>, form: &str| {
            let is_wrong =
                |value: &&String| !regex::Regex::new(pattern).is_ok_and(|form| form.is_match(value));
            value.as_ref().filter(is_wrong).map(|value| (key, format!("{value:?} is not {form}")))
        };
        problems.extend(wrong("account", "^[0-9]{12}$", &self.account, "an account of AWS: 12 digits"));
        problems.extend(wrong("region", "^[a-z0-9-]+$", &self.region, "a region of AWS, such as eu-west-1"));
        let role = "the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME";
        problems.extend(wrong("role_arn", "^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", &self.role_arn, role));
        if self.external_id.is_some() && self.role_arn.is_none() {
            problems.push(("external_id", "it is asked for by a role: name that as `role_arn`".to_owned()));
        }
        if self.google_federation.is_some() && self.credentials.is_some() {
            problems.push(("credentials", "with `google_federation` no credentials are used".to_owned()));
        }
        problems
    }
}

/// What a key that is needed is for.
const fn meaning(kind: RegistryKind, key: &str) -> &'static str {
    match (kind, key.as_bytes()) {
        (RegistryKind::DockerHub, b"namespaces") => "the users or organisations whose repositories to read",
        (RegistryKind::Quay, b"namespaces") => "the organisations or users whose repositories to read",
        (RegistryKind::Google, b"namespaces") => "PROJECT or PROJECT/REPOSITORY to read",
        (_, b"account") => "the account of AWS that it belongs to",
        (_, b"region") => "the region of AWS that it is in",
        (_, b"api_url") => "the URL of the Kubernetes API, https://api.CLUSTER:6443",
        _ => "its URL, https://HOST",
    }
}

/// Says what is wrong with a URL, when something is.
fn wrong_url(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match rest.map(|rest| rest.trim_end_matches('/')) {
        None => {
            Some(format!("{url:?} is no URL: begin it with https:// (or http:// for a registry without TLS)"))
        }
        Some(host) if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) => {
            Some(format!("{url:?} is not the URL of a registry: give its host and port only"))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn registry(kind: &str, keys: &Value) -> RegistryConfig {
        let mut registry = json!({"id": "r", "kind": kind});
        registry.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        serde_json::from_value(registry).unwrap()
    }

    #[test]
    fn every_kind_is_called_as_in_the_file() {
        for kind in RegistryKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn what_a_kind_needs_or_takes_is_a_key_that_not_every_kind_takes() {
        for kind in RegistryKind::ALL {
            let Keys { needed, taken } = kind.keys();
            assert!(needed.iter().chain(taken).all(|key| SOME_TAKE.contains(key)), "{kind:?}");
            assert!(needed.iter().all(|key| !taken.contains(key)), "{kind:?}");
        }
    }

    #[test]
    fn kinds_have_addresses_of_their_own_and_others_by_what_is_said_of_them() {
        for (kind, keys, address) in [
            ("docker-hub", json!({}), "https://registry-1.docker.io"),
            ("quay", json!({}), "https://quay.io"),
            ("quay", json!({"url": "https://quay.example.com/"}), "https://quay.example.com"),
            ("ecr-public", json!({}), "https://public.ecr.aws"),
            (
                "ecr",
                json!({"account": "123456789012", "region": "eu-west-1"}),
                "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            ),
            (
                "ecr",
                json!({"account": "123456789012", "region": "cn-north-1"}),
                "https://123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            ),
            ("oci", json!({}), ""),
        ] {
            assert_eq!(registry(kind, &keys).address(), address, "{kind} {keys}");
        }
    }

    #[test]
    fn what_a_kind_needs_or_does_not_take_is_said_by_its_key() {
        for (kind, keys, expected) in [
            ("oci", json!({"url": "https://r.example"}), vec![]),
            ("oci", json!({}), vec!["url"]),
            ("oci", json!({"url": "r.example", "region": "eu-west-1"}), vec!["url", "region"]),
            ("docker-hub", json!({}), vec!["namespaces"]),
            ("ecr-public", json!({}), vec!["repositories"]),
            (
                "ecr-public",
                json!({"repositories": ["nginx/nginx"], "account": "123456789012"}),
                vec!["account"],
            ),
            ("ecr", json!({"account": "1", "region": "Europe"}), vec!["account", "region"]),
            ("ecr", json!({"account": "123456789012"}), vec!["region"]),
            (
                "ecr",
                json!({"account": "123456789012", "region": "eu-west-1", "role_arn": "r"}),
                vec!["role_arn"],
            ),
            (
                "ecr",
                json!({"account": "123456789012", "region": "eu-west-1", "external_id": "r"}),
                vec!["external_id"],
            ),
            ("openshift", json!({"url": "https://r", "api_url": "https://k/x"}), vec!["api_url"]),
        ] {
            let found: Vec<&str> = registry(kind, &keys).problems().into_iter().map(|(key, _)| key).collect();
            assert_eq!(found, expected, "{kind} {keys}");
        }
    }
}
