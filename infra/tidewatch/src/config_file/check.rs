//! Reads the tree into a [`Config`] and finds every problem, although serde stops at the first: the place of an error
//! is repaired and the tree is read again, until nothing is wrong any more. A repair takes a wrong value out, or puts
//! one in its stead that is right, so that everything around it can still be judged. What is wrong only because of a
//! repair is not reported.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use tidewatch_core::config::{Config, ConfigProblem, Step};

use super::FileProblem;
use super::document::{Content, Entry, Node, Position};
use super::fault::{self, Fault};
use super::wording::{self, KEYS_WITH_VALUES};

/// After how many repairs the search ends. The tree is read anew after each.
const REPAIR_LIMIT: usize = 100;

/// What is put in place of a bad value that cannot simply be left out, so that the values beside it are still judged.
const RIGHT_VALUES: [(&str, &str); 2] = [("cron", "0 0 * * *"), ("every", "1h")];

/// The beginning of names that stand in for missing ones. Right as an id of any kind.
const STAND_IN: &str = "tidewatch-stand-in-";

/// Reads a document.
pub(super) fn check(document: Node) -> Result<Config, Vec<FileProblem>> {
    if document.mapping().is_none() {
        let message = format!("expected {KEYS_WITH_VALUES}, found {}", wording::described(&document, false));
        return Err(vec![
            FileProblem::new(document.at, message).with_hint("begin with the organisation: `org: NAME`"),
        ]);
    }
    let mut checker = Checker { document, problems: Vec::new(), lost_names: BTreeSet::new(), repairs: 0 };
    let config = checker.run();
    match config {
        Some(config) if checker.problems.is_empty() => Ok(config),
        _ => Err(checker.problems),
    }
}

struct Checker {
    document: Node,
    problems: Vec<FileProblem>,
    /// Names of things that were taken out: the file has them, so who refers to them is right.
    lost_names: BTreeSet<String>,
    /// How many changes were made to the document.
    repairs: usize,
}

impl Checker {
    /// Fills `problems`. Gives the configuration of the repaired document, when it could be repaired.
    fn run(&mut self) -> Option<Config> {
        while self.repairs < REPAIR_LIMIT {
            let (path, message) = match serde_path_to_error::deserialize::<_, Config>(self.document.to_json())
            {
                Err(error) => (self.steps(error.path()), error.inner().to_string()),
                Ok(config) => {
                    let problems = config.problems();
                    let Some(inside) = self.first_inside(&config, &problems) else {
                        for problem in problems {
                            self.report_between_parts(problem);
                        }
                        return Some(config);
                    };
                    inside
                }
            };
            let before = self.repairs;
            let at = self.document.find(&path).map_or(Position::START, |node| node.at);
            self.judge(path, &message);
            if self.repairs == before {
                // Nothing can be repaired there; it must not go unsaid all the same.
                if self.problems.is_empty() {
                    self.problems.push(FileProblem::new(at, "this cannot be read"));
                }
                return None;
            }
        }
        let message = "there are more problems than are listed here";
        self.problems.push(FileProblem::new(Position::START, message));
        None
    }

    /// The first problem inside of a part that serde does not see: the place and a message. What the types leave open
    /// is judged only with the whole, and there may be more of it.
    fn first_inside(&self, config: &Config, problems: &[ConfigProblem]) -> Option<(Vec<Step>, String)> {
        let misread = misread(&self.document, config)
            .map(|path| (path, "invalid type: sequence, expected struct Mapping".to_owned()));
        misread.or_else(|| {
            let problem = problems.iter().find(|problem| self.is_untyped(&problem.path))?;
            Some((problem.path.clone(), problem.message.clone()))
        })
    }

    /// Whether a value is one that the types of the configuration leave open: the parameters of a policy.
    fn is_untyped(&self, path: &[Step]) -> bool {
        path.last() == Some(&Step::Key("config".to_owned()))
            && self.document.find(path).is_some_and(|node| node.scalar().is_none())
    }

