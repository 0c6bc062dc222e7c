//! The commands for tokens.

use clap::{Args, Subcommand, ValueEnum};
use tidewatch_core::config::Period;
use tidewatch_core::token::Scope;

use super::Org;

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token. It is shown once.
    #[command(after_help = "\
Examples:
  tidewatch token create --org acme
  tidewatch token create --org acme --scope results:read --expires 30d
  tidewatch token create --org acme --scope operator
  (umask 077; tidewatch token create --org acme --expires 365d --quiet > token)

The umask keeps the file from other users.")]
    Create(CreateToken),
    /// List tokens, without their secrets.
    #[command(after_help = "\
Examples:
  tidewatch token list
  tidewatch token list --org acme --format json")]
    List(Org),
    /// Revoke a token: it is refused from the next request on.
    #[command(after_help = "\
Examples:
  tidewatch token revoke 0123456789abcdef")]
    Revoke(RevokeToken),
}

#[derive(Debug, Args)]
pub(crate) struct CreateToken {
    /// What the token allows.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) scope: ScopeName,
    /// When it stops to be good: 30d, 52w. Without it, it stays good until it is revoked.
    #[arg(long, value_name = "PERIOD")]
    pub(crate) expires: Option<Period>,
    #[command(flatten)]
    pub(crate) org: Org,
}

/// The scopes by their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeName {
    /// Read the metrics.
    #[default]
    #[value(name = "metrics:read")]
    MetricsRead,
    /// Read the results of images.
    #[value(name = "results:read")]
    ResultsRead,
    /// Read the metrics, and beside them how much is in the queues of the whole deployment.
    #[value(name = "operator")]
    Operator,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::MetricsRead => Self::MetricsRead,
            ScopeName::ResultsRead => Self::ResultsRead,
            ScopeName::Operator => Self::Operator,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RevokeToken {
    /// The id of the token: what stands between the underscores of twd_ID_SECRET.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) org: Org,
}
