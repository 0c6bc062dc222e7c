//! Who may read the metrics of an organisation: holders of a good token for it.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use jiff::Timestamp;
use tidewatch_core::token::{Scope, Token, TokenRecord, TokenRefusal};
use tidewatch_runtime::http::bearer_token;
use tidewatch_store::records::Records;

use crate::answer::Refusal;
use crate::limit::ScrapeLimit;

/// Checks the request's bearer token for `org`. The token's row is read at every request, strongly consistent, so that
/// a revoked token is refused from the next request on; but not for one that has asked too often just now. Gives the row of a
/// token that may read the metrics.
pub(crate) async fn authenticate(
    records: &Records,
    request: &ApiGatewayV2httpRequest,
    org: &str,
    limit: &ScrapeLimit,
    now: Timestamp,
) -> Result<TokenRecord, Refusal> {
    let token = bearer_token(&request.headers).and_then(|token| Token::parse(token).ok());
    let token = token.ok_or(Refusal::Unauthorized)?;
    let digest = token.digest();
    limit.check(&digest, now).map_err(|after_seconds| Refusal::TooMany { after_seconds })?;
    let record = records.token(token.id()).await.map_err(Refusal::Broken)?.ok_or(Refusal::Unauthorized)?;
    let checked = record.check(&digest, (org, Scope::MetricsRead), now);
    if checked != Err(TokenRefusal::NotGood) {
        limit.take(digest, now);
    }
    match checked {
        Ok(()) => Ok(record),
        Err(TokenRefusal::NotGood) => Err(Refusal::Unauthorized),
        Err(TokenRefusal::NotAllowed) => Err(Refusal::Forbidden),
    }
}
