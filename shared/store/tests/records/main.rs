//! What records promise, on the table in memory, also when transactions conflict, on that of local mode, and on an embedded
//! DynamoDB.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// Makes one test for each promise on each table: a promise takes a fresh `World`.
macro_rules! on_every_table {
    ($($promise:ident),+ $(,)?) => {
        mod on_memory {
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(crate::world::World::on_memory()).await;
                }
            )+
        }
        mod on_memory_with_conflicts {
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(crate::world::World::with_conflicts()).await;
                }
            )+
        }
        mod on_local_table {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::$promise(crate::world::World::on_local_table().await).await;
                }
            )+
        }
        mod on_embedded_dynamodb {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::$promise(crate::world::World::on_embedded_dynamodb().await).await;
                }
            )+
        }
    };
}

mod announcements;
mod budgets;
mod countings;
mod held;
mod hooks;
mod inventories;
mod layers;
mod listings;
mod postings;
mod pushed;
mod schema;
mod streams;
mod tags;
mod tenants;
mod vex;
mod work;
mod world;
