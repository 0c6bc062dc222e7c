//! The outputs of a stack: where its table, its bucket and its queues are.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::Output;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_store::Places;

use super::failure::StackError;
use crate::instance::StackName;

/// The outputs with the name of the table, with that of the bucket, and with the URL of the HTTP API.
const TABLE: &str = "Table";
const BUCKET: &str = "Bucket";
const URL: &str = "ApiUrl";

/// The output with the URL of a queue: `QueueScans`. That of its dead-letter queue is [`DEAD_LETTER`] and this.
fn queue_output(queue: QueueName) -> String {
    let name = queue.as_str();
    let (first, rest) = name.split_at(1);
    format!("Queue{}{rest}", first.to_ascii_uppercase())
}

/// How the outputs begin with the URLs of dead-letter queues: `DeadLetterQueueScans`. A stack can be worked on without
/// them; then nobody knows how much is in its queues.
const DEAD_LETTER: &str = "DeadLetter";

/// The places of the stack `name` by its outputs, and the URL of its HTTP API without a slash at its end, where it has
/// one. Outputs of other names are left alone: a later version may have more.
pub(super) fn read(name: &StackName, outputs: &[Output]) -> Result<(Places, Option<String>), StackError> {
    let values: BTreeMap<&str, &str> = outputs
        .iter()
        .filter_map(|output| Some((output.output_key()?, output.output_value()?)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let mut missing = Vec::new();
    let mut take = |key: &str| {
        let value = values.get(key).map(|value| (*value).to_owned());
        value.unwrap_or_else(|| {
            missing.push(key.to_owned());
            String::new()
        })
    };
    let dead = |queue| {
        let url = values.get(format!("{DEAD_LETTER}{}", queue_output(queue)).as_str())?;
        Some((queue, (*url).to_owned()))
    };
    let places = Places {
        table: take(TABLE),
        bucket: take(BUCKET),
        queues: QueueName::ALL.into_iter().map(|queue| (queue, take(&queue_output(queue)))).collect(),
        dead_letter_queues: QueueName::ALL.into_iter().filter_map(dead).collect(),
    };
    if missing.is_empty() {
        let url = values.get(URL).map(|url| url.trim_end_matches('/').to_owned());
        return Ok((places, url));
    }
    Err(if missing.len() == QueueName::ALL.len() + 2 {
        StackError::NotTidewatch { name: name.clone() }
    } else {
        StackError::MissingOutputs { name: name.clone(), missing }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(key: &str, value: &str) -> Output {
        Output::builder().output_key(key).output_value(value).build()
    }

    fn all() -> Vec<Output> {
        let queues = ["Advisories", "Hints", "Listings", "Pushed", "Rematches", "Rollups", "Scans"];
        let dead = queues
            .map(|queue| output(&format!("DeadLetterQueue{queue}"), &format!("https://sqs/1/{queue}-dead")));
        let queues = queues.map(|queue| output(&format!("Queue{queue}"), &format!("https://sqs/1/{queue}")));
        let rest =
            [("Table", "acme-table"), ("Bucket", "acme-bucket"), ("ApiUrl", "https://api.example.com/")];
        queues.into_iter().chain(dead).chain(rest.map(|(key, value)| output(key, value))).collect()
    }

    fn without(keys: &[&str]) -> Vec<Output> {
        let mut outputs = all();
        outputs.retain(|output| output.output_key().is_none_or(|key| !keys.contains(&key)));
        outputs
    }

    fn read(outputs: &[Output]) -> Result<(Places, Option<String>), StackError> {
        super::read(&"acme".parse().unwrap(), outputs)
    }

    #[test]
    fn every_place_is_read_from_its_output() {
        let mut outputs = all();
        outputs.push(output("QueueOfALaterVersion", "https://sqs/1/later"));
        let (places, url) = read(&outputs).unwrap();
        assert_eq!((places.table.as_str(), places.bucket.as_str()), ("acme-table", "acme-bucket"));
        assert_eq!(places.queues.len(), QueueName::ALL.len());
        assert_eq!(places.queues[&QueueName::Scans], "https://sqs/1/Scans");
        assert_eq!(places.queues[&QueueName::Rollups], "https://sqs/1/Rollups");
        assert_eq!(places.dead_letter_queues.len(), QueueName::ALL.len());
        assert_eq!(places.dead_letter_queues[&QueueName::Scans], "https://sqs/1/Scans-dead");
        assert_eq!(url.as_deref(), Some("https://api.example.com"));
    }

    #[test]
    fn the_outputs_that_an_older_template_lacks_are_all_named() {
        let mut outputs = without(&["QueueHints", "Bucket"]);
        outputs.push(output("Bucket", ""));
        let Err(StackError::MissingOutputs { missing, .. }) = read(&outputs) else {
            panic!("nothing missing")
        };
        assert_eq!(missing, ["Bucket", "QueueHints"]);
    }

    #[test]
    fn a_stack_of_something_else_is_told_from_an_old_one() {
        let error = read(&[output("Website", "https://www.example.com")]).unwrap_err();
        assert!(matches!(error, StackError::NotTidewatch { .. }), "{error}");
    }

    #[test]
    fn a_stack_that_does_not_name_a_dead_letter_queue_can_be_worked_on() {
        let (places, _) = read(&without(&["DeadLetterQueueScans"])).unwrap();
        assert_eq!(places.dead_letter_queues.get(&QueueName::Scans), None);
        assert_eq!(places.dead_letter_queues.len(), QueueName::ALL.len() - 1);
    }

    #[test]
    fn a_stack_without_an_address_can_be_worked_on() {
        assert_eq!(read(&without(&["ApiUrl"])).unwrap().1, None);
    }
}
