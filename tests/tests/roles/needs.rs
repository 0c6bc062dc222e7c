//! What a function needs to be allowed, told and sent, read from its code: starting at its `main`, by what it mentions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tidewatch_core::ports::queue::QueueName;

use super::checks::logical_id;
use super::records::{Permission, RecordMethods};
use super::source::{Function, actions_in, functions_in, functions_of, texts_in};

/// What all the code needs.
pub(crate) struct Code {
    /// The functions, by their names.
    pub(crate) functions: BTreeMap<String, Needs>,
    /// The command.
    pub(crate) command: Needs,
}

impl Code {
    /// Reads the code below the root of the workspace.
    pub(crate) fn read(root: &Path) -> Self {
        let records = RecordMethods::read(root);
        let names = function_names(root).into_iter();
        let functions = names.map(|name| (name.clone(), Needs::read(root, &name, &records))).collect();
        Self { functions, command: Needs::of_command(root, &records) }
    }
}

/// What commands call of crates that use records; beside these they only use what uses none.
const CALLED_BY_COMMANDS: &[(&str, &[&str])] = &[
    ("functions/evaluate-rules", &["run_now", "add_entries", "set_entries"]),
    ("functions/read-results", &["of", "explanation", "image_detail", "image_page", "policy_page"]),
    ("functions/resolve-images", &["preview", "preview_repositories"]),
    ("functions/roll-up-streams", &["reconcile"]),
    ("shared/assessment", &["open_family", "store_index"]),
];

/// The function of the runtime that asks all queues how much is in them.
const DEPTHS: &str = "queue_depths";

/// The method of the port that asks one of them, which is named in the same function.
const DEPTH: &str = "depth";

/// The method that tells the registries who the process is to AWS: without it those of Amazon are not read.
const READS_ECR: &str = "with_aws";

/// The actions that reading a registry of Amazon needs: all that its product names among its rights.
pub(crate) fn ecr_actions(root: &Path) -> BTreeSet<String> {
    actions_in(&root.join("shared/registries/src/products/ecr.rs"), &["ecr", "sts"])
}

/// What one function needs.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each says whether it needs another thing")]
pub(crate) struct Needs {
    /// What it asks of the table and of object storage, with the method of `Records` that does it.
    pub(crate) stored: BTreeMap<Permission, BTreeSet<String>>,
    /// The queues that it sends to.
    pub(crate) sends: BTreeSet<String>,
    /// The queues that it reads.
    pub(crate) reads: BTreeSet<String>,
    /// The queues that it asks how much is in them and in their dead-letter queues.
    pub(crate) asks: BTreeSet<String>,
    /// Whether it takes scheduled events.
    pub(crate) is_scheduled: bool,
    /// Whether it answers HTTP requests.
    pub(crate) answers_http: bool,
    /// Whether it reads secrets of Secrets Manager.
    pub(crate) reads_secrets: bool,
    /// What it asks AWS for when it reads registries of Amazon.
    pub(crate) ecr: BTreeSet<String>,
    /// Whether it puts events on a bus.
    pub(crate) puts_events: bool,
    /// Whether it reads a bucket that belongs to others.
    pub(crate) reads_others: bool,
    /// The environment variables that it reads beside those of the places.
    pub(crate) variables: BTreeSet<String>,
}

