//! The ports: what the domain needs from the world. Each has a real adapter, and the stateful ones have a contract
//! suite in the testkit that every adapter passes.

pub mod budgets;
pub mod clock;
pub mod events;
pub mod identity;
pub mod objects;
pub mod queue;
pub mod queue_depths;
pub mod registry;
pub mod table;

pub use budgets::RateBudgets;
pub use clock::{Clock, Sleeper};
pub use events::EventBus;
pub use identity::{Ids, Randomness};
pub use objects::Objects;
pub use queue::{QueueReceiver, QueueSender};
pub use queue_depths::QueueDepths;
pub use registry::{Registries, Registry};
pub use table::Table;
