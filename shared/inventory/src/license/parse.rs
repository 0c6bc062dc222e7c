//! Reads expressions of licences in any of the languages that packages use for them: words joined by `and`, `or`, commas,
//! slashes and their kin, with parentheses and exceptions. `and` binds tighter than `or`, and both tighter than a comma,
//! as in Debian (<https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/#license-syntax>).

use super::names;

/// The most bytes of an expression. The longest of Fedora's packages are a third of it.
const EXPRESSION_BYTES: usize = 4096;

/// The most parentheses within each other.
const DEPTH: usize = 16;

/// The most tokens and bytes of one licence's name: `GNU General Public License v2 or (at your option) any later version`.
const NAME_TOKENS: usize = 14;
const NAME_BYTES: usize = 120;

/// The most words of an unknown name that becomes a reference. What is longer is a sentence.
const REFERENCE_WORDS: usize = 2;

/// The most characters of a reference.
const REFERENCE_CHARACTERS: usize = 80;

/// Which unknown names become references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Those that are joined with a licence that is known.
    BesideKnown,
    /// All.
    Allowed,
}

/// An expression as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A licence in SPDX's words.
    License(String),
    /// A name that nobody knows, as a reference.
    Unknown(String),
    And(Vec<Self>),
    Or(Vec<Self>),
}

impl Node {
    /// The expression, when SPDX allows it.
    pub(super) fn into_expression(self) -> Option<String> {
        let mut expression = String::new();
        self.flat().write(&mut expression, false);
        spdx::Expression::parse(&expression).ok().map(|_| expression)
    }

    /// The tree with the parts of every join in the order of what they are called, each once.
    pub(super) fn sorted(self) -> Self {
        let called = |node: &Self| {
            let mut name = String::new();
            node.write(&mut name, false);
            name
        };
        let (nodes, join): (_, fn(Vec<Self>) -> Self) = match self.flat() {
            Self::And(nodes) => (nodes, Self::And),
            Self::Or(nodes) => (nodes, Self::Or),
            leaf => return leaf,
        };
        let mut nodes: Vec<Self> = nodes.into_iter().map(Self::sorted).collect();
        nodes.sort_by_cached_key(called);
        join(nodes).flat()
    }

    /// The tree without joins in joins of the same kind, and without what stands twice in one.
    fn flat(self) -> Self {
        let (nodes, join): (_, fn(Vec<Self>) -> Self) = match self {
            Self::And(nodes) => (nodes, Self::And),
            Self::Or(nodes) => (nodes, Self::Or),
            leaf => return leaf,
        };
        let is_and = matches!(join(Vec::new()), Self::And(_));
        let mut flat: Vec<Self> = Vec::new();
        for node in nodes.into_iter().map(Self::flat) {
            let parts = match node {
                Self::And(parts) if is_and => parts,
                Self::Or(parts) if !is_and => parts,
                other => vec![other],
            };
            for part in parts {
                if !flat.contains(&part) {
                    flat.push(part);
                }
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { join(flat) }
    }

    fn write(&self, expression: &mut String, in_and: bool) {
        let (nodes, operator) = match self {
            Self::License(name) | Self::Unknown(name) => return expression.push_str(name),
            Self::And(nodes) => (nodes, " AND "),
            Self::Or(nodes) => (nodes, " OR "),
        };
        let has_parentheses = in_and && matches!(self, Self::Or(_));
        expression.push_str(if has_parentheses { "(" } else { "" });
        for (position, node) in nodes.iter().enumerate() {
            expression.push_str(if position == 0 { "" } else { operator });
            node.write(expression, matches!(self, Self::And(_)));
        }
        expression.push_str(if has_parentheses { ")" } else { "" });
    }

    fn has(&self, is_it: fn(&Self) -> bool) -> bool {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(|node| node.has(is_it)),
            leaf => is_it(leaf),
        }
    }
}

/// The tree of the expression `text`.
pub(super) fn parse(text: &str, unknown: Unknown) -> Option<Node> {
    if text.is_empty() || text.len() > EXPRESSION_BYTES {
        return None;
    }
    // A classifier of Python: the last part is the name.
    let text =
        text.strip_prefix("License :: ").map_or(text, |rest| rest.rsplit(" :: ").next().unwrap_or(rest));
    let tokens = tokens(text);
    let mut parser = Parser { text, tokens: &tokens, position: 0 };
    let node = parser.list(0)?;
    let is_known = !node.has(|node| matches!(node, Node::Unknown(_)))
        || unknown == Unknown::Allowed
        || node.has(|node| matches!(node, Node::License(_)));
    (is_known && parser.position == tokens.len()).then_some(node)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    And,
    Or,
    With,
    Slash,
    Comma,
    Open,
    Close,
}

/// A token and where in the text it stands.
#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word = None;
    for (position, character) in text.char_indices().chain([(text.len(), ' ')]) {
        let kind = match character {
            '(' => Some(Kind::Open),
            ')' => Some(Kind::Close),
            ',' | ';' => Some(Kind::Comma),
            '&' => Some(Kind::And),
            '|' => Some(Kind::Or),
            '/' => Some(Kind::Slash),
            _ => None,
        };
        if kind.is_none() && !character.is_whitespace() {
            word.get_or_insert(position);
            continue;
        }
        if let Some(start) = word.take() {
            add_word(&mut tokens, text, start, position);
        }
        let token = kind.map(|kind| Token { kind, start: position, end: position + character.len_utf8() });
        tokens.extend(token);
    }
    tokens
}