/// The names of all functions: the folders of `functions/`.
fn function_names(root: &Path) -> BTreeSet<String> {
    let folders = fs::read_dir(root.join("functions")).unwrap().map(|entry| entry.unwrap().path());
    let names = folders.filter(|folder| folder.join("Cargo.toml").exists());
    names.map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

impl Needs {
    /// Reads what the function `name` needs.
    fn read(root: &Path, name: &str, records: &RecordMethods) -> Self {
        let folder = root.join("functions").join(name);
        let main = functions_of(&folder.join("src/main.rs"));
        let mut functions = functions_in(&folder.join("src"));
        functions.retain(|function| function.name != "main");
        for library in libraries_on_records(root, &folder) {
            functions.extend(functions_in(&library.join("src")));
        }
        let start: Vec<_> = main.iter().filter(|function| function.name == "main").collect();
        let mut needs = Self::default();
        for function in reachable(start, &functions) {
            needs.add(name, function, records);
            needs.reads_others |= function.paths.iter().flatten().any(|name| name == "MirrorBucket");
            if function.names().any(|name| name == DEPTHS) {
                needs.asks = every_queue();
            }
        }
        // What is set up outside of functions, in `main.rs` or a library, is told by names that mean nothing else.
        let mentions = |wanted: &str| main.iter().any(|function| function.names().any(|name| name == wanted));
        needs.is_scheduled = mentions("schedule");
        needs.answers_http = mentions("http");
        let paths = || main.iter().flat_map(|function| &function.paths).flatten();
        needs.reads_secrets = paths().any(is_secrets_manager);
        if mentions(READS_ECR) {
            needs.ecr = ecr_actions(root);
        }
        needs.puts_events = paths().any(|name| name == "EventBridge");
        needs.variables = texts_in(&folder.join("src"), "TIDEWATCH_").into_iter().collect();
        needs
    }

    /// Reads what the command needs on a deployed stack: whatever its commands do themselves, but for `up`, which is
    /// local mode, and what they call of the functions.
    fn of_command(root: &Path, records: &RecordMethods) -> Self {
        let source = root.join("infra/tidewatch/src");
        let mut functions = functions_in(&source.join("instance"));
        for file in fs::read_dir(source.join("commands")).unwrap().map(|entry| entry.unwrap().path()) {
            if file.is_dir() {
                functions.extend(functions_in(&file));
            } else if !file.ends_with("up.rs") {
                functions.extend(functions_of(&file));
            }
        }
        let mentioned: BTreeSet<&str> = functions.iter().flat_map(Function::names).collect();
        let asks = if mentioned.contains(DEPTHS) { every_queue() } else { BTreeSet::new() };
        let mut needs = Self { asks, ..Self::default() };
        for (folder, called) in CALLED_BY_COMMANDS {
            let source = root.join(folder).join("src");
            let mut library = functions_in(&source);
            // What starts the function as a Lambda is no part of the library.
            if let Some(main) = Some(source.join("main.rs")).filter(|main| main.exists()) {
                let started = functions_of(&main);
                library.retain(|function| started.iter().all(|other| other.name != function.name));
            }
            for name in *called {
                assert!(mentioned.contains(name), "no command calls {name} of {folder} (any more)");
                let start = library.iter().filter(|function| function.name == *name).collect();
                for function in reachable(start, &library) {
                    needs.add("tidewatch", function, records);
                }
            }
        }
        for function in &functions {
            needs.add("tidewatch", function, records);
        }
        needs
    }

    fn add(&mut self, of: &str, function: &Function, records: &RecordMethods) {
        for call in &function.calls {
            let Some(permissions) = records.permissions(&call.name, call.arguments) else { continue };
            let is_own = call.receiver == "self" && function.owner.as_deref() != Some("Records");
            if is_own || records.is_of_port(call) {
                continue;
            }
            assert_eq!(
                call.receiver, "records",
                "{of}: {}: is this `{}` the method of Records? What it is called on tells, by its name",
                function.name, call.name
            );
            for permission in permissions {
                self.stored.entry(permission.clone()).or_default().insert(call.name.clone());
            }
        }
        for path in &function.paths {
            match &path[..] {
                [.., kind, method] if kind == "Records" && method != "new" => {
                    panic!("{of}: {}: call Records::{method} on `records`", function.name)
                }
                [.., kind, queue] if kind == "QueueName" => {
                    assert_ne!(queue, "ALL", "{of}: {}: name the queue", function.name);
                    let is_asked = function.calls.iter().any(|call| call.name == DEPTH);
                    if is_asked { &mut self.asks } else { &mut self.sends }.insert(queue.clone());
                }
                _ => {}
            }
        }
        self.reads.extend(function.read_queues.iter().cloned());
    }
}

/// The names of all queues, as variants of `QueueName`.
pub(crate) fn every_queue() -> BTreeSet<String> {
    QueueName::ALL.into_iter().map(|queue| logical_id(queue.as_str())).collect()
}

fn is_secrets_manager(name: &String) -> bool {
    name == "SecretsManager"
}

/// The functions that those of `start` may come to by name, themselves among them.
fn reachable<'a>(start: Vec<&'a Function>, functions: &'a [Function]) -> Vec<&'a Function> {
    let mut found = start;
    let mut next = 0;
    while let Some(function) = found.get(next).copied() {
        next += 1;
        let names: BTreeSet<&str> = function.names().collect();
        let called = functions.iter().filter(|other| names.contains(other.name.as_str()));
        for other in called {
            if !found.iter().any(|known| std::ptr::eq(*known, other)) {
                found.push(other);
            }
        }
    }
    found
}

/// The crates of this workspace that the crate in `folder` is built on and that use records themselves. The others know
/// nothing of them.
fn libraries_on_records(root: &Path, folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for name in dependencies(folder) {
        let places = ["shared", "functions"].map(|place| root.join(place).join(&name));
        let library = places.into_iter().find(|place| place.join("Cargo.toml").exists());
        let library = library.unwrap_or_else(|| panic!("tidewatch-{name} is not in shared or functions"));
        if name != "store" && dependencies(&library).contains("store") && found.insert(library.clone()) {
            found.extend(libraries_on_records(root, &library));
        }
    }
    found
}

/// The crates of this workspace in `[dependencies]`, without `tidewatch-`.
fn dependencies(folder: &Path) -> BTreeSet<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let section =
        manifest.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap_or_default();
    let lines = section.lines().filter_map(|line| line.strip_prefix("tidewatch-"));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::to_owned).collect()
}
