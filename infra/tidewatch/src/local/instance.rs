//! The data folder of local mode: opened by the process that runs it, or joined by a command beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Table;
use tidewatch_evaluate_rules::EvaluateRules;
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::dynamodb::{EmbeddedError, connect, open_or_connect};
use tidewatch_store::{EmbeddedDynamoDb, LocalQueue, ObjectStorage, Records};

use crate::failure::Failure;

/// The name of the table.
const TABLE: &str = "tidewatch";

/// What is in the data folder.
struct Layout {
    folder: PathBuf,
}

impl Layout {
    fn table(&self) -> PathBuf {
        self.folder.join("table")
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("tidewatch.sock")
    }

    fn queue(&self) -> PathBuf {
        self.folder.join("queue.sqlite")
    }

    fn objects(&self) -> PathBuf {
        self.folder.join("objects")
    }
}

/// The records and the queue of a data folder, whoever runs it.
pub(crate) struct Instance {
    pub(crate) records: Records,
    pub(crate) queue: LocalQueue,
    pub(crate) folder: PathBuf,
    /// Whether some process runs it, so that work is done.
    pub(crate) is_running: bool,
}

/// A data folder that this process runs: no other process does.
pub(crate) struct OwnedInstance {
    pub(crate) instance: Instance,
    pub(crate) table: EmbeddedDynamoDb,
    /// Lets commands in other processes work on the table until it is dropped.
    _bridge: tidewatch_store::dynamodb::Bridge,
}

impl Instance {
    /// The instance of `folder`: through the process that runs it, or its files when none does.
    pub(crate) async fn open(folder: &Path) -> Result<Self, Failure> {
        let layout = Layout { folder: folder.to_owned() };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make the folder {}", folder.display()))?;
        let (table, is_running) = match connect(&layout.socket(), TABLE).await {
            Ok(table) => (table, true),
            // It may start in between, and is found at the socket then.
            Err(EmbeddedError::NotRunning { .. }) => {
                (open_or_connect(&layout.table(), &layout.socket(), TABLE).await?, false)
            }
            Err(error) => return Err(error.into()),
        };
        Self::on(&layout, Arc::new(table), is_running).await
    }

    async fn on(layout: &Layout, table: Arc<dyn Table>, is_running: bool) -> Result<Self, Failure> {
        let objects = ObjectStorage::folder(&layout.objects())?;
        let queue = LocalQueue::open(&layout.queue(), Arc::new(SystemClock)).await?;
        let records = Records::new(table, Arc::new(objects), Arc::new(SystemSleeper));
        Ok(Self { records, queue, folder: layout.folder.clone(), is_running })
    }

    /// The organisation that is meant: the one that was named, or the only one.
    pub(crate) async fn org(&self, named: Option<OrgName>) -> Result<OrgName, Failure> {
        if let Some(named) = named {
            return Ok(named);
        }
        let mut orgs = self.records.orgs().await?;
        match (orgs.pop(), orgs.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(Failure::wrong_use(anyhow::anyhow!("there is no organisation yet"))
                .hint("put a configuration in force: tidewatch apply tidewatch.yaml")),
            (Some(_), false) => Err(Failure::wrong_use(anyhow::anyhow!("there are several organisations"))
                .hint("say which one: --org NAME")),
        }
    }

    /// The function that starts rules.
    pub(crate) fn evaluate_rules(&self) -> EvaluateRules {
        EvaluateRules::new(self.records.clone(), Arc::new(self.queue.clone()), Arc::new(SystemClock))
    }

    /// The folder for files that can be made again.
    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }
}

impl OwnedInstance {
    /// Takes the data folder for this process.
    pub(crate) async fn take(folder: &Path) -> Result<Self, Failure> {
        let layout = Layout { folder: folder.to_owned() };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make the folder {}", folder.display()))?;
        let embedded = EmbeddedDynamoDb::open(&layout.table()).await.map_err(|error| match error {
            EmbeddedError::Running { .. } => Failure::new(error).hint(
                "another `tidewatch up` runs on this data folder; stop it, or give another one by --data",
            ),
            error => Failure::new(error),
        })?;
        let table = embedded.table(TABLE).await?;
        let bridge = embedded.serve(&layout.socket())?;
        let instance = Instance::on(&layout, Arc::new(table), true).await?;
        // Whoever had received these messages is gone: this process has the folder for itself.
        instance.queue.release_all().await?;
        Ok(Self { instance, table: embedded, _bridge: bridge })
    }
}