/// Adds a word, or the words that some join by `-with-` and the like instead of blanks.
fn add_word(tokens: &mut Vec<Token>, text: &str, start: usize, end: usize) {
    let word = text.get(start..end).unwrap_or_default();
    let kind = match word.to_ascii_lowercase().as_str() {
        "and" => Kind::And,
        "or" => Kind::Or,
        "with" => Kind::With,
        lower => {
            let joined =
                [("-with-", Kind::With), ("_with_", Kind::With), ("_or_", Kind::Or), ("_and_", Kind::And)];
            let found =
                joined.into_iter().find_map(|(join, kind)| Some((lower.find(join)?, join.len(), kind)));
            // Lower case of ASCII leaves positions what they are.
            if let Some((position, length, kind)) = found.filter(|_| names::license(word).is_none()) {
                let (left, right) = (start + position, start + position + length);
                tokens.push(Token { kind: Kind::Word, start, end: left });
                tokens.push(Token { kind, start: left, end: right });
                if right < end {
                    add_word(tokens, text, right, end);
                }
                return;
            }
            Kind::Word
        }
    };
    tokens.push(Token { kind, start, end });
}

/// What joins two parts.
#[derive(Clone, Copy, Debug)]
struct Join {
    has_comma: bool,
    kind: Option<Kind>,
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    position: usize,
}

impl Parser<'_> {
    fn kind(&self) -> Option<Kind> {
        self.tokens.get(self.position).map(|token| token.kind)
    }

    /// Parts and what joins them, up to a parenthesis that closes or the end.
    fn list(&mut self, depth: usize) -> Option<Node> {
        if depth > DEPTH {
            return None;
        }
        let mut parts = vec![self.part(depth)?];
        let mut joins = Vec::new();
        while let Some(join) = self.join() {
            // A comma at the end joins nothing.
            if self.kind().is_none() && join.kind.is_none() {
                break;
            }
            joins.push(join);
            parts.push(self.part(depth)?);
        }
        Some(fold(parts, &joins))
    }

    /// The operators between two parts: one, or several as in `, and` and `and/or`.
    fn join(&mut self) -> Option<Join> {
        let mut join = Join { has_comma: false, kind: None };
        let start = self.position;
        while let Some(kind) = self.kind() {
            match kind {
                Kind::Comma => join.has_comma = true,
                Kind::Or | Kind::Slash => join.kind = Some(Kind::Or),
                Kind::And => join.kind = join.kind.or(Some(Kind::And)),
                Kind::Word | Kind::With | Kind::Open | Kind::Close => break,
            }
            self.position += 1;
        }
        (self.position > start).then_some(join)
    }

    /// A licence, or what stands in parentheses.
    fn part(&mut self, depth: usize) -> Option<Node> {
        match self.kind()? {
            Kind::Open => self.group(depth),
            Kind::Word => {
                let node = self.name();
                // `GNU General Public License v3 (GPLv3)` says the same twice.
                if self.kind() == Some(Kind::Open) && self.group(depth)?.flat() != node.clone()?.flat() {
                    return None;
                }
                node
            }
            _ => None,
        }
    }

    fn group(&mut self, depth: usize) -> Option<Node> {
        self.position += 1;
        let node = self.list(depth + 1)?;
        let closes = self.kind() == Some(Kind::Close);
        self.position += 1;
        closes.then_some(node)
    }

    /// A licence with its exception.
    fn name(&mut self) -> Option<Node> {
        let start = self.position;
        let license = self.longest_known().filter(|_| self.kind() != Some(Kind::Word));
        if license.is_none() {
            self.skip_words();
        }
        if self.kind() != Some(Kind::With) {
            return license.or_else(|| self.unknown(start));
        }
        self.position += 1;
        let with = self.position;
        self.skip_words();
        let exception = self.between(with, self.position)?;
        match license {
            Some(Node::License(license)) => Some(match names::exception(exception, &license) {
                Some(exception) => Node::License(format!("{license} WITH {exception}")),
                None => Node::License(reference(&format!("{license}-with-{exception}"))?),
            }),
            _ => self.unknown(start),
        }
    }

    fn skip_words(&mut self) {
        while self.kind() == Some(Kind::Word) {
            self.position += 1;
        }
    }

    /// The text from one token up to another.
    fn between(&self, from: usize, to: usize) -> Option<&str> {
        let tokens = self.tokens.get(from..to)?;
        self.text.get(tokens.first()?.start..tokens.last()?.end)
    }

    /// The known licence whose name goes on longest from here: names have `or`, commas and parentheses in them.
    fn longest_known(&mut self) -> Option<Node> {
        let start = self.position;
        let tokens = self.tokens.get(start..)?;
        let first = tokens.first()?;
        let (mut depth, mut longest) = (0_usize, None);
        for (count, token) in (1..=NAME_TOKENS).zip(tokens) {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.checked_sub(1).unwrap_or(usize::MAX),
                _ => {}
            }
            if depth == usize::MAX || token.end - first.start > NAME_BYTES {
                break;
            }
            let may_end = depth == 0 && matches!(token.kind, Kind::Word | Kind::Close);
            let name = self.text.get(first.start..token.end).filter(|_| may_end);
            if let Some(known) = name.and_then(names::license) {
                longest = Some((known, count));
            }
        }
        let (known, count) = longest?;
        self.position += count;
        let mut choices: Vec<Node> = known.split(" OR ").map(|id| Node::License(id.to_owned())).collect();
        if choices.len() == 1 { choices.pop() } else { Some(Node::Or(choices)) }
    }

    /// The words since `start` as a reference.
    fn unknown(&self, start: usize) -> Option<Node> {
        let name = self.between(start, self.position)?;
        let is_short = name.split_whitespace().count() <= REFERENCE_WORDS;
        is_short.then(|| reference(name)).flatten().map(Node::Unknown)
    }
}

