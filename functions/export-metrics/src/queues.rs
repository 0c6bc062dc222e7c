//! What operators are told of the queues: asked when somebody wants to know, and kept for some seconds, so that any number
//! of scrapers costs the queues the same.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::ports::{QueueDepths, Sleeper};
use tidewatch_core::stream::render_queues;
use tidewatch_runtime::messages::describe;
use tidewatch_runtime::queue_depths::queue_depths;
use tokio::sync::Mutex;

/// How long an answer of the queues is told before they are asked again. The numbers of SQS follow within a minute anyway.
const KEPT: Duration = Duration::from_secs(10);

/// How long a queue may take. The function has 10 seconds, as long as Prometheus waits by default.
const LIMIT: Duration = Duration::from_secs(3);

/// The families of the queues at one time.
#[derive(Debug)]
pub(crate) struct QueueText {
    text: String,
    digest: Digest,
}

impl QueueText {
    fn new(text: String) -> Self {
        Self { digest: Digest::of(text.as_bytes()), text }
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its digest.
    pub(crate) const fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// The queues, with what they said last.
pub(crate) struct Queues {
    port: Arc<dyn QueueDepths>,
    sleeper: Arc<dyn Sleeper>,
    /// When they were last asked. It is held while they are: who comes meanwhile gets the same answer.
    last: Mutex<Option<(Timestamp, Arc<QueueText>)>>,
}

impl Queues {
    /// Queues that were not asked yet. `sleeper` says when one has taken too long.
    pub(crate) fn new(port: Arc<dyn QueueDepths>, sleeper: Arc<dyn Sleeper>) -> Self {
        Self { port, sleeper, last: Mutex::default() }
    }

    /// What they say at `now`, or have said up to [`KEPT`] before. A queue that cannot be asked is told as such, and is
    /// not asked sooner again than the others.
    pub(crate) async fn text(&self, now: Timestamp) -> Arc<QueueText> {
        let mut last = self.last.lock().await;
        // Also after a clock was set back, when the last time may be a later one.
        if let Some((at, text)) = &*last
            && now.duration_since(*at).unsigned_abs() < KEPT
        {
            return Arc::clone(text);
        }
        let text = Arc::new(QueueText::new(self.ask().await));
        *last = Some((now, Arc::clone(&text)));
        text
    }

    async fn ask(&self) -> String {
        let answers = queue_depths(&*self.port, &*self.sleeper, LIMIT).await;
        let known = answers.into_iter().map(|(queue, answer)| {
            let depth = answer.inspect_err(|error| {
                tracing::warn!(queue.name = %queue, error = %describe(error), "queue cannot be asked");
            });
            (queue, depth.ok())
        });
        render_queues(&known.collect())
    }
}
