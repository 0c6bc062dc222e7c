//! Builds the tree of a document from the events of a YAML parser, and refuses what a configuration must not have:
//! a key twice, keys that are no text, tags of other programs, a second document, nesting and aliases without bound.
//!
//! The events are used rather than a ready tree, because those drop the place of the first of two equal keys and how
//! a number is written. What YAML means is decided by <https://yaml.org/spec/1.2.2/>.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::Value;

use super::FileProblem;
use super::document::{Content, Entry, Mapping, Node, Position, Scalar};
use super::wording;

/// How many levels of lists and mappings are read.
const DEPTH_LIMIT: usize = 64;
/// How many values are read, those that aliases repeat counted each time. A file of the largest size without aliases
/// stays below it.
const NODE_LIMIT: usize = 1024 * 1024;

/// What a text holds.
pub(super) struct Loaded {
    /// The document; `None` when it cannot be told what it is.
    pub(super) document: Option<Node>,
    /// What is wrong with the YAML.
    pub(super) problems: Vec<FileProblem>,
}

/// Reads the first document of `text`. An empty text is an empty mapping.
pub(super) fn load(text: &str) -> Loaded {
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut builder = Builder::default();
    while let Some(next) = parser.next_event() {
        let done = match next {
            Ok((event, span)) => builder.take(event, position(&span.start)),
            Err(error) => {
                let message = format!("this is no YAML: {}", wording::one_line(error.info()));
                Err(FileProblem::new(position(error.marker()), message))
            }
        };
        if let Err(problem) = done {
            builder.problems.push(problem);
            return Loaded { document: None, problems: builder.problems };
        }
        if builder.documents > 1 {
            break;
        }
    }
    let empty = || Node::new(Position::START, Content::Mapping(Mapping::default()));
    let document = builder.root.filter(|root| !root.is_null()).unwrap_or_else(empty);
    Loaded { document: Some(document), problems: builder.problems }
}

/// The parser counts columns from 0.
fn position(mark: &Marker) -> Position {
    Position { line: mark.line(), column: mark.col() + 1 }
}

/// The tree as far as the events have come.
#[derive(Default)]
struct Builder {
    /// Lists and mappings that have begun and not ended, from the outermost.
    open: Vec<Open>,
    /// What aliases stand for; an anchor has no entry before its value is complete.
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
    problems: Vec<FileProblem>,
}

/// A list or mapping that has begun.
struct Open {
    at: Position,
    anchor: usize,
    collection: Collection,
}

enum Collection {
    List(Vec<Node>),
    Mapping(Keys),
}

/// A mapping that has begun.
#[derive(Default)]
struct Keys {
    mapping: Mapping,
    /// Where each key is there first.
    seen: HashMap<String, Position>,
    /// The key whose value comes next.
    waiting: Option<Key>,
}

/// A key that waits for its value.
enum Key {
    Text(String, Position),
    /// It was refused, and its value goes with it.
    Refused,
}