/// `LicenseRef-…` of a name, of the letters, digits, dots and hyphens that it may have.
fn reference(name: &str) -> Option<String> {
    let name = name.replace("+-", "-or-later-");
    let name = name.strip_suffix('+').map_or_else(|| name.clone(), |name| format!("{name}-or-later"));
    let parts = name.split(|character: char| !character.is_ascii_alphanumeric() && character != '.');
    let parts: Vec<&str> = parts.filter(|part| part.chars().any(|character| character != '.')).collect();
    let cleaned = parts.join("-");
    (!cleaned.is_empty() && cleaned.len() <= REFERENCE_CHARACTERS).then(|| format!("LicenseRef-{cleaned}"))
}

/// Joins parts: first those between commas, then these. A bare comma stands for the operator that ends its list, as in
/// `A, B or C`, else for `and`, which asks for more.
fn fold(parts: Vec<Node>, joins: &[Join]) -> Node {
    let mut clauses: Vec<(Option<Kind>, Node)> = Vec::new();
    let mut clause: Vec<(Option<Kind>, Node)> = Vec::new();
    let (mut before, mut in_clause) = (None, None);
    let mut joins = joins.iter();
    for part in parts {
        clause.push((in_clause, part));
        match joins.next() {
            Some(join) if !join.has_comma => in_clause = join.kind,
            join => {
                clauses.push((before, fold_and_or(std::mem::take(&mut clause))));
                (before, in_clause) = (join.and_then(|join| join.kind), None);
            }
        }
    }
    let ends_with_or = clauses.len() > 1 && matches!(clauses.last(), Some((None, Node::Or(_))));
    let mut next = Some(if ends_with_or { Kind::Or } else { Kind::And });
    for (kind, _) in clauses.iter_mut().rev() {
        *kind = kind.or(next);
        next = *kind;
    }
    fold_and_or(clauses)
}

/// Joins parts, each with the operator before it; `and` binds tighter.
fn fold_and_or(parts: Vec<(Option<Kind>, Node)>) -> Node {
    let mut choices: Vec<Vec<Node>> = Vec::new();
    for (kind, part) in parts {
        match choices.last_mut() {
            Some(last) if kind == Some(Kind::And) => last.push(part),
            _ => choices.push(vec![part]),
        }
    }
    Node::Or(choices.into_iter().map(Node::And).collect()).flat()
}
