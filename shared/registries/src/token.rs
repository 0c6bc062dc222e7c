//! What a token server answers: a token, and how long it is good for.
//!
//! Specification: <https://distribution.github.io/distribution/spec/auth/token/#token-response-fields>

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::HeaderValue;
use serde::Deserialize;
use tidewatch_core::Timestamp;

use crate::identity::{expiry, header};

/// Seconds that a token lives when the token server does not say, and at least.
const TOKEN_LIFETIME: u64 = 60;

pub(crate) const UNPRINTABLE: &str = "the token holds characters that no header holds";

#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) authorization: HeaderValue,
    pub(crate) expires: Timestamp,
}

/// The answer of a token server.
#[derive(Deserialize)]
struct TokenDocument {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Reads the answer of a token server that came at `now`; gives the reason when it is wrong. The reason never quotes it.
pub(crate) fn read_token(body: &[u8], now: Timestamp) -> Result<Token, String> {
    let document: TokenDocument =
        serde_json::from_slice(body).map_err(|_| "the token server's answer is not of the specified form")?;
    let text = [document.token, document.access_token].into_iter().flatten().find(|token| !token.is_empty());
    let text = text.ok_or("the token server's answer holds no token")?;
    let authorization = header("Bearer", &text).ok_or(UNPRINTABLE)?;
    let lifetime = document.expires_in.or_else(|| lifetime(&text)).unwrap_or(TOKEN_LIFETIME);
    let lifetime = Duration::from_secs(lifetime.max(TOKEN_LIFETIME));
    Ok(Token { authorization, expires: expiry(now, lifetime) })
}

/// When a token that is a JSON Web Token was issued and runs out, by its own unproven word.
///
/// Specification: <https://www.rfc-editor.org/rfc/rfc7519#section-4.1>
#[derive(Deserialize)]
struct Claims {
    iat: Option<u64>,
    nbf: Option<u64>,
    exp: u64,
}

/// For how many seconds a token is good, by what stands in it; `None` when nothing does. Whoever issued it has a clock of its
/// own, so only the time between counts.
pub(crate) fn lifetime(token: &str) -> Option<u64> {
    let claims = token.split('.').nth(1)?.trim_end_matches('=');
    let claims: Claims = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?).ok()?;
    claims.exp.checked_sub(claims.iat.or(claims.nbf)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_either_name_and_lives_a_minute_at_least() {
        let now: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        for (body, header, seconds) in [
            (r#"{"token":"a"}"#, "Bearer a", 50),
            (r#"{"access_token":"b","expires_in":300}"#, "Bearer b", 270),
            (r#"{"token":"","access_token":"c","expires_in":1}"#, "Bearer c", 50),
        ] {
            let token = read_token(body.as_bytes(), now).ok().unwrap();
            assert_eq!(token.authorization, header);
            assert_eq!(token.expires, now + Duration::from_secs(seconds), "{body}");
        }
    }

    #[test]
    fn a_token_that_says_itself_when_it_runs_out_is_believed_where_its_server_does_not_say_it() {
        let claims = BASE64URL_NOPAD.encode(br#"{"iat":1000,"exp":5500}"#);
        let now = Timestamp::UNIX_EPOCH;
        for (answer, seconds) in [
            (format!(r#"{{"access_token":"h.{claims}.s"}}"#), 4200),
            (format!(r#"{{"access_token":"h.{claims}.s","expires_in":300}}"#), 270),
            (r#"{"access_token":"h.e30.s"}"#.to_owned(), 50),
        ] {
            let token = read_token(answer.as_bytes(), now).ok().unwrap();
            assert_eq!(token.expires, now + Duration::from_secs(seconds), "{answer}");
        }
    }

    #[test]
    fn an_endless_lifetime_does_not_leave_the_calendar() {
        let body = format!(r#"{{"token":"a","expires_in":{}}}"#, u64::MAX);
        assert_eq!(read_token(body.as_bytes(), Timestamp::UNIX_EPOCH).ok().unwrap().expires, Timestamp::MAX);
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
        for body in ["", "[]", "{}", r#"{"token":""}"#, r#"{"token":5}"#, "{\"token\":\"sec\\nret\"}"] {
            let reason = read_token(body.as_bytes(), Timestamp::UNIX_EPOCH).err().unwrap();
            assert!(!reason.contains("sec"), "{reason}");
        }
    }
}
