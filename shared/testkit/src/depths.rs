//! Queues that hold what a test says, fail or do not answer when it says so, and count how often they are asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidewatch_core::ports::QueueDepths;
use tidewatch_core::ports::queue::{QueueError, QueueName};
use tidewatch_core::ports::queue_depths::QueueDepth;

/// What a queue answers.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Depth(QueueDepth),
    Failure,
    Nothing,
}

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<QueueName, Answer>,
    asked: usize,
}

/// Queues of which a test decides what they answer. At first all are empty.
#[derive(Debug, Default)]
pub struct SettableDepths(Mutex<State>);

impl SettableDepths {
    /// Empty queues.
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on `queue` holds this.
    pub fn set(&self, queue: QueueName, depth: QueueDepth) {
        self.state().answers.insert(queue, Answer::Depth(depth));
    }

    /// From here on `queue` cannot be asked.
    pub fn fail(&self, queue: QueueName) {
        self.state().answers.insert(queue, Answer::Failure);
    }

    /// From here on `queue` never answers.
    pub fn silence(&self, queue: QueueName) {
        self.state().answers.insert(queue, Answer::Nothing);
    }

    /// How often a queue was asked, all of them together.
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl QueueDepths for SettableDepths {
    async fn depth(&self, queue: QueueName) -> Result<QueueDepth, QueueError> {
        let answer = {
            let mut state = self.state();
            state.asked += 1;
            state.answers.get(&queue).copied().unwrap_or(Answer::Depth(QueueDepth::default()))
        };
        // As a real queue is: others have their turn meanwhile.
        tokio::task::yield_now().await;
        match answer {
            Answer::Depth(depth) => Ok(depth),
            Answer::Failure => {
                Err(QueueError::Unavailable { queue, source: "the test asked for this".into() })
            }
            Answer::Nothing => std::future::pending().await,
        }
    }
}
