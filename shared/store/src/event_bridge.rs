//! The port of events on EventBridge.
//!
//! Events have the source `tidewatch` and the detail type `Image Newly Affected`; the detail is the event, and the resources
//! are the repositories with the digest. Reference:
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use std::ops::Range;

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::{DisplayErrorContext, SdkError};
use aws_sdk_eventbridge::operation::put_events::PutEventsError;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use aws_types::SdkConfig;
use futures::StreamExt as _;
use tidewatch_core::event::AffectedEvent;
use tidewatch_core::ports::events::{EventBus, EventBusError};

/// The source of the events.
const SOURCE: &str = "tidewatch";

/// The detail type of the events.
const DETAIL_TYPE: &str = "Image Newly Affected";

/// The most entries of one request.
const MOST_ENTRIES: usize = 10;

/// The most bytes of the entries of one request: 256 KiB with what counts beside the details.
const MOST_BYTES: usize = 200 * 1024;

/// How many requests are under way at a time.
const CONCURRENT_REQUESTS: usize = 8;

/// An event bus of EventBridge.
#[derive(Clone, Debug)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

/// Some entry was not taken, for now.
#[derive(Debug, thiserror::Error)]
#[error("the entry was not taken: {0}")]
struct NotTaken(String);

impl EventBridge {
    /// The bus with this name or ARN, with the region, credentials and endpoint of `config`.
    pub fn new(config: &SdkConfig, bus: String) -> Self {
        Self { client: Client::new(config), bus }
    }

    fn entry(&self, event: &AffectedEvent) -> Result<PutEventsRequestEntry, EventBusError> {
        let detail = serde_json::to_string(event)
            .map_err(|error| EventBusError::Refused { reason: error.to_string() })?;
        let resource = |member: &tidewatch_core::event::EventMember| {
            format!("{}/{}@{}", member.registry, member.repository, event.digest)
        };
        let mut resources: Vec<String> = event.members.iter().map(resource).collect();
        resources.sort_unstable();
        resources.dedup();
        let entry = PutEventsRequestEntry::builder()
            .source(SOURCE)
            .detail_type(DETAIL_TYPE)
            .detail(detail)
            .event_bus_name(&self.bus)
            .set_resources(Some(resources));
        Ok(entry.build())
    }

    /// Puts the entries of one request, and says of each whether it was taken.
    async fn put_entries(&self, entries: Vec<PutEventsRequestEntry>) -> Vec<Result<(), EventBusError>> {
        let count = entries.len();
        match self.client.put_events().set_entries(Some(entries)).send().await {
            Ok(answer) => {
                let mut answers = answer.entries.unwrap_or_default().into_iter();
                // What the answer does not speak of was not taken as far as we know.
                let missing = || Err(unavailable(NotTaken("the answer does not tell".to_owned())));
                (0..count).map(|_| answers.next().map_or_else(missing, |answer| taken(&answer))).collect()
            }
            Err(error) => {
                let reason = DisplayErrorContext(&error).to_string();
                (0..count).map(|_| Err(failure(&error, &reason))).collect()
            }
        }
    }
}

#[async_trait]
impl EventBus for EventBridge {
    async fn put(&self, events: &[AffectedEvent]) -> Vec<Result<(), EventBusError>> {
        let entries: Vec<Result<PutEventsRequestEntry, EventBusError>> =
            events.iter().map(|event| self.entry(event)).collect();
        let sizes: Vec<usize> = entries.iter().map(|entry| entry.as_ref().map_or(0, size)).collect();
        let mut entries = entries.into_iter();
        let requests = requests(&sizes).into_iter().map(|range| entries.by_ref().take(range.len()).collect());
        let requests: Vec<Vec<Result<PutEventsRequestEntry, EventBusError>>> = requests.collect();
        let answers = futures::stream::iter(requests).map(|request| async move {
            let good = request.iter().filter_map(|entry| entry.as_ref().ok().cloned()).collect::<Vec<_>>();
            let mut answers =
                if good.is_empty() { Vec::new() } else { self.put_entries(good).await }.into_iter();
            let missing = || Err(unavailable(NotTaken("nothing is told of it".to_owned())));
            let of = |entry: Result<PutEventsRequestEntry, EventBusError>| match entry {
                Ok(_) => answers.next().unwrap_or_else(missing),
                Err(error) => Err(error),
            };
            request.into_iter().map(of).collect::<Vec<_>>()
        });
        answers.buffered(CONCURRENT_REQUESTS).collect::<Vec<_>>().await.into_iter().flatten().collect()
    }
}

/// What counts of an entry: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
fn size(entry: &PutEventsRequestEntry) -> usize {
    let resources: usize = entry.resources().iter().map(String::len).sum();
    resources + entry.detail().map_or(0, str::len) + SOURCE.len() + DETAIL_TYPE.len()
}

/// The entries of these `sizes` in their order, in as few requests as they fit in.
fn requests(sizes: &[usize]) -> Vec<Range<usize>> {
    let mut requests: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (position, size) in sizes.iter().enumerate() {
        bytes += size;
        match requests.last_mut() {
            Some(request) if request.len() < MOST_ENTRIES && bytes <= MOST_BYTES => {
                request.end = position + 1;
            }
            _ => {
                bytes = *size;
                requests.push(position..position + 1);
            }
        }
    }
    requests
}

/// Whether an entry of an answered request was taken.
fn taken(answer: &PutEventsResultEntry) -> Result<(), EventBusError> {
    let Some(code) = answer.error_code() else { return Ok(()) };
    let reason = format!("{code}: {}", answer.error_message().unwrap_or("no reason is given"));
    Err(if blames_the_event(code) {
        EventBusError::Refused { reason }
    } else {
        unavailable(NotTaken(reason))
    })
}

/// What a failed request means for each of its entries.
fn failure<R>(error: &SdkError<PutEventsError, R>, reason: &str) -> EventBusError {
    match error {
        SdkError::ConstructionFailure(_) => EventBusError::Refused { reason: reason.to_owned() },
        _ => unavailable(NotTaken(reason.to_owned())),
    }
}

fn unavailable(source: NotTaken) -> EventBusError {
    EventBusError::Unavailable { source: Box::new(source) }
}

/// Whether `code` blames what the event says: everything else, such as a missing permission, can be mended while it waits.
fn blames_the_event(code: &str) -> bool {
    matches!(code, "MalformedDetail" | "InvalidArgument" | "NotAuthorizedForSourceException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_in_as_few_requests_as_they_fit_in() {
        assert_eq!(requests(&[1; 25]), [0..10, 10..20, 20..25]);
        assert_eq!(requests(&[MOST_BYTES, 1, MOST_BYTES - 1, 1]), [0..1, 1..3, 3..4]);
        assert!(requests(&[]).is_empty());
    }

    #[test]
    fn an_entry_is_refused_for_what_it_says_and_else_comes_again() {
        let answer = |code: Option<&str>| {
            let answer = PutEventsResultEntry::builder().set_error_code(code.map(str::to_owned)).build();
            taken(&answer)
        };
        assert!(answer(None).is_ok());
        assert!(matches!(answer(Some("MalformedDetail")), Err(EventBusError::Refused { .. })));
        for code in ["ThrottlingException", "InternalFailure", "AccessDeniedException"] {
            assert!(matches!(answer(Some(code)), Err(EventBusError::Unavailable { .. })), "{code}");
        }
    }
}
