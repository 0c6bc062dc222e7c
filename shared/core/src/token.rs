//! Bearer tokens: `twd_<id>_<secret><checksum>`.
//!
//! The id finds the token's row, the secret has 256 random bits, and the checksum lets a scanner for leaked secrets,
//! and us, tell a token from a typing error without asking anybody. Only the SHA-256 of the whole token is stored.

use std::collections::BTreeSet;
use std::fmt;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::names::OrgName;
use crate::ports::Randomness;
use crate::{Digest, Timestamp};

const PREFIX: &str = "twd_";
const ID_BYTES: usize = 10;
const SECRET_BYTES: usize = 32;
/// Base32 without padding: 10 bytes, 32 bytes and a 4-byte checksum.
const ID_LENGTH: usize = 16;
const SECRET_LENGTH: usize = 52;
const CHECKSUM_LENGTH: usize = 7;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Read the metrics of its organisation.
    #[serde(rename = "metrics:read")]
    MetricsRead,
    /// Read the results of its images: vulnerabilities, packages that have them, answers of policies.
    #[serde(rename = "results:read")]
    ResultsRead,
    /// Watch over the deployment: read the metrics of its organisation, and beside them how much is in the queues, which
    /// are those of all organisations.
    #[serde(rename = "operator")]
    Operator,
}

impl Scope {
    /// The word for tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetricsRead => "metrics:read",
            Self::ResultsRead => "results:read",
            Self::Operator => "operator",
        }
    }

    /// Whether it allows what `wanted` does: each allows itself, and [`Scope::Operator`] also [`Scope::MetricsRead`].
    pub const fn allows(self, wanted: Self) -> bool {
        match wanted {
            Self::MetricsRead => matches!(self, Self::MetricsRead | Self::Operator),
            Self::ResultsRead => matches!(self, Self::ResultsRead),
            Self::Operator => matches!(self, Self::Operator),
        }
    }
}

/// A token as its holder has it. It is never stored or logged: `Debug` shows its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: String,
    text: String,
}

/// A token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The id.
    pub id: String,
    /// SHA-256 of the whole token.
    pub digest: Digest,
    /// The organisation that it is for.
    pub org: OrgName,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops to be good; never without one.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Why a token does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// It is another one, expired or revoked.
    NotGood,
    /// It is for something else.
    NotAllowed,
}

/// A text that is not a token; it is not repeated, since it may be nearly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read a token: expected twd_<id>_<secret> with a right checksum")]
pub struct TokenError;

impl Token {
    /// A new token.
    pub fn generate(randomness: &dyn Randomness) -> Self {
        let mut id = [0; ID_BYTES];
        let mut secret = [0; SECRET_BYTES];
        randomness.fill(&mut id);
        randomness.fill(&mut secret);
        let id = lower_base32(&id);
        let body = format!("{PREFIX}{id}_{}", lower_base32(&secret));
        let text = format!("{body}{}", checksum(&body));
        Self { id, text }
    }

    /// Reads a token; blanks and newlines around it are dropped.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let (id, secret) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(TokenError)?;
        if id.len() != ID_LENGTH
            || secret.len() != SECRET_LENGTH + CHECKSUM_LENGTH
            || !is_base32(id)
            || !is_base32(secret)
        {
            return Err(TokenError);
        }
        let (body, sum) = text.split_at(text.len() - CHECKSUM_LENGTH);
        if checksum(body) != sum {
            return Err(TokenError);
        }
        Ok(Self { id: id.to_owned(), text: text.to_owned() })
    }

    /// The id, which is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is stored of it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The whole token, to be shown once to its holder.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl TokenRecord {
    /// Whether this is the record of the token with this digest. It takes as long whatever the digest is.
    pub fn is_of(&self, digest: &Digest) -> bool {
        self.digest.to_bytes().ct_eq(&digest.to_bytes()).into()
    }

    /// Whether the token is good at `now`: neither expired nor revoked.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }

    /// Whether one of its scopes allows what `wanted` does.
    pub fn allows(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.allows(wanted))
    }

    /// Whether whoever shows a token with this digest at `now` may do what `scope` says, to the organisation of this name. The
    /// answer is the same for another organisation and for one that does not exist.
    pub fn check(
        &self,
        digest: &Digest,
        (org, scope): (&str, Scope),
        now: Timestamp,
    ) -> Result<(), TokenRefusal> {
        if !self.is_of(digest) || !self.is_valid_at(now) {
            return Err(TokenRefusal::NotGood);
        }
        if self.org.as_str() != org || !self.allows(scope) {
            return Err(TokenRefusal::NotAllowed);
        }
        Ok(())
    }
}

pub(crate) fn is_base32(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
}

pub(crate) fn lower_base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

pub(crate) fn checksum(body: &str) -> String {
    lower_base32(&crc32fast::hash(body.as_bytes()).to_be_bytes())
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

    #[test]
    fn a_token_reads_back_what_it_writes_also_with_a_newline() {
        let token = Token::generate(&Counting);
        assert_eq!(Token::parse(&format!("{}\n", token.reveal())), Ok(token));
    }

    #[test]
    fn a_changed_character_is_noticed() {
        let token = Token::generate(&Counting);
        for position in 0..token.reveal().len() {
            let mut changed = token.reveal().to_owned();
            let other = if &changed[position..=position] == "b" { "c" } else { "b" };
            changed.replace_range(position..=position, other);
            assert_eq!(Token::parse(&changed), Err(TokenError), "{changed}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "twd_", "twd_a_b", "dckr_pat_abc", "twd_aaaaaaaaaaaaaaaa_é"] {
            assert_eq!(Token::parse(text), Err(TokenError), "{text}");
        }
    }

    #[test]
    fn an_operator_may_read_metrics_and_nobody_else_may_do_more_than_its_scope_says() {
        let scopes = [Scope::MetricsRead, Scope::ResultsRead, Scope::Operator];
        let allowed = |scope: Scope| scopes.map(|wanted| scope.allows(wanted));
        assert_eq!(scopes.map(allowed), [[true, false, false], [false, true, false], [true, false, true]]);
    }

    #[test]
    fn what_a_scope_is_called_is_what_is_stored() {
        for scope in [Scope::MetricsRead, Scope::ResultsRead, Scope::Operator] {
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
    }

    #[test]
    fn the_secret_is_not_in_debug_output() {
        let token = Token::generate(&Counting);
        assert_eq!(format!("{token:?}"), format!("Token({})", token.id()));
    }
}
