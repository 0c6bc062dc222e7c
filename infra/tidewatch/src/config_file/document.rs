//! The tree of a YAML document, in which every key and value knows where it stands in the text.

use serde_json::Value;
use tidewatch_core::config::Step;

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
}

impl Position {
    /// The first character.
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// The place right behind `text`.
    pub(super) fn end_of(text: &str) -> Self {
        let last_line = text.rsplit('\n').next().unwrap_or_default();
        Self { line: text.matches('\n').count() + 1, column: last_line.chars().count() + 1 }
    }
}

/// A value of the document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) at: Position,
    /// What it is.
    pub(super) content: Content,
    /// Whether it is no longer what the file says: replaced, or with something taken out of it.
    pub(super) repaired: bool,
}

/// The kinds of values.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A text, number, boolean or null.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// Keys and values.
    Mapping(Mapping),
}

/// A value without parts.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// As it stands in the file, without quotes.
    pub(super) text: String,
    /// What it means; never a list or an object.
    pub(super) value: Value,
}

/// Keys and values, every key once.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    /// In the order of the file.
    pub(super) entries: Vec<Entry>,
    /// Keys that the file means to give but that were taken out, since they are wrong in some way.
    pub(super) lost: Vec<String>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key begins.
    pub(super) key_at: Position,
    /// The value.
    pub(super) value: Node,
}

impl Mapping {
    /// The entry with this key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Takes the entry with this key out, and remembers that it was there.
    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        let position = self.entries.iter().position(|entry| entry.key == key)?;
        self.lost.push(key.to_owned());
        Some(self.entries.remove(position).value)
    }
}

impl Node {
    /// A node as the file has it.
    pub(super) const fn new(at: Position, content: Content) -> Self {
        Self { at, content, repaired: false }
    }

    /// A text.
    pub(super) fn text(at: Position, text: String) -> Self {
        Self::new(at, Content::Scalar(Scalar { value: Value::String(text.clone()), text }))
    }

    /// Its keys and values, where it has such.
    pub(super) const fn mapping(&self) -> Option<&Mapping> {
        match &self.content {
            Content::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// Its keys and values, where it has such.
    pub(super) const fn mapping_mut(&mut self) -> Option<&mut Mapping> {
        match &mut self.content {
            Content::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The scalar that it is, where it is one.
    pub(super) const fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Whether it is a null.
    pub(super) fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.value.is_null())
    }

    /// The part one step below.
    pub(super) fn child(&self, step: &Step) -> Option<&Self> {
        match (&self.content, step) {
            (Content::List(nodes), Step::Element(position)) => nodes.get(*position),
            (Content::Mapping(mapping), Step::Key(key)) => mapping.get(key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The part at the end of `path`.
    pub(super) fn find(&self, path: &[Step]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| node.child(step))
    }

    /// The part at the end of `path`.
    pub(super) fn find_mut(&mut self, path: &[Step]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, step| match (&mut node.content, step) {
            (Content::List(nodes), Step::Element(position)) => nodes.get_mut(*position),
            (Content::Mapping(mapping), Step::Key(key)) => {
                mapping.entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.value)
            }
            _ => None,
        })
    }

    /// The parts one step below, in the order of the file.
    pub(super) fn children(&self) -> Vec<(Step, &Self)> {
        match &self.content {
            Content::Scalar(_) => Vec::new(),
            Content::List(nodes) => {
                nodes.iter().enumerate().map(|(position, node)| (Step::Element(position), node)).collect()
            }
            Content::Mapping(mapping) => {
                mapping.entries.iter().map(|entry| (Step::Key(entry.key.clone()), &entry.value)).collect()
            }
        }
    }

    /// The way from this node to the first part, itself first, for which `wanted` holds.
    pub(super) fn search(&self, wanted: &dyn Fn(&Self) -> bool) -> Option<Vec<Step>> {
        if wanted(self) {
            return Some(Vec::new());
        }
        self.children().into_iter().find_map(|(step, child)| {
            let mut path = child.search(wanted)?;
            path.insert(0, step);
            Some(path)
        })
    }

    /// How many nodes it has, itself among them, and how many levels.
    pub(super) fn extent(&self) -> (usize, usize) {
        let (nodes, levels) = self
            .children()
            .into_iter()
            .map(|(_, child)| child.extent())
            .fold((0, 0), |(nodes, levels), (more, depth)| (nodes + more, levels.max(depth)));
        (nodes + 1, levels + 1)
    }

    /// The JSON of the same meaning. Keys without a value are left out: `rules:` alone is as good as no `rules`.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.clone(),
            Content::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Content::Mapping(mapping) => mapping
                .entries
                .iter()
                .filter(|entry| !entry.value.is_null())
                .map(|entry| (entry.key.clone(), entry.value.to_json()))
                .collect(),
        }
    }
}
