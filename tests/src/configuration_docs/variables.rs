//! The environment variables that the programs read, in one table. A test compares it with the code.

use tidewatch_core::ports::queue::QueueName;

use super::render::{code, row};

/// Which programs read a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The command `tidewatch`, and so local mode.
    Command,
    /// The functions, where they are deployed.
    Functions,
    /// All of them.
    Both,
}

/// An environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name. What stands in `<…>` stands for several.
    pub name: &'static str,
    /// Who reads it.
    pub readers: Readers,
    /// What holds when it is not set, as a text of the page; empty means that it has to be set.
    pub default: &'static str,
    /// What it says, as a text of the page.
    pub meaning: &'static str,
}

impl Variable {
    /// The name as far as it is the same for all that it stands for.
    pub fn beginning(&self) -> &'static str {
        self.name.split('<').next().unwrap_or_default()
    }
}

/// Every variable with a name of Tidewatch's own.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "TIDEWATCH_DATA",
        readers: Readers::Command,
        default: "`tidewatch-data`",
        meaning: "the data folder of local mode; the option `--data` goes before",
    },
    Variable {
        name: "TIDEWATCH_STACK",
        readers: Readers::Command,
        default: "the data folder",
        meaning: "the deployed stack to work on; the option `--stack` goes before",
    },
    Variable {
        name: "TIDEWATCH_ORG",
        readers: Readers::Command,
        default: "the only one",
        meaning: "the organisation that a command is about; the option `--org` goes before",
    },
    Variable {
        name: "TIDEWATCH_LOG",
        readers: Readers::Both,
        default: "`info`; of commands other than `up`: `error`",
        meaning: "which logs, as [directives](https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html#directives): \
                  `debug`, `info,tidewatch_scan_image=debug`",
    },
    Variable {
        name: "TIDEWATCH_TABLE",
        readers: Readers::Functions,
        default: "",
        meaning: "the name of the DynamoDB table",
    },
    Variable {
        name: "TIDEWATCH_BUCKET",
        readers: Readers::Functions,
        default: "",
        meaning: "the name of the S3 bucket",
    },
    Variable {
        name: "TIDEWATCH_QUEUE_<NAME>",
        readers: Readers::Functions,
        default: "",
        meaning: "the URL of a queue that the function reads, sends to, or asks how much is in it; NAME is one of {queues}",
    },
    Variable {
        name: "TIDEWATCH_DEAD_LETTER_QUEUE_<NAME>",
        readers: Readers::Functions,
        default: "",
        meaning: "the URL of the dead-letter queue of a queue that the function asks how much is in it",
    },
    Variable {
        name: "TIDEWATCH_ADVISORIES_URL",
        readers: Readers::Both,
        default: "`https://storage.googleapis.com/osv-vulnerabilities`",
        meaning: "where advisories are fetched each hour, as OSV lays them out (`PLACE/Debian/all.zip`): a URL, \
                  `s3://BUCKET/PREFIX` or a folder; `none` fetches nothing. The option `--advisories-url` goes before",
    },
    Variable {
        name: "TIDEWATCH_AMAZON_LINUX_URL",
        readers: Readers::Both,
        default: "see [ADVISORIES.md](ADVISORIES.md#where-they-come-from)",
        meaning: "where the repositories of Amazon Linux are, or `none`; the option `--amazon-linux-url` goes before",
    },
    Variable {
        name: "TIDEWATCH_KEV_URL",
        readers: Readers::Both,
        default: "see [ADVISORIES.md](ADVISORIES.md#where-they-come-from)",
        meaning: "where the catalogue of known exploited vulnerabilities is, or `none`; the option `--kev-url` goes \
                  before",
    },
    Variable {
        name: "TIDEWATCH_EOL_URL",
        readers: Readers::Both,
        default: "see [ADVISORIES.md](ADVISORIES.md#where-they-come-from)",
        meaning: "where the table of ends of life is, or `none`; the option `--eol-url` goes before",
    },
    Variable {
        name: "TIDEWATCH_NVD_URL",
        readers: Readers::Both,
        default: "none are fetched",
        meaning: "where the feeds of the NVD are, such as `https://nvd.nist.gov/feeds/json/cve/2.0`; the option \
                  `--nvd-url` goes before",
    },
    Variable {
        name: "TIDEWATCH_LAYER_LIMITS",
        readers: Readers::Both,
        default: "see [INVENTORY.md](INVENTORY.md#limits)",
        meaning: "limits on what is read of one layer, `NAME=NUMBER` with commas between them; the option `--limits` goes \
                  before",
    },
    Variable {
        name: "TIDEWATCH_EVENT_BUS",
        readers: Readers::Functions,
        default: "no events",
        meaning: "the name of the event bus on which [events](EVENTS.md) are put",
    },
    Variable {
        name: "TIDEWATCH_METRICS_FRESH",
        readers: Readers::Both,
        default: "`on-change`",
        meaning: "when changed numbers are served: `on-change`, at the next roll-up; `interval`, once in a period, as \
                  Docker Scout does. The option `--metrics-fresh` goes before",
    },
    Variable {
        name: "TIDEWATCH_METRICS_CACHE_MINUTES",
        readers: Readers::Both,
        default: "`60`",
        meaning: "the period of `interval` in minutes, from 1 to 720; the option `--metrics-cache-minutes` goes before",
    },
    Variable {
        name: "TIDEWATCH_SCRAPES_PER_MINUTE",
        readers: Readers::Both,
        default: "`600`",
        meaning: "how often one token may scrape in a minute, for each process that answers; 0 for no limit. The option \
                  `--scrapes-per-minute` goes before",
    },
    Variable {
        name: "TIDEWATCH_ECOSYSTEMS",
        readers: Readers::Both,
        default: "those whose packages are found in images, and `GIT`",
        meaning: "the ecosystems whose advisories are fetched, with commas between them; the option `--ecosystem` goes \
                  before",
    },
];

/// The table of the page.
pub(super) fn table() -> String {
    let queues: Vec<String> =
        QueueName::ALL.iter().map(|queue| code(&queue.as_str().to_ascii_uppercase())).collect();
    let mut lines =
        vec!["| variable | read by | default | meaning |".to_owned(), "|---|---|---|---|".to_owned()];
    for variable in VARIABLES {
        let readers = match variable.readers {
            Readers::Command => "the command",
            Readers::Functions => "functions",
            Readers::Both => "both",
        };
        let default = if variable.default.is_empty() { "required" } else { variable.default };
        let meaning = variable.meaning.replace("{queues}", &queues.join(", "));
        lines.push(row(&[&code(variable.name), readers, default, &meaning]));
    }
    lines.join("\n")
}
