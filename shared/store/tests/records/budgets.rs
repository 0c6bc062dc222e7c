//! Rate budgets in the table.

use std::sync::Arc;

use tidewatch_core::budget::{Account, Level, Plan};
use tidewatch_core::ports::RateBudgets;
use tidewatch_core::ports::budgets::{Taken, Wish};
use tidewatch_core::ports::table::Key;
use tidewatch_testkit::budgets_contract;
use tidewatch_testkit::contract::budgets::rate;

use crate::world::{World, at};

async fn on_memory_table() -> Arc<dyn RateBudgets> {
    Arc::new(World::on_memory().records)
}

async fn on_embedded_table() -> Arc<dyn RateBudgets> {
    Arc::new(World::on_embedded_dynamodb().await.records)
}

budgets_contract!(budgets_on_memory, crate::budgets::on_memory_table);
budgets_contract!(budgets_on_embedded_dynamodb, crate::budgets::on_embedded_table);

on_every_table!(
    a_bucket_and_a_pause_are_items_that_expire,
    a_bucket_that_cannot_be_full_is_added_to_without_another_write,
);

fn account() -> Account {
    Account { host: "hub.example.com".to_owned(), credential: "env:LOGIN".to_owned() }
}

async fn a_bucket_and_a_pause_are_items_that_expire(world: World) {
    let plan = Plan::of(&rate(10, "1s", 20));
    let wish = Wish { bucket: 0, requests: 5, seen: Level::FULL };
    world.records.take_requests(&account(), &plan, wish, at(1000)).await.unwrap();
    world.records.put_not_before(&account(), at(1060), at(1000)).await.unwrap();
    let item = |sort| Key::new("BUDGET#hub.example.com#env:LOGIN", sort);
    let bucket = world.table.get(&item("BUCKET#00")).await.unwrap().unwrap();
    let (level, second) = (at(1000).as_microsecond() + 500_000, at(1000).as_second());
    assert_eq!(bucket.number("level"), Some(level), "five of 100 ms");
    assert_eq!(bucket.number("ttl"), Some(second + 86_400));
    let pause = world.table.get(&item("NOT-BEFORE")).await.unwrap().unwrap();
    assert_eq!(
        (pause.number("not_before"), pause.number("ttl")),
        (Some((second + 60) * 1000), Some(second + 60 + 86_400))
    );
}

/// A level that was seen is no reason to believe that nobody else has moved it on.
async fn a_bucket_that_cannot_be_full_is_added_to_without_another_write(world: World) {
    let plan = Plan::of(&rate(10, "1s", 20));
    let take = async |seen| {
        let wish = Wish { bucket: 0, requests: 10, seen };
        world.records.take_requests(&account(), &plan, wish, at(1000)).await.unwrap()
    };
    let Taken::Block(_, first) = take(Level::FULL).await else { panic!("nothing is left") };
    let Taken::Block(block, second) = take(Level::FULL).await else { panic!("nothing is left") };
    assert_eq!((block.requests, second.0 - first.0), (8, 800_000));
    let Taken::Block(block, third) = take(first).await else { panic!("nothing is left") };
    assert_eq!((block.requests, third.0 - second.0), (8, 800_000));
}
