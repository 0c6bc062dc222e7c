//! Who may read: anyone, who knows a password, or who has a token.
//!
//! Specification: <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::{BTreeSet, HashMap};

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Response, StatusCode};
use data_encoding::BASE64;
use url::form_urlencoded;

use super::State;
use super::serve::problem;

/// The service that the token server answers for.
const SERVICE: &str = "test-registry";

/// Who may read the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Anonymous,
    /// Who gives user and password with every request.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// Who gives a token of the token server, which is at `/token` of the same address.
    Bearer {
        /// User and password for the token server; `None` gives tokens to anyone.
        login: Option<(String, String)>,
        /// The lifetime that the token server names, in seconds; `None` names none.
        expires_in: Option<u64>,
    },
    /// Nobody: every request is answered with 401 and this challenge.
    Challenge(String),
}

impl Access {
    /// With user and password.
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic { user: user.to_owned(), password: password.to_owned() }
    }

    /// With tokens, for who knows user and password.
    pub fn bearer(user: &str, password: &str) -> Self {
        Self::Bearer { login: Some((user.to_owned(), password.to_owned())), expires_in: Some(300) }
    }

    /// With tokens that anyone gets.
    pub fn anonymous_bearer() -> Self {
        Self::Bearer { login: None, expires_in: None }
    }
}

/// The tokens that were given, with the scopes of each.
#[derive(Default)]
pub(super) struct Tokens {
    given: HashMap<String, BTreeSet<String>>,
}

impl State {
    /// Refuses a request without the access that `scope` needs; `None` lets it in.
    pub(super) fn refuse(&self, headers: &HeaderMap, scope: &str) -> Option<Response<Body>> {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let challenge = match &self.access {
            Access::Anonymous => return None,
            Access::Challenge(challenge) => challenge.clone(),
            Access::Basic { user, password } if is_basic(authorization, user, password) => return None,
            Access::Basic { .. } => "Basic realm=\"test\"".to_owned(),
            Access::Bearer { .. } => {
                let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
                if token
                    .and_then(|token| self.tokens.given.get(token))
                    .is_some_and(|scopes| scopes.contains(scope))
                {
                    return None;
                }
                let realm = format!("http://{}/token", self.address);
                format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\",scope=\"{scope}\"")
            }
        };
        let mut response = problem(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
        if let Ok(challenge) = challenge.parse() {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        Some(response)
    }

    /// The answer of the token server; `None` when there is no token server.
    pub(super) fn give_token(&mut self, headers: &HeaderMap, query: &str) -> Option<Response<Body>> {
        let Access::Bearer { login, expires_in } = &self.access else { return None };
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let allowed = login.as_ref().is_none_or(|(user, password)| is_basic(authorization, user, password));
        let mut scopes = BTreeSet::new();
        let mut service = None;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "scope" => scopes.extend(value.split(' ').map(str::to_owned)),
                "service" => service = Some(value.into_owned()),
                _ => {}
            }
        }
        if !allowed || service.as_deref() != Some(SERVICE) {
            return Some(problem(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "incorrect username or password"));
        }
        let token = format!("test-token-{}", self.tokens.given.len());
        let mut answer = serde_json::json!({"token": token});
        if let Some(seconds) = expires_in {
            answer["expires_in"] = (*seconds).into();
        }
        self.tokens.given.insert(token, scopes);
        let mut response = Response::new(Body::from(answer.to_string()));
        response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/json"));
        Some(response)
    }
}

fn is_basic(authorization: Option<&str>, user: &str, password: &str) -> bool {
    authorization.and_then(|value| value.strip_prefix("Basic "))
        == Some(BASE64.encode(format!("{user}:{password}").as_bytes()).as_str())
}
