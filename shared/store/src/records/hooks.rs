//! Hooks: of their secrets only the SHA-256 is kept.

use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::hook::{HookId, HookRecord};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Item, Query, Write};

use super::{ITEM_VERSION, RecordError, Records, decode, encode, keys, unless_condition_failed};

impl Records {
    /// Stores a new hook.
    pub async fn put_hook(&self, hook: &HookRecord) -> Result<(), RecordError> {
        let entry = Item::new(keys::org_hook(&hook.org, &hook.id)).with("v", ITEM_VERSION);
        let writes = vec![
            Write::Put(encode(keys::hook(&hook.id), hook)?, Condition::ItemAbsent),
            Write::Put(entry, Condition::Always),
        ];
        Ok(self.transact(writes).await?)
    }

    /// The hook with this id, strongly consistent: a revoked one is refused from the next call on.
    pub async fn hook(&self, id: &HookId) -> Result<Option<HookRecord>, RecordError> {
        self.record(&keys::hook(id)).await
    }

    /// The hooks of an organisation, oldest first.
    pub async fn hooks(&self, org: &OrgName) -> Result<Vec<HookRecord>, RecordError> {
        let entries = self.all(Query::prefix(keys::org(org), keys::HOOK)).await?;
        let mut hooks = Vec::with_capacity(entries.len());
        for entry in entries {
            // An entry that is no id has no hook.
            let Ok(id) = entry.key.sort.trim_start_matches(keys::HOOK).parse() else { continue };
            hooks.extend(self.hook(&id).await?);
        }
        hooks.sort_by_key(|hook| hook.created_at);
        Ok(hooks)
    }

    /// Revokes a hook of an organisation. `None` when it has none with this id; one that is revoked already stays so.
    pub async fn revoke_hook(
        &self,
        org: &OrgName,
        id: &HookId,
        now: Timestamp,
    ) -> Result<Option<HookRecord>, RecordError> {
        self.change_hook(org, id, |hook| {
            hook.revoked_at.get_or_insert(now);
        })
        .await
    }

    /// Makes the secret with this SHA-256 good for a hook of an organisation, beside the newest of those before. `None`
    /// when it has none with this id that is not revoked.
    pub async fn rotate_hook(
        &self,
        org: &OrgName,
        id: &HookId,
        secret: Digest,
    ) -> Result<Option<HookRecord>, RecordError> {
        let rotated = self.change_hook(org, id, |hook| {
            if hook.revoked_at.is_none() {
                hook.rotate(secret);
            }
        });
        Ok(rotated.await?.filter(|hook| hook.revoked_at.is_none()))
    }

    /// Changes a hook, again on what somebody else has made of it in the meantime: a revocation is never undone.
    async fn change_hook(
        &self,
        org: &OrgName,
        id: &HookId,
        change: impl Fn(&mut HookRecord) + Send,
    ) -> Result<Option<HookRecord>, RecordError> {
        let key = keys::hook(id);
        loop {
            let Some(item) = self.table.get(&key).await? else { return Ok(None) };
            let mut hook: HookRecord = decode(&item)?;
            if hook.org != *org {
                return Ok(None);
            }
            let read = item.text("data").unwrap_or_default().to_owned();
            change(&mut hook);
            let unchanged = Condition::Equal("data".to_owned(), read.into());
            let put = self.table.put(encode(key.clone(), &hook)?, unchanged).await;
            if unless_condition_failed(put)?.is_some() {
                return Ok(Some(hook));
            }
        }
    }
}
