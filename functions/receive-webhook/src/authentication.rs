//! Who may tell of pushes to a registry: whoever has a secret of its hook.

use http::HeaderMap;
use subtle::{Choice, ConstantTimeEq as _};
use tidewatch_core::Digest;
use tidewatch_core::hook::{HookId, HookRecord, HookSecret, MOST_SECRETS};
use tidewatch_store::records::Records;

use crate::Target;
use crate::answer::Refusal;

/// The header in which Artifactory sends the secret of a webhook, as it is.
const JFROG: &str = "x-jfrog-event-auth";

/// The hook that a call is for, when it comes with a secret of it: in the path, else in the header
/// `Authorization: Bearer SECRET`, or `X-JFrog-Event-Auth: SECRET`. Unknown and revoked hooks, another kind and wrong secrets are refused alike, and after
/// the same comparisons. The hook is read at every call, strongly consistent.
pub(crate) async fn authenticate(
    records: &Records,
    target: &Target<'_>,
    headers: &HeaderMap,
) -> Result<HookRecord, Refusal> {
    let jfrog = || headers.get(JFROG)?.to_str().ok();
    let presented = target
        .secret
        .or_else(|| bearer(headers))
        .or_else(jfrog)
        .and_then(|text| HookSecret::parse(text).ok());
    let hook = match target.hook.parse::<HookId>() {
        Ok(id) => records.hook(&id).await?,
        Err(_) => None,
    };
    let good = has(hook.as_ref(), presented.as_ref());
    let hook = hook.filter(|hook| hook.revoked_at.is_none() && hook.kind.as_str() == target.kind);
    hook.filter(|_| good).ok_or(Refusal::Unauthorized)
}

/// Whether `presented` is a secret of `hook`. As many digests are compared as a hook can have, whatever is there.
fn has(hook: Option<&HookRecord>, presented: Option<&HookSecret>) -> bool {
    let absent = Digest::of(b"");
    let digest = presented.map_or(absent, HookSecret::digest).to_string();
    let mut found = Choice::from(0);
    for position in 0..MOST_SECRETS {
        let secret = hook.and_then(|hook| hook.secrets.get(position));
        let equal = secret.unwrap_or(&absent).to_string().as_bytes().ct_eq(digest.as_bytes());
        found |= equal & Choice::from(u8::from(secret.is_some()));
    }
    (found & Choice::from(u8::from(presented.is_some()))).into()
}

/// What follows `Bearer` in the header; the scheme in any case, as RFC 9110 has it.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret)
}

#[cfg(test)]
mod tests {
    use tidewatch_core::hook::HookKind;
    use tidewatch_testkit::ports::SeededRandomness;

    use super::*;

    fn secret(seed: u64) -> HookSecret {
        HookSecret::generate(&SeededRandomness::new(seed))
    }

    fn hook(secrets: &[&HookSecret]) -> HookRecord {
        HookRecord {
            id: HookId::generate(&SeededRandomness::new(1)),
            org: "acme".parse().unwrap(),
            registry: "reg".parse().unwrap(),
            kind: HookKind::Distribution,
            secrets: secrets.iter().map(|secret| secret.digest()).collect(),
            created_at: "2026-06-15T00:00:00Z".parse().unwrap(),
            revoked_at: None,
        }
    }

    #[test]
    fn each_secret_of_a_hook_is_good_and_no_other() {
        let (new, old, other) = (secret(1), secret(2), secret(3));
        for secrets in [&[&new][..], &[&new, &old]] {
            let hook = hook(secrets);
            assert!(secrets.iter().all(|secret| has(Some(&hook), Some(secret))));
            assert!(!has(Some(&hook), Some(&other)) && !has(Some(&hook), None));
        }
        assert!(!has(None, Some(&new)) && !has(None, None) && !has(Some(&hook(&[])), None));
    }

    #[test]
    fn a_missing_secret_is_not_the_secret_of_a_record_that_holds_the_digest_of_nothing() {
        let record = HookRecord { secrets: vec![Digest::of(b"")], ..hook(&[]) };
        assert!(!has(Some(&record), None));
    }
}
