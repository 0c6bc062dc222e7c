//! The routes of the HTTP API, and that nothing was refused behind them.

use anyhow::ensure;

use crate::Outcome;
use crate::deployment::Deployment;

pub(crate) async fn routes(deployment: &Deployment) -> Outcome {
    let hook = "/v1/hooks/distribution/nobody";
    let cases = [
        ("GET", "/v1/exporter/org/acme/metrics", 401),
        ("GET", "/v1/exporter/org/acme", 401),
        ("GET", "/v1/exporter/org/acme/tidewatch", 401),
        ("HEAD", "/v1/exporter/org/acme/metrics", 401),
        ("HEAD", "/v1/exporter/org/acme", 401),
        ("HEAD", "/v1/exporter/org/acme/tidewatch", 401),
        ("GET", "/v1/org/acme/images", 401),
        ("GET", "/v1/org/acme/image?ref=hub/web", 401),
        ("GET", "/v1/org/acme/policies/fixable-vulnerabilities", 401),
        ("GET", "/v1/org/acme/explain?series=x", 401),
        ("GET", "/v1/org/acme/streams", 401),
        ("GET", "/v1/org/acme/vulnerabilities/CVE-2023-1", 401),
        ("GET", "/v1/openapi.json", 200),
        ("POST", hook, 401),
        ("POST", "/v1/hooks/distribution/nobody/secret", 401),
        ("GET", "/", 404),
        ("GET", "/v1/exporter/org/acme/other", 404),
    ];
    for (method, path, status) in cases {
        let sent = if method == "HEAD" { "" } else { "{}" };
        let answer = deployment.request(method, path, &[("content-type", "application/json")], sent).await?;
        ensure!(answer.status == status, "{method} {path} answers {}: {}", answer.status, answer.body);
        ensure!(method != "HEAD" || answer.body.is_empty(), "{method} {path} has a body: {}", answer.body);
    }
    let answer = deployment.request("GET", "/v1/exporter/org/acme/metrics", &[], "").await?;
    ensure!(answer.headers["www-authenticate"].to_str()?.starts_with("Bearer"), "{:?}", answer.headers);
    let error: serde_json::Value = serde_json::from_str(&answer.body)?;
    ensure!(error["code"].is_string() && error["message"].is_string(), "{error}");
    Ok(())
}

/// MiniStack enforces the roles. What it refuses, and what else went wrong, stands in the logs of the functions; what its
/// pollers fail at, in its own.
pub(crate) async fn nothing_was_refused(deployment: &Deployment) -> Outcome {
    let log = deployment.log();
    let failed: Vec<&str> = log.lines().filter(|line| line.contains("poller error")).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    for function in Deployment::functions()? {
        let lines = deployment.function_log(&function).await?;
        ensure!(!lines.is_empty(), "{function} was never called");
        let is_wrong = |line: &String| {
            let refused =
                ["AccessDenied", "not authorized to perform"].iter().any(|word| line.contains(word));
            // The messages of the part before this one.
            refused || line.contains(r#""level":"ERROR""#) && !line.contains("message cannot be read")
        };
        let wrong: Vec<String> = lines.into_iter().filter(is_wrong).collect();
        ensure!(wrong.is_empty(), "{function}:\n{}", wrong.join("\n"));
    }
    Ok(())
}
