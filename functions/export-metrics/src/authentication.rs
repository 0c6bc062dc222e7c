//! Who may read the metrics of an organisation: holders of a good token for it.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use jiff::Timestamp;
use subtle::ConstantTimeEq as _;
use tidewatch_core::Digest;
use tidewatch_core::token::{Scope, Token, TokenRecord};
use tidewatch_store::records::Records;

use crate::answer::Refusal;
use crate::limit::ScrapeLimit;

/// Checks the request's bearer token for `org`. The token's row is read at every request, strongly consistent, so that
/// a revoked token is refused from the next request on; but not for one that has asked too often just now.
pub(crate) async fn authenticate(
    records: &Records,
    request: &ApiGatewayV2httpRequest,
    org: &str,
    limit: &ScrapeLimit,
    now: Timestamp,
) -> Result<(), Refusal> {
    let header = request.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        header.and_then(bearer).and_then(|token| Token::parse(token).ok()).ok_or(Refusal::Unauthorized)?;
    let digest = token.digest();
    limit.check(&digest, now).map_err(|after_seconds| Refusal::TooMany { after_seconds })?;
    let record = records.token(token.id()).await.map_err(Refusal::Broken)?.ok_or(Refusal::Unauthorized)?;
    if !is_same(&digest, &record) || !record.is_valid_at(now) {
        return Err(Refusal::Unauthorized);
    }
    limit.take(digest, now);
    // The same answer for another organisation and for one that does not exist.
    if record.org.as_str() != org || !record.scopes.contains(&Scope::MetricsRead) {
        return Err(Refusal::Forbidden);
    }
    Ok(())
}

/// The token of a header `Bearer TOKEN`; the scheme in any case, as RFC 9110 has it.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Compares digests, in constant time.
fn is_same(digest: &Digest, record: &TokenRecord) -> bool {
    digest.to_string().as_bytes().ct_eq(record.digest.to_string().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
