//! What a scan writes and reads, compared with the numbers that estimates are made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tidewatch_core::cost::model;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Item, Key, Page, Query, TableError, Update, Value, Write};
use tidewatch_runtime::{Deadline, MessageHandler as _};

use crate::images::{debian, file, image};
use crate::world::{World, acme, message};

/// A table that counts units as DynamoDB does, on demand: a write has one for each KB, and two in a transaction; a read one
/// for each 4 KB.
struct CountingTable {
    table: Arc<dyn Table>,
    writes: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
}

fn size(item: &Item) -> u64 {
    let value = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Number(_) => 8,
        Value::Bytes(bytes) => bytes.len(),
    };
    let attributes = item.attributes.iter().map(|(name, of)| name.len() + value(of)).sum::<usize>();
    (attributes + item.key.partition.len() + item.key.sort.len() + 4) as u64
}

impl CountingTable {
    fn wrote(&self, units: u64) {
        self.writes.fetch_add(units, Ordering::Relaxed);
    }

    fn read<'a>(&self, items: impl IntoIterator<Item = &'a Item>) {
        let bytes: u64 = items.into_iter().map(size).sum();
        self.reads.fetch_add(bytes.div_ceil(4096).max(1), Ordering::Relaxed);
    }
}

#[async_trait]
impl Table for CountingTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let item = self.table.get(key).await?;
        self.read(&item);
        Ok(item)
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        let items = self.table.get_batch(keys).await?;
        // Each by itself, also one that is not there.
        self.reads.fetch_add(keys.len() as u64, Ordering::Relaxed);
        Ok(items)
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError> {
        self.wrote(size(&item).div_ceil(1024));
        self.table.put(item, condition).await
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError> {
        self.wrote(1);
        self.table.delete(key, condition).await
    }

    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError> {
        self.wrote(1);
        self.table.update(key, update, condition).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        for write in &writes {
            let Write::Put(item, _) = write else {
                self.wrote(2);
                continue;
            };
            self.wrote(2 * size(item).div_ceil(1024));
        }
        self.table.transact(writes).await
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        let page = self.table.query(query).await?;
        self.read(&page.items);
        Ok(page)
    }
}

/// Write and read units, and objects and requests, of a scan of an image with so many layers, which are new.
async fn scanned(layers: usize) -> [u64; 4] {
    let world = World::new().await;
    let mut of_image = vec![debian(&[("openssl", "1")])];
    of_image.extend((1..layers).map(|number| file(&format!("app-{number}"))));
    let work = world.push_work("team/web", &image(&of_image.iter().collect::<Vec<_>>()));
    world.enqueue(&work).await;
    let (writes, reads) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let records = world.records_on(|table| {
        Arc::new(CountingTable { table, writes: Arc::clone(&writes), reads: Arc::clone(&reads) })
    });
    let before = world.objects_stored().await;
    world.worker_with(records).handle(message(&work), Deadline::NONE).await.unwrap();
    assert_eq!(world.records.pending_work(&acme(), &work.image).await.unwrap(), None, "it is scanned");
    let objects = world.objects_stored().await - before;
    let requests = world.registry.requests().len() as u64;
    [writes.load(Ordering::Relaxed), reads.load(Ordering::Relaxed), objects, requests]
}

#[tokio::test]
async fn a_scan_costs_what_estimates_are_made_of() {
    let [few, many] = [scanned(2).await, scanned(6).await];
    let [writes, reads, objects, requests] =
        [0, 1, 2, 3].map(|what| ((many[what] - few[what]) / 4, few[what] - (many[what] - few[what]) / 2));
    assert_eq!(objects.0, 1, "an inventory for each layer");
    assert_eq!(requests.0, 1, "a blob for each layer");
    assert_eq!(requests.1, model::REQUESTS_PER_IMAGE);
    assert_eq!(writes.0, model::WRITES_PER_LAYER);
    // Sizes differ from image to image: never less than is written here, and not much more.
    for (measured, modelled, of) in [
        (writes.1, model::WRITES_PER_SCAN, "writes"),
        (reads.1, model::READS_PER_SCAN, "reads"),
        (reads.0, model::READS_PER_LAYER, "reads of a layer"),
        (objects.1, model::PUTS_PER_SCAN, "objects"),
    ] {
        assert!(
            measured <= modelled && modelled <= measured + measured.div_ceil(3),
            "{of}: {measured}, {modelled}"
        );
    }
}
