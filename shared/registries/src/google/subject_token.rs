//! Who a process is to AWS, in the form in which Google believes it: a request to AWS that says so, signed and not sent. Google
//! sends it.
//!
//! Specification: <https://cloud.google.com/iam/docs/workload-identity-federation-with-other-clouds#rest>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde::Serialize;
use url::form_urlencoded;

const METHOD: &str = "POST";
/// Says whom the request is for, so that nobody else can use it.
const TARGET: &str = "x-goog-cloud-target-resource";

/// A signed request, as Google reads it.
#[derive(Serialize)]
struct SignedRequest<'a> {
    url: &'a str,
    method: &'static str,
    headers: Vec<Header<'a>>,
}

#[derive(Serialize)]
struct Header<'a> {
    key: &'a str,
    value: &'a str,
}

/// What `credentials` are to AWS in `region` `at` this time, said to `audience` alone. It is good for a few minutes. The error
/// holds nothing secret.
pub(super) fn subject_token(
    credentials: Credentials,
    region: &str,
    audience: &str,
    at: SystemTime,
) -> Result<String, String> {
    let host = format!("sts.{region}.amazonaws.com");
    let url = format!("https://{host}/?Action=GetCallerIdentity&Version=2011-06-15");
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let headers = [(TARGET, audience)];
    let request = SignableRequest::new(METHOD, url.as_str(), headers.into_iter(), SignableBody::Bytes(&[]))
        .map_err(|error| error.to_string())?;
    let (signed, _) = sign(request, &parameters).map_err(|error| error.to_string())?.into_parts();
    let mut headers = vec![("host", host.as_str()), (TARGET, audience)];
    headers.extend(signed.headers());
    headers.sort_unstable();
    let headers = headers.into_iter().map(|(key, value)| {
        let key = if key == "authorization" { "Authorization" } else { key };
        Header { key, value }
    });
    let request = SignedRequest { url: &url, method: METHOD, headers: headers.collect() };
    let token = serde_json::to_vec(&request).map_err(|error| error.to_string())?;
    // A space is %20 here, and nowhere a plus sign.
    let escaped: String = form_urlencoded::byte_serialize(&token).collect();
    Ok(escaped.replace('+', "%20"))
}
