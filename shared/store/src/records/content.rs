//! Objects that are named by the hash of what they hold. Images that share packages share them: what this process has stored
//! lately it does not store again. No such object is ever removed (docs/ARCHITECTURE.md, "Object storage").

use std::collections::HashSet;
use std::sync::PoisonError;

use bytes::Bytes;

use super::{RecordError, Records};

/// How many keys are remembered before the older half of them is forgotten.
const MOST: usize = 8_192;

/// The keys of objects that were stored last, in two halves.
#[derive(Debug, Default)]
pub(super) struct StoredKeys {
    newer: HashSet<String>,
    older: HashSet<String>,
}

impl StoredKeys {
    fn contains(&self, key: &str) -> bool {
        self.newer.contains(key) || self.older.contains(key)
    }

    fn note(&mut self, key: &str) {
        if self.newer.len() >= MOST / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key.to_owned());
    }
}

impl Records {
    /// Stores an object whose `key` has the hash of `content`, unless this process has done so lately.
    pub(super) async fn put_content(&self, key: &str, content: Bytes) -> Result<(), RecordError> {
        let lock = || self.stored_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().contains(key) {
            return Ok(());
        }
        self.objects.put(key, content).await?;
        lock().note(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_half_of_many_keys_is_remembered() {
        let mut keys = StoredKeys::default();
        for number in 0..2 * MOST {
            keys.note(&number.to_string());
        }
        assert!(keys.newer.len() + keys.older.len() <= MOST);
        assert!((2 * MOST - MOST / 2..2 * MOST).all(|number| keys.contains(&number.to_string())));
        assert!(!keys.contains("0"));
    }
}
