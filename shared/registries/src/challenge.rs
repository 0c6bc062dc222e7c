//! The challenges with which a registry asks for credentials.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc9110#name-www-authenticate>,
//! <https://distribution.github.io/distribution/spec/auth/token/>

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// A challenge that the client can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token of a token server.
    Bearer {
        /// The token server, as it stands in the challenge.
        realm: String,
        /// The service that the token is for; some registries name none.
        service: Option<String>,
        /// The scopes that the registry wants, divided by spaces; empty when it names none.
        scope: String,
    },
}

/// The challenge to answer out of those in `headers`: a token where the registry offers it, else user and password.
/// `None` when there is none that the client can answer; challenges that cannot be read are passed over.
pub(crate) fn choose(headers: &HeaderMap) -> Option<Challenge> {
    let mut chosen = None;
    for value in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
        for challenge in http_auth::parse_challenges(value).unwrap_or_default() {
            let parameter = |name: &str| {
                let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped()).filter(|value| !value.is_empty())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                if let Some(realm) = parameter("realm") {
                    let scope = parameter("scope").unwrap_or_default();
                    return Some(Challenge::Bearer { realm, service: parameter("service"), scope });
                }
            } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                chosen = Some(Challenge::Basic);
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn chosen(challenges: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for challenge in challenges {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(challenge).unwrap());
        }
        choose(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: &str) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.to_owned(),
        }
    }

    #[test]
    fn a_bearer_challenge_gives_realm_service_and_scopes() {
        assert_eq!(
            chosen(&[
                r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull aws""#
            ]),
            Some(bearer("https://a.example/token", Some("r.example"), "repository:a/b:pull aws"))
        );
        assert_eq!(
            chosen(&[r#"bearer Realm="https://a.example/openshift/token""#]),
            Some(bearer("https://a.example/openshift/token", None, ""))
        );
    }

    #[test]
    fn a_token_is_preferred_to_a_password_in_one_header_or_several() {
        let expected = Some(bearer("https://a.example", Some("s"), ""));
        assert_eq!(chosen(&[r#"Basic realm="x", Bearer realm="https://a.example",service=s"#]), expected);
        assert_eq!(
            chosen(&[r#"Basic realm="x""#, r#"Bearer realm="https://a.example",service=s"#]),
            expected
        );
        assert_eq!(chosen(&["Negotiate", r#"Basic realm="x""#]), Some(Challenge::Basic));
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        assert_eq!(chosen(&[]), None);
        assert_eq!(
            chosen(&["Negotiate", "Bearer", r#"Bearer service="x""#, "=,=", r#"Digest realm="x""#]),
            None
        );
    }

    proptest! {
        #[test]
        fn no_challenge_makes_the_client_panic(text in "[ -~]{0,80}") {
            let _ = chosen(&[&text]);
        }
    }
}