impl Builder {
    /// Takes the next event. An error is a problem after which nothing more can be read.
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), FileProblem> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.problems.push(
                        FileProblem::new(at, "a second document begins here")
                            .with_hint("a configuration is one document: remove the line `---`"),
                    );
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text, style, tag.as_ref(), at);
                self.complete(node, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(Collection::List(Vec::new()), anchor, tag.as_deref(), at)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(Collection::Mapping(Keys::default()), anchor, tag.as_deref(), at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { at, anchor, collection }) = self.open.pop() {
                    let content = match collection {
                        Collection::List(nodes) => Content::List(nodes),
                        Collection::Mapping(keys) => Content::Mapping(keys.mapping),
                    };
                    self.complete(Node::new(at, content), anchor)?;
                }
            }
            Event::Alias(anchor) => self.alias(anchor, at)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Cow<'_, Tag>>,
        at: Position,
    ) -> Node {
        self.check_tag(tag.map(AsRef::as_ref), &["str", "int", "float", "bool", "null"], at);
        let written = text.to_string();
        let meant = saphyr::Scalar::parse_from_cow_and_metadata(text, style, tag);
        if meant.is_none() {
            self.problems.push(FileProblem::new(at, "the value does not fit its tag"));
        }
        let value = match meant {
            Some(saphyr::Scalar::Null) => Value::Null,
            Some(saphyr::Scalar::Boolean(boolean)) => Value::Bool(boolean),
            Some(saphyr::Scalar::Integer(integer)) => Value::from(integer),
            // JSON has no infinity; as a text it is refused where a number is wanted.
            Some(saphyr::Scalar::FloatingPoint(float)) => serde_json::Number::from_f64(float.into_inner())
                .map_or_else(|| Value::String(written.clone()), Value::Number),
            Some(saphyr::Scalar::String(text)) => Value::String(text.into_owned()),
            None => Value::String(written.clone()),
        };
        Node::new(at, Content::Scalar(Scalar { text: written, value }))
    }

    fn check_tag(&mut self, tag: Option<&Tag>, known: &[&str], at: Position) {
        if let Some(tag) =
            tag.filter(|tag| !(tag.is_yaml_core_schema() && known.contains(&tag.suffix.as_str())))
        {
            let tag = wording::shortened(&tag.to_string());
            self.problems
                .push(FileProblem::new(at, format!("the tag `{tag}` is not known")).with_hint("remove it"));
        }
    }

    fn begin(
        &mut self,
        collection: Collection,
        anchor: usize,
        tag: Option<&Tag>,
        at: Position,
    ) -> Result<(), FileProblem> {
        self.check_tag(tag, &["seq", "map"], at);
        if self.open.len() >= DEPTH_LIMIT {
            return Err(too_deep(at));
        }
        self.open.push(Open { at, anchor, collection });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), FileProblem> {
        let Some((nodes, levels)) = self.anchors.get(&anchor).map(Node::extent) else {
            return Err(FileProblem::new(at, "the alias stands inside of what it repeats"));
        };
        if self.open.len() + levels > DEPTH_LIMIT {
            return Err(too_deep(at));
        }
        self.count(nodes, at)?;
        if let Some(node) = self.anchors.get(&anchor).cloned() {
            self.place(Node { at, ..node });
        }
        Ok(())
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), FileProblem> {
        self.count(1, node.at)?;
        if anchor > 0 {
            self.count(node.extent().0, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node);
        Ok(())
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), FileProblem> {
        self.nodes += nodes;
        if self.nodes > NODE_LIMIT {
            return Err(FileProblem::new(at, format!("the aliases make more than {NODE_LIMIT} values")));
        }
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn place(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.collection) {
            None => self.root = Some(node),
            Some(Collection::List(nodes)) => nodes.push(node),
            Some(Collection::Mapping(keys)) => match keys.waiting.take() {
                None => keys.waiting = Some(keys.accept(&node, &mut self.problems)),
                Some(Key::Text(key, key_at)) => keys.mapping.entries.push(Entry { key, key_at, value: node }),
                Some(Key::Refused) => {}
            },
        }
    }
}

impl Keys {
    /// Takes a node as the next key, if it is a text that is not there yet.
    fn accept(&mut self, node: &Node, problems: &mut Vec<FileProblem>) -> Key {
        let Some(scalar) = node.scalar() else {
            problems.push(FileProblem::new(node.at, "a key must be a text, this is a list or a mapping"));
            return Key::Refused;
        };
        let shown = wording::shortened(&scalar.text);
        if !scalar.value.is_string() {
            let problem = FileProblem::new(node.at, format!("a key must be a text, found `{shown}`"));
            problems.push(problem.with_hint(format!("write it in quotes: \"{shown}\"")));
            return Key::Refused;
        }
        if let Some(first) = self.seen.get(&scalar.text) {
            let problem = FileProblem::new(node.at, format!("the key `{shown}` is there twice"));
            problems.push(problem.with_hint(format!("it is there first in line {}", first.line)));
            self.mapping.lost.push(scalar.text.clone());
            return Key::Refused;
        }
        self.seen.insert(scalar.text.clone(), node.at);
        Key::Text(scalar.text.clone(), node.at)
    }
}

fn too_deep(at: Position) -> FileProblem {
    FileProblem::new(at, format!("lists and mappings are nested more than {DEPTH_LIMIT} levels deep"))
}
