//! Where a deployed process keeps things: the table, the bucket and the queues of its stack, by their names.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_types::SdkConfig;
use tidewatch_core::ports::Sleeper;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::retry::{Retry, Retryable};

use crate::{DynamoDbTable, ObjectStorage, ObjectStorageError, Records, SqsQueue};

/// The names of what a stack stores in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The DynamoDB table.
    pub table: String,
    /// The S3 bucket.
    pub bucket: String,
    /// The URL of each SQS queue that the process sends to, receives from, or asks how much is in it.
    pub queues: BTreeMap<QueueName, String>,
    /// The URL of the dead-letter queue of each queue that the process asks how much is in it.
    pub dead_letter_queues: BTreeMap<QueueName, String>,
}

/// A variable that the template of the stack sets is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to find what the stack stores in: the environment variable {0} is not set")]
pub struct MissingVariable(pub String);

impl Retryable for MissingVariable {
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Places {
    /// What `environment` names: `TIDEWATCH_TABLE` and `TIDEWATCH_BUCKET`, which must be there,
    /// `TIDEWATCH_QUEUE_<NAME>` with the URL of a queue, such as `TIDEWATCH_QUEUE_SCANS`, and
    /// `TIDEWATCH_DEAD_LETTER_QUEUE_<NAME>` with that of its dead-letter queue. An empty variable is one that is not set.
    pub fn from_environment(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, MissingVariable> {
        let optional = |name: &str| environment(name).filter(|value| !value.is_empty());
        let required = |name: &str| optional(name).ok_or_else(|| MissingVariable(name.to_owned()));
        let urls = |prefix: &str| {
            let url = |name: QueueName| Some((name, optional(&queue_variable(prefix, name))?));
            QueueName::ALL.into_iter().filter_map(url).collect()
        };
        Ok(Self {
            table: required("TIDEWATCH_TABLE")?,
            bucket: required("TIDEWATCH_BUCKET")?,
            queues: urls(QUEUE),
            dead_letter_queues: urls(DEAD_LETTER_QUEUE),
        })
    }
}

/// How the variables begin that hold the URLs of queues, and of their dead-letter queues.
const QUEUE: &str = "TIDEWATCH_QUEUE_";
const DEAD_LETTER_QUEUE: &str = "TIDEWATCH_DEAD_LETTER_QUEUE_";

/// The variable of `queue` among those that begin with `prefix`.
fn queue_variable(prefix: &str, queue: QueueName) -> String {
    format!("{prefix}{}", queue.as_str().to_ascii_uppercase())
}

/// What a stack stores in, opened. Nothing was asked of AWS yet.
#[derive(Clone)]
pub struct Deployed {
    /// The records, on the table and the bucket.
    pub records: Records,
    /// The queues.
    pub queue: SqsQueue,
}

impl Deployed {
    /// Opens `places` with the region, credentials and endpoint of `config`. `sleeper` waits before what failed is
    /// tried again.
    pub fn open(
        config: &SdkConfig,
        places: Places,
        sleeper: Arc<dyn Sleeper>,
    ) -> Result<Self, ObjectStorageError> {
        let objects = ObjectStorage::s3(config, &places.bucket)?;
        let table = DynamoDbTable::of(config, places.table);
        let records = Records::new(Arc::new(table), Arc::new(objects), Arc::clone(&sleeper));
        let queue = SqsQueue::new(config, places.queues, sleeper);
        Ok(Self { records, queue: queue.with_dead_letter_queues(places.dead_letter_queues) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(environment: &[(&str, &str)]) -> Result<Places, MissingVariable> {
        let value = |name: &str| environment.iter().find(|(set, _)| *set == name);
        Places::from_environment(&|name| value(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_process_has_the_queues_that_its_environment_names() {
        let complete = [
            ("TIDEWATCH_TABLE", "tw"),
            ("TIDEWATCH_BUCKET", "tw-objects"),
            ("TIDEWATCH_QUEUE_SCANS", "https://sqs/1/scans"),
            ("TIDEWATCH_QUEUE_HINTS", ""),
            ("TIDEWATCH_QUEUE_OTHERS", "https://sqs/1/others"),
            ("TIDEWATCH_DEAD_LETTER_QUEUE_HINTS", "https://sqs/1/hints-dead"),
        ];
        let expected = Places {
            table: "tw".to_owned(),
            bucket: "tw-objects".to_owned(),
            queues: BTreeMap::from([(QueueName::Scans, "https://sqs/1/scans".to_owned())]),
            dead_letter_queues: BTreeMap::from([(QueueName::Hints, "https://sqs/1/hints-dead".to_owned())]),
        };
        assert_eq!(places(&complete), Ok(expected));
    }

    #[test]
    fn every_queue_has_its_variable() {
        let of = |prefix| QueueName::ALL.map(|queue| queue_variable(prefix, queue));
        let variables = [of(QUEUE), of(DEAD_LETTER_QUEUE)].concat();
        let distinct: std::collections::BTreeSet<_> = variables.iter().collect();
        assert_eq!(distinct.len(), 2 * QueueName::ALL.len());
        assert_eq!(variables[0], "TIDEWATCH_QUEUE_ADVISORIES");
        assert_eq!(of(DEAD_LETTER_QUEUE)[0], "TIDEWATCH_DEAD_LETTER_QUEUE_ADVISORIES");
    }

    #[test]
    fn table_and_bucket_must_be_named() {
        let missing = |environment: &[_]| places(environment).unwrap_err().0;
        assert_eq!(missing(&[("TIDEWATCH_BUCKET", "b")]), "TIDEWATCH_TABLE");
        assert_eq!(missing(&[("TIDEWATCH_TABLE", "")]), "TIDEWATCH_TABLE");
        assert_eq!(missing(&[("TIDEWATCH_TABLE", "t")]), "TIDEWATCH_BUCKET");
    }
}
