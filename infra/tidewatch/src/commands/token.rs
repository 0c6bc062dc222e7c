//! `tidewatch token`: makes, lists and revokes tokens for the metrics endpoint and the results.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::token::{Scope, Token, TokenRecord};
use tidewatch_runtime::system::{SystemClock, SystemRandomness};

use super::Context;
use crate::cli::{self, CreateToken, Org, RevokeToken};
use crate::failure::Failure;
use crate::output::{Table, advise, ago, cell, print_document};

/// A token as it is shown: never its secret.
#[derive(Serialize)]
struct Row {
    id: String,
    org: String,
    scopes: Vec<&'static str>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    /// Whether it is good now.
    valid: bool,
}

#[derive(Serialize)]
struct Tokens {
    tokens: Vec<Row>,
}

#[derive(Serialize)]
struct Created {
    /// The whole token, shown this once.
    token: String,
    #[serde(flatten)]
    row: Row,
}

pub(super) async fn run(context: &Context, command: cli::Token) -> Result<(), Failure> {
    match command {
        cli::Token::Create(arguments) => create(context, arguments).await,
        cli::Token::List(org) => list(context, org).await,
        cli::Token::Revoke(arguments) => revoke(context, arguments).await,
    }
}

async fn create(context: &Context, arguments: CreateToken) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org).await?;
    let now = SystemClock.now();
    let expires_at = arguments.expires.map(|period| now.checked_add(period.duration())).transpose()?;
    let scope: Scope = arguments.scope.into();
    let token = Token::generate(&SystemRandomness);
    let record = TokenRecord {
        id: token.id().to_owned(),
        digest: token.digest(),
        org,
        scopes: BTreeSet::from([scope]),
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    instance.records.put_token(&record).await?;
    if context.is_json() {
        return print_document(
            "token",
            1,
            &Created { token: token.reveal().to_owned(), row: row(&record, now) },
        );
    }
    anstream::println!("{}", token.reveal());
    let (what, path, hint) = purpose(scope, &record.org);
    advise(context.quiet, &format!("keep it now: it cannot be shown again.{hint}"));
    if let Some(url) = &instance.url {
        advise(context.quiet, &format!("{what} at {url}{path}"));
    }
    Ok(())
}

/// What a token with this scope is for, the path where that is, and what to do with the token.
fn purpose(scope: Scope, org: &OrgName) -> (&'static str, String, &'static str) {
    const PROMETHEUS: &str = " Prometheus reads it by `credentials_file`.";
    match scope {
        Scope::MetricsRead => ("metrics", format!("/v1/exporter/org/{org}/metrics"), PROMETHEUS),
        Scope::ResultsRead => ("results", format!("/v1/org/{org}/images"), ""),
        Scope::Operator => {
            ("metrics with those of the queues", format!("/v1/exporter/org/{org}/tidewatch"), PROMETHEUS)
        }
    }
}

async fn list(context: &Context, org: Org) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(org.org).await?;
    let now = SystemClock.now();
    let tokens: Vec<Row> =
        instance.records.tokens(&org).await?.iter().map(|record| row(record, now)).collect();
    if context.is_json() {
        return print_document("tokens", 1, &Tokens { tokens });
    }
    let mut table = Table::new(["ID", "SCOPES", "CREATED", "EXPIRES", "STATE"]);
    for token in &tokens {
        let state = match (token.revoked_at, token.valid) {
            (Some(_), _) => "revoked",
            (None, false) => "expired",
            (None, true) => "valid",
        };
        let expires = token.expires_at.map_or_else(|| "never".to_owned(), |expires| ago(expires, now));
        let cells =
            [token.id.clone(), token.scopes.join(","), ago(token.created_at, now), expires, state.to_owned()];
        table.row(cells.map(cell));
    }
    table.print();
    Ok(())
}

async fn revoke(context: &Context, arguments: RevokeToken) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org).await?;
    let now = SystemClock.now();
    let revoked = instance.records.revoke_token(&org, &arguments.id, now).await?;
    let record = revoked.ok_or_else(|| {
        Failure::wrong_use(anyhow::anyhow!("{org} has no token {:?}", arguments.id))
            .hint("list the ids: tidewatch token list")
    })?;
    if context.is_json() {
        return print_document("tokens", 1, &Tokens { tokens: vec![row(&record, now)] });
    }
    advise(context.quiet, &format!("{}: revoked; it is refused from the next request on", record.id));
    Ok(())
}

fn row(record: &TokenRecord, now: Timestamp) -> Row {
    Row {
        id: record.id.clone(),
        org: record.org.to_string(),
        scopes: record.scopes.iter().map(|scope| scope.as_str()).collect(),
        created_at: record.created_at,
        expires_at: record.expires_at,
        revoked_at: record.revoked_at,
        valid: record.is_valid_at(now),
    }
}
