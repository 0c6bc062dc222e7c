//! Who the client says it is: a password, or a token that somebody hands out and that runs out.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use tidewatch_core::Timestamp;
use tidewatch_core::ports::Clock;
use tidewatch_core::ports::registry::RegistryError;

use crate::answer::Subject;
use crate::secrets::Login;

/// What is shown to who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// User and password.
    Password(Login),
    /// A token that is good for tokens only.
    Refresh(String),
    /// A token that is good by itself.
    Bearer(String),
}

impl Proof {
    /// The header `Authorization` that shows it; `None` for what is no such.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        match self {
            Self::Password(login) => header("Basic", &login.basic()),
            Self::Bearer(token) => header("Bearer", token),
            Self::Refresh(_) => None,
        }
    }
}

/// A header `Authorization`; `None` when it holds characters that no header holds.
pub(crate) fn header(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Who the client is.
#[async_trait]
pub(crate) trait Identity: Send + Sync {
    /// What to show now; `None` for who is anonymous. Another one than what was `refused`, where there can be one.
    async fn proof(&self, refused: Option<&Proof>, subject: &Subject)
    -> Result<Option<Proof>, RegistryError>;
}

/// Who always shows the same.
pub(crate) struct Fixed(pub(crate) Option<Proof>);

#[async_trait]
impl Identity for Fixed {
    async fn proof(&self, _: Option<&Proof>, _: &Subject) -> Result<Option<Proof>, RegistryError> {
        Ok(self.0.clone())
    }
}

/// Hands out proofs that run out.
#[async_trait]
pub(crate) trait Issuer: Send + Sync {
    /// A new one.
    async fn issue(&self, subject: &Subject) -> Result<Issued, RegistryError>;
}

/// A proof, and how long it is good for from now on.
pub(crate) struct Issued {
    pub(crate) proof: Proof,
    pub(crate) lifetime: Duration,
}

/// Who shows what an issuer hands out, as long as it is good. It is asked for by one at a time, and the others wait for it.
pub(crate) struct Renewing<I> {
    issuer: I,
    clock: Arc<dyn Clock>,
    held: tokio::sync::Mutex<Option<Held>>,
}

struct Held {
    proof: Proof,
    issued_at: Timestamp,
    expires: Timestamp,
}

/// What every proof is good for at least.
const SHORTEST: Duration = Duration::from_mins(1);

/// A proof that was issued so recently, and is refused, is refused for another reason than its age.
const YOUNG: Duration = Duration::from_secs(30);

impl<I: Issuer> Renewing<I> {
    pub(crate) fn new(issuer: I, clock: Arc<dyn Clock>) -> Self {
        Self { issuer, clock, held: tokio::sync::Mutex::default() }
    }
}

#[async_trait]
impl<I: Issuer> Identity for Renewing<I> {
    async fn proof(
        &self,
        refused: Option<&Proof>,
        subject: &Subject,
    ) -> Result<Option<Proof>, RegistryError> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        if let Some(held) = held.as_ref()
            && now < held.expires
            && (Some(&held.proof) != refused || now.duration_since(held.issued_at).unsigned_abs() < YOUNG)
        {
            return Ok(Some(held.proof.clone()));
        }
        let Issued { proof, lifetime } = self.issuer.issue(subject).await?;
        // Of one that is said to be over already, a clock that is ahead is the reason: it is used for a moment all the same.
        let lifetime = lifetime.max(SHORTEST);
        let issued_at = self.clock.now();
        *held = Some(Held { proof: proof.clone(), issued_at, expires: expiry(issued_at, lifetime) });
        Ok(Some(proof))
    }
}

/// How long before its end a proof is not used any more, at most; of what is good for longer, a tenth of its time.
const MARGIN: Duration = Duration::from_secs(10);

/// Until when something is used that is good for `lifetime` from `now` on: not in its last seconds, so that it does not run out
/// on the way.
pub(crate) fn expiry(now: Timestamp, lifetime: Duration) -> Timestamp {
    let margin = (lifetime / 10).clamp(MARGIN, Duration::from_mins(5));
    now.saturating_add(lifetime.saturating_sub(margin)).unwrap_or(Timestamp::MAX)
}
