//! Who may read the results of an organisation: holders of a good token for it with the scope `results:read`.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use jiff::Timestamp;
use tidewatch_core::token::{Scope, Token, TokenRefusal};
use tidewatch_runtime::http::bearer_token;
use tidewatch_store::Records;

use super::answer::Refusal;

/// Checks the request's bearer token for `org`. The token's row is read at every request, strongly consistent, so that
/// a revoked token is refused from the next request on.
pub(super) async fn authenticate(
    records: &Records,
    request: &ApiGatewayV2httpRequest,
    org: &str,
    now: Timestamp,
) -> Result<(), Refusal> {
    let token = bearer_token(&request.headers).and_then(|token| Token::parse(token).ok());
    let token = token.ok_or(Refusal::Unauthorized)?;
    let record = records.token(token.id()).await.map_err(Refusal::Broken)?.ok_or(Refusal::Unauthorized)?;
    record.check(&token.digest(), (org, Scope::ResultsRead), now).map_err(|refusal| match refusal {
        TokenRefusal::NotGood => Refusal::Unauthorized,
        TokenRefusal::NotAllowed => Refusal::Forbidden,
    })
}
