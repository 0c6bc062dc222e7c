//! The port of events in local mode: a line of the log for each.

use async_trait::async_trait;
use tidewatch_core::event::AffectedEvent;
use tidewatch_core::names::StreamName;
use tidewatch_core::ports::events::{EventBus, EventBusError};

/// Writes events to the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventLog;

#[async_trait]
impl EventBus for EventLog {
    async fn put(&self, events: &[AffectedEvent]) -> Vec<Result<(), EventBusError>> {
        events.iter().for_each(write);
        events.iter().map(|_| Ok(())).collect()
    }
}

fn write(event: &AffectedEvent) {
    let streams: Vec<&str> = event.streams.iter().map(StreamName::as_str).collect();
    let members = event.members.iter();
    let members: Vec<String> =
        members.map(|member| format!("{}/{}:{}", member.registry, member.repository, member.tag)).collect();
    let packages: Vec<&str> = event.packages.iter().map(|package| package.purl.as_str()).collect();
    tracing::info!(
        event.id = %event.id, org.name = %event.org, vulnerability.id = event.vulnerability,
        vulnerability.severity = %event.severity, image.digest = %event.digest, image.platform = %event.platform,
        image.names = members.join(" "), stream.names = streams.join(" "), packages = packages.join(" "),
        "image newly affected"
    );
}
