//! Tokens: only the SHA-256 of each is kept.

use jiff::Timestamp;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Item, Query, Write};
use tidewatch_core::token::TokenRecord;

use super::{ITEM_VERSION, RecordError, Records, encode, keys};

impl Records {
    /// Stores a new token.
    pub async fn put_token(&self, token: &TokenRecord) -> Result<(), RecordError> {
        let entry = Item::new(keys::org_token(&token.org, &token.id)).with("v", ITEM_VERSION);
        let writes = vec![
            Write::Put(encode(keys::token(&token.id), token)?, Condition::ItemAbsent),
            Write::Put(entry, Condition::Always),
        ];
        Ok(self.transact(writes).await?)
    }

    /// The token with this id, strongly consistent: a revoked one is refused from the next request on.
    pub async fn token(&self, id: &str) -> Result<Option<TokenRecord>, RecordError> {
        self.record(&keys::token(id)).await
    }

    /// The tokens of an organisation, oldest first.
    pub async fn tokens(&self, org: &OrgName) -> Result<Vec<TokenRecord>, RecordError> {
        let entries = self.all(Query::prefix(keys::org(org), keys::TOKEN)).await?;
        let mut tokens = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = entry.key.sort.trim_start_matches(keys::TOKEN);
            tokens.extend(self.token(id).await?);
        }
        tokens.sort_by_key(|token| token.created_at);
        Ok(tokens)
    }

    /// Revokes a token of an organisation. `None` when it has none with this id; one that is revoked already stays so.
    pub async fn revoke_token(
        &self,
        org: &OrgName,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<TokenRecord>, RecordError> {
        let Some(mut token) = self.token(id).await?.filter(|token| token.org == *org) else {
            return Ok(None);
        };
        if token.revoked_at.is_none() {
            token.revoked_at = Some(now);
            self.table.put(encode(keys::token(id), &token)?, Condition::ItemPresent).await?;
        }
        Ok(Some(token))
    }
}
