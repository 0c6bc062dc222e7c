//! How much is in all queues: they are asked at the same time, and none is waited for longer than the others may take.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use tidewatch_core::ports::queue::{QueueError, QueueName};
use tidewatch_core::ports::queue_depths::QueueDepth;
use tidewatch_core::ports::{QueueDepths, Sleeper};

/// A queue did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("it did not answer within {} ms", .0.as_millis())]
struct NoAnswer(Duration);

/// How much is in each queue. One that has not answered when `sleeper` has slept for `limit` is
/// [`QueueError::Unavailable`], and none of the others is held up by it.
pub async fn queue_depths(
    queues: &dyn QueueDepths,
    sleeper: &dyn Sleeper,
    limit: Duration,
) -> BTreeMap<QueueName, Result<QueueDepth, QueueError>> {
    let asked = QueueName::ALL.map(|queue| async move { (queue, ask(queues, queue, sleeper, limit).await) });
    join_all(asked).await.into_iter().collect()
}

async fn ask(
    queues: &dyn QueueDepths,
    queue: QueueName,
    sleeper: &dyn Sleeper,
    limit: Duration,
) -> Result<QueueDepth, QueueError> {
    match select(queues.depth(queue), sleeper.sleep(limit)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => Err(QueueError::Unavailable { queue, source: Box::new(NoAnswer(limit)) }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use tokio::sync::Barrier;

    use super::*;
    use crate::messages::describe;
    use crate::system::SystemSleeper;

    const LIMIT: Duration = Duration::from_millis(500);

    /// Queues that answer when all of them were asked, but for one that fails and one that never answers.
    struct Together(Arc<Barrier>);

    #[async_trait]
    impl QueueDepths for Together {
        async fn depth(&self, queue: QueueName) -> Result<QueueDepth, QueueError> {
            self.0.wait().await;
            match queue {
                QueueName::Hints => std::future::pending().await,
                QueueName::Pushed => Err(QueueError::Unavailable { queue, source: "it is away".into() }),
                _ => Ok(QueueDepth { visible: 7, ..QueueDepth::default() }),
            }
        }
    }

    #[tokio::test]
    async fn queues_are_asked_at_the_same_time_and_one_that_does_not_answer_holds_up_no_other() {
        let queues = Together(Arc::new(Barrier::new(QueueName::ALL.len())));
        let depths = queue_depths(&queues, &SystemSleeper, LIMIT).await;
        assert!(depths.keys().copied().eq(QueueName::ALL));
        for (queue, answer) in depths {
            let said = answer.map(|depth| depth.visible).map_err(|error| describe(&error));
            let expected = match queue {
                QueueName::Hints => {
                    Err("failed to reach queue hints: it did not answer within 500 ms".to_owned())
                }
                QueueName::Pushed => Err("failed to reach queue pushed: it is away".to_owned()),
                _ => Ok(7),
            };
            assert_eq!(said, expected, "{queue}");
        }
    }
}