    /// The way in the document. What serde adds to it, such as the key of a value that was never read, is left out.
    fn steps(&self, path: &Path) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut node = &self.document;
        for segment in path {
            let step = match segment {
                Segment::Seq { index } => Step::Element(*index),
                Segment::Map { key } | Segment::Enum { variant: key } => Step::Key(key.clone()),
                Segment::Unknown => break,
            };
            let Some(child) = node.child(&step) else { break };
            node = child;
            steps.push(step);
        }
        steps
    }

    /// Records what is wrong with the value at `path`, and repairs it.
    fn judge(&mut self, mut path: Vec<Step>, message: &str) {
        let fault = Fault::of(message);
        if let Fault::UnknownKey { key, .. } | Fault::UnknownWord { word: key, .. } = &fault
            && path.last() == Some(&Step::Key(key.clone()))
        {
            path.pop();
        }
        let Some(node) = self.document.find(&path) else { return };
        let is_about = |fault: &Fault| node.search(&|node| fault.is_about(node));
        let (fault, below) = match is_about(&fault) {
            None if fault.is_about_words() => {
                // Something else, in which such words only occur.
                let fault = Fault::Other { message: message.to_owned() };
                let below = is_about(&fault);
                (fault, below)
            }
            below => (fault, below),
        };
        path.extend(below.unwrap_or_default());
        self.judge_fault(&path, fault);
    }

    fn judge_fault(&mut self, path: &[Step], fault: Fault) {
        let Some(node) = self.document.find(path) else { return };
        let secret = is_secret(path);
        match fault {
            Fault::UnknownKey { key, known } => self.unknown_key(path, &key, &known),
            Fault::UnknownWord { word, known } if node.mapping().is_some() => {
                self.unknown_key(path, &word, &known);
            }
            Fault::MissingKey { key } => self.missing_key(path, &key),
            Fault::UnknownWord { word, known } => {
                let message = if secret {
                    "unknown value".to_owned()
                } else {
                    format!("unknown value `{}`", wording::shortened(&word))
                };
                self.report(path, message, wording::suggestion(&word, &known));
                self.repair(path, known.into_iter().next());
            }
            Fault::WrongType { expected, .. } => {
                let message = format!(
                    "expected {}, found {}",
                    wording::type_in_words(&expected),
                    wording::described(node, secret)
                );
                let hint = wording::conversion(node, &expected, secret);
                self.report(path, message, hint);
                self.repair(path, None);
            }
            Fault::Other { message } => self.other(path, &message),
        }
    }

    /// A message in the words of the domain. One that shows the forms a value can have names their keys, so a key that
    /// is not in it is what is wrong.
    fn other(&mut self, path: &[Step], message: &str) {
        let Some(node) = self.document.find(path) else { return };
        if message.starts_with("expected ") {
            let known = wording::words(message);
            let unknown = node.mapping().filter(|_| !node.repaired).and_then(|mapping| {
                mapping
                    .entries
                    .iter()
                    .find(|entry| !known.contains(&entry.key))
                    .map(|entry| entry.key.clone())
            });
            if let Some(key) = unknown {
                let near = wording::nearest(&key, &known).map(str::to_owned);
                let hint = near
                    .as_ref()
                    .map_or_else(|| message.to_owned(), |near| format!("did you mean `{near}`?"));
                self.unknown_key_with_hint(path, &key, near, Some(hint));
                return;
            }
            let below = node.children().into_iter().find(|(_, child)| {
                child.scalar().is_some_and(|scalar| !scalar.value.is_string()) && !child.is_null()
            });
            let path: Vec<Step> = path.iter().cloned().chain(below.map(|(step, _)| step)).collect();
            let Some(node) = self.document.find(&path) else { return };
            let word = node.scalar().and_then(|scalar| scalar.value.as_str());
            let near = word.and_then(|word| wording::nearest(word, &known));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            let message = if node.scalar().is_some() {
                format!("{message}; found {}", wording::described(node, is_secret(&path)))
            } else {
                message.to_owned()
            };
            self.report(&path, message, hint);
            self.repair(&path, None);
        } else {
            self.report(path, wording::one_line(message), None);
            self.repair(path, None);
        }
    }

    fn unknown_key(&mut self, path: &[Step], key: &str, known: &[String]) {
        let near = wording::nearest(key, known).map(str::to_owned);
        self.unknown_key_with_hint(path, key, near, wording::suggestion(key, known));
    }

    /// `meant`: the key that it was probably meant to be, which then is not missing.
    fn unknown_key_with_hint(
        &mut self,
        path: &[Step],
        key: &str,
        meant: Option<String>,
        hint: Option<String>,
    ) {
        let Some(node) = self.document.find_mut(path) else { return };
        let Some(mapping) = node.mapping_mut() else { return };
        let Some(at) = mapping.get(key).map(|entry| entry.key_at) else { return };
        let taken = mapping.take(key);
        let is_name = key == "id" || meant.as_deref() == Some("id");
        mapping.lost.extend(meant);
        node.repaired = true;
        self.repairs += 1;
        if let Some(taken) = taken {
            self.remember(&taken, is_name);
        }
        let problem = FileProblem::new(at, format!("unknown key `{}`", wording::shortened(key)));
        let hint = if key == "<<" {
            Some("YAML 1.2 has no merge keys: write the keys out".to_owned())
        } else {
            hint
        };
        self.problems.push(FileProblem { hint, ..problem });
    }

    fn missing_key(&mut self, path: &[Step], key: &str) {
        let stand_in = format!("{STAND_IN}{}", self.repairs);
        let Some(node) = self.document.find_mut(path) else { return };
        let at = node.at;
        let Some(mapping) = node.mapping_mut() else { return };
        let stand_in = Node { repaired: true, ..Node::text(at, stand_in) };
        self.repairs += 1;
        if let Some(entry) = mapping.entries.iter_mut().find(|entry| entry.key == key) {
            self.problems.push(FileProblem::new(entry.key_at, format!("`{key}` has no value")));
            entry.value = stand_in;
            return;
        }
        if !mapping.lost.iter().any(|lost| lost == key) {
            self.problems.push(FileProblem::new(at, format!("the key `{key}` is missing")));
        }
        mapping.entries.push(Entry { key: key.to_owned(), key_at: at, value: stand_in });
    }

    /// Records a problem, unless the value is wrong because of a repair.
    fn report(&mut self, path: &[Step], message: String, hint: Option<String>) {
        let Some(node) = self.document.find(path) else { return };
        if node.search(&|node| node.repaired).is_none() {
            self.problems.push(FileProblem { hint, ..FileProblem::new(node.at, message) });
        }
    }

    /// Makes the value at `path` one that is not in the way. `right`: a text known to be right there.
    fn repair(&mut self, path: &[Step], right: Option<String>) {
        let Some((last, parent)) = path.split_last() else { return };
        let Some(node) = self.document.find_mut(path) else { return };
        let by_key = RIGHT_VALUES.iter().find(|(key, _)| *last == Step::Key((*key).to_owned()));
        let right = right.or_else(|| by_key.map(|(_, right)| (*right).to_owned()));
        let replacement = match (right, &node.content) {
            (Some(right), _) if !node.repaired => Node::text(node.at, right),
            // A text that stood in for a missing value and is none there.
            (_, Content::Scalar(_)) if node.repaired => Node::new(node.at, Content::List(Vec::new())),
            // Neither is a list: nothing stands in for what is missing, so all that lacks it goes.
            (_, Content::List(nodes)) if node.repaired && nodes.is_empty() => return self.take_out(parent),
            _ => return self.take_out(path),
        };
        *node = Node { repaired: true, ..replacement };
        self.repairs += 1;
    }

    fn take_out(&mut self, path: &[Step]) {
        let Some((last, parent)) = path.split_last() else { return };
        let Some(parent) = self.document.find_mut(parent) else { return };
        let taken = match (&mut parent.content, last) {
            (Content::List(nodes), Step::Element(position)) if *position < nodes.len() => {
                Some(nodes.remove(*position))
            }
            (Content::Mapping(mapping), Step::Key(key)) => mapping.take(key),
            _ => None,
        };
        if let Some(taken) = taken {
            parent.repaired = true;
            self.repairs += 1;
            self.remember(&taken, matches!(last, Step::Element(_)) || *last == Step::Key("id".to_owned()));
        }
    }

    /// Keeps the names that go with a node. `is_name`: a text there, or in a list there, is a name, rather than the value
    /// of some other key than `id`.
    fn remember(&mut self, node: &Node, is_name: bool) {
        let name = node.mapping().and_then(|mapping| mapping.get("id")).map(|entry| &entry.value);
        let name = name.or_else(|| is_name.then_some(node));
        self.lost_names.extend(name.and_then(Node::scalar).map(|scalar| scalar.text.clone()));
        for (_, child) in node.children() {
            self.remember(child, is_name && matches!(node.content, Content::List(_)));
        }
    }

    /// Records a problem between parts that are right by themselves.
    fn report_between_parts(&mut self, problem: ConfigProblem) {
        let mut path = problem.path;
        // A value that is wrong by being absent has no place; what it is absent from has.
        while self.document.find(&path).is_none() {
            path.pop();
        }
        let Some((message, known)) = fault::unknown_name(&problem.message) else {
            self.report(&path, wording::one_line(&problem.message), None);
            return;
        };
        let name = self.document.find(&path).and_then(Node::scalar).map(|scalar| scalar.text.clone());
        let name = name.unwrap_or_default();
        if !self.is_lost(&path, &name) {
            let known: Vec<String> =
                known.into_iter().filter(|known| !known.starts_with(STAND_IN)).map(str::to_owned).collect();
            self.report(&path, wording::one_line(message), wording::suggestion(&name, &known));
        }
    }

    /// Whether a name is one of the file that was taken out, or the list that it names an element of was: that list
    /// has the key of the list of references.
    fn is_lost(&self, path: &[Step], name: &str) -> bool {
        let lost_lists = self.document.mapping().map(|mapping| mapping.lost.as_slice()).unwrap_or_default();
        self.lost_names.contains(name)
            || path.iter().any(|step| matches!(step, Step::Key(key) if lost_lists.contains(key)))
    }
}

/// Whether what stands at `path` must not be repeated in a message.
fn is_secret(path: &[Step]) -> bool {
    path.contains(&Step::Key("credentials".to_owned()))
}

/// The way to the first list that was read as keys with values: serde takes the elements for the values, in the order
/// of the fields, which is no form of the file.
fn misread(document: &Node, config: &Config) -> Option<Vec<Step>> {
    fn below(node: &Node, read: &Value) -> Option<Vec<Step>> {
        if matches!(node.content, Content::List(_)) && !read.is_array() {
            return Some(Vec::new());
        }
        node.children().into_iter().find_map(|(step, child)| {
            let read = match &step {
                Step::Key(key) => read.get(key),
                Step::Element(position) => read.get(position),
            };
            let mut path = below(child, read?)?;
            path.insert(0, step);
            Some(path)
        })
    }
    below(document, &serde_json::to_value(config).ok()?)
}
