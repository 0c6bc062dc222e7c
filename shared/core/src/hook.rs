//! Hooks: the addresses at which registries tell of pushes, and the secrets by which their calls are known.
//!
//! A hook belongs to one registry of one organisation, and takes the notifications of one kind of sender. Its id stands
//! in the path and is no secret; its secret, `twh_<secret><checksum>`, has 256 random bits, and only the SHA-256 of it
//! is stored. While a secret is replaced, the new one and the one before are both good.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::{OrgName, RegistryId};
use crate::ports::Randomness;
use crate::token::{checksum, is_base32, lower_base32};
use crate::{Digest, Timestamp};

const PREFIX: &str = "twh_";
const ID_BYTES: usize = 10;
const SECRET_BYTES: usize = 32;
/// Base32 without padding: 10 bytes, 32 bytes and a 4-byte checksum.
const ID_LENGTH: usize = 16;
const SECRET_LENGTH: usize = 52;
const CHECKSUM_LENGTH: usize = 7;

/// What the paths of all hooks begin with.
pub const PATH: &str = "/v1/hooks/";

/// The most secrets of a hook that are good at the same time.
pub const MOST_SECRETS: usize = 2;

/// What sends the notifications of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// A registry that is the `distribution` software, or built on it, by its own notifications:
    /// <https://distribution.github.io/distribution/about/notifications/>.
    Distribution,
    /// Docker Hub: <https://docs.docker.com/docker-hub/repos/manage/webhooks/>.
    DockerHub,
    /// Azure Container Registry:
    /// <https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference>.
    Acr,
    /// Quay: <https://docs.projectquay.io/use_quay.html#repository-notifications>.
    Quay,
    /// Harbor.
    Harbor,
    /// `JFrog` Artifactory.
    Jfrog,
    /// Whatever sends a plain form of our own.
    Generic,
}

impl HookKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Distribution,
        Self::DockerHub,
        Self::Acr,
        Self::Quay,
        Self::Harbor,
        Self::Jfrog,
        Self::Generic,
    ];

    /// The word in paths, tables and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Distribution => "distribution",
            Self::DockerHub => "docker-hub",
            Self::Acr => "acr",
            Self::Quay => "quay",
            Self::Harbor => "harbor",
            Self::Jfrog => "jfrog",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The id of a hook: 16 characters of lower-case Base32.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HookId(String);

/// A text that is not the id of a hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {0:?} as the id of a hook: expected {ID_LENGTH} of a-z and 2-7")]
pub struct HookIdError(String);

impl HookId {
    /// A new id.
    pub fn generate(randomness: &dyn Randomness) -> Self {
        let mut bytes = [0; ID_BYTES];
        randomness.fill(&mut bytes);
        Self(lower_base32(&bytes))
    }

    /// The id as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HookId {
    type Err = HookIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == ID_LENGTH && is_base32(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(HookIdError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for HookId {
    type Error = HookIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HookId> for String {
    fn from(id: HookId) -> Self {
        id.0
    }
}

impl fmt::Display for HookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for HookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The secret of a hook as its sender has it. It is never stored or logged: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret(String);

/// A text that is not the secret of a hook; it is not repeated, since it may be nearly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the secret of a hook: expected twh_<secret> with a right checksum")]
pub struct HookSecretError;

impl HookSecret {
    /// A new secret.
    pub fn generate(randomness: &dyn Randomness) -> Self {
        let mut bytes = [0; SECRET_BYTES];
        randomness.fill(&mut bytes);
        let body = format!("{PREFIX}{}", lower_base32(&bytes));
        Self(format!("{body}{}", checksum(&body)))
    }

    /// Reads a secret; blanks and newlines around it are dropped.
    pub fn parse(text: &str) -> Result<Self, HookSecretError> {
        let text = text.trim();
        let rest = text.strip_prefix(PREFIX).ok_or(HookSecretError)?;
        if rest.len() != SECRET_LENGTH + CHECKSUM_LENGTH || !is_base32(rest) {
            return Err(HookSecretError);
        }
        let (body, sum) = text.split_at(text.len() - CHECKSUM_LENGTH);
        if checksum(body) == sum { Ok(Self(text.to_owned())) } else { Err(HookSecretError) }
    }

    /// What is stored of it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The whole secret, to be shown once to whoever configures the sender.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSecret(…)")
    }
}

/// A hook as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRecord {
    /// The id.
    pub id: HookId,
    /// The organisation that it is for.
    pub org: OrgName,
    /// The registry whose pushes it tells of.
    pub registry: RegistryId,
    /// What sends.
    pub kind: HookKind,
    /// SHA-256 of each secret that is good, the newest first: at most [`MOST_SECRETS`].
    pub secrets: Vec<Digest>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl HookRecord {
    /// The path at which it takes notifications, without a secret: `/v1/hooks/KIND/ID`.
    pub fn path(&self) -> String {
        format!("{PATH}{}/{}", self.kind, self.id)
    }

    /// Makes `secret` good as well, and of those that were good before only the newest.
    pub fn rotate(&mut self, secret: Digest) {
        self.secrets.insert(0, secret);
        self.secrets.truncate(MOST_SECRETS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;

    impl Randomness for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for (position, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from(position).unwrap();
            }
        }
    }

    fn record() -> HookRecord {
        HookRecord {
            id: HookId::generate(&Counting),
            org: "acme".parse().unwrap(),
            registry: "hub".parse().unwrap(),
            kind: HookKind::Distribution,
            secrets: vec![Digest::of(b"1")],
            created_at: Timestamp::UNIX_EPOCH,
            revoked_at: None,
        }
    }

    #[test]
    fn an_id_reads_back_what_it_writes_and_nothing_else() {
        let id = HookId::generate(&Counting);
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        for text in ["", "a", "A234567aaaaaaaaa", "aaaaaaaaaaaaaaa#", "aaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaé"]
        {
            assert!(text.parse::<HookId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_reads_back_what_it_writes_also_with_a_newline() {
        let secret = HookSecret::generate(&Counting);
        assert_eq!(HookSecret::parse(&format!("{}\n", secret.reveal())), Ok(secret));
    }

    #[test]
    fn a_changed_character_of_a_secret_is_noticed() {
        let secret = HookSecret::generate(&Counting);
        for position in 0..secret.reveal().len() {
            let mut changed = secret.reveal().to_owned();
            let other = if &changed[position..=position] == "b" { "c" } else { "b" };
            changed.replace_range(position..=position, other);
            assert_eq!(HookSecret::parse(&changed), Err(HookSecretError), "{changed}");
        }
        for text in ["", "twh_", "twh_é", "twd_aaaaaaaaaaaaaaaa_aaaa"] {
            assert_eq!(HookSecret::parse(text), Err(HookSecretError), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_in_debug_output() {
        let secret = HookSecret::generate(&Counting);
        assert_eq!(format!("{secret:?}"), "HookSecret(…)");
    }

    #[test]
    fn a_new_secret_leaves_the_one_before_good_and_no_older_one() {
        let mut record = record();
        for secret in [b"2", b"3"] {
            record.rotate(Digest::of(secret));
        }
        assert_eq!(record.secrets, [Digest::of(b"3"), Digest::of(b"2")]);
    }

    #[test]
    fn a_kind_is_stored_by_the_word_that_stands_in_paths() {
        for kind in HookKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
