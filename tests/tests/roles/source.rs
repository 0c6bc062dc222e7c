//! What the functions of a crate mention, by name: their calls, the paths and texts in them. No types are resolved; what
//! is made of the names errs towards more calls, never towards fewer.
//!
//! Code of tests is left out. The bodies of macros, which are no Rust to the parser, are read token by token.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprMethodCall, ExprPath, Lit, Macro, Pat};

/// A function or method, with what is mentioned in it.
#[derive(Debug, Default)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The type that it is a method of.
    pub(crate) owner: Option<String>,
    /// Whether it is `pub`, to everyone.
    pub(crate) is_public: bool,
    /// Number of its arguments, without `self`.
    pub(crate) arguments: usize,
    /// The modules around it within its file.
    pub(crate) modules: Vec<String>,
    /// Calls of methods.
    pub(crate) calls: Vec<Call>,
    /// Paths that are mentioned, such as `QueueName::Scans`, and the names of functions that are called.
    pub(crate) paths: Vec<Vec<String>>,
    /// Queues that are read: mentioned first in a call `….handle(QueueName::Scans, …)`.
    pub(crate) read_queues: Vec<String>,
    /// String literals.
    pub(crate) texts: Vec<String>,
}

/// A call of a method.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Name of the method.
    pub(crate) name: String,
    /// Number of the arguments.
    pub(crate) arguments: usize,
    /// The last name of what it is called on: `records` for `self.records.token(id)`; empty for what has no name.
    pub(crate) receiver: String,
}

impl Function {
    /// Every name that is mentioned: what may be called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let paths = self.paths.iter().filter_map(|path| path.last());
        self.calls.iter().map(|call| &call.name).chain(paths).map(String::as_str)
    }
}

/// The functions in the Rust files of `folder` and its folders.
pub(crate) fn functions_in(folder: &Path) -> Vec<Function> {
    let mut files = Vec::new();
    find_files(folder, &mut files);
    files.sort();
    assert!(!files.is_empty(), "there is no code in {}", folder.display());
    files.iter().flat_map(|file| functions_of(file)).collect()
}

/// String literals, wherever they stand.
struct Texts(Vec<String>);

impl<'ast> Visit<'ast> for Texts {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_of_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.0.push(literal.value());
    }
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

/// The actions of these services of AWS that the string literals of a file name, such as `ecr:DescribeImages`.
pub(crate) fn actions_in(file: &Path, services: &[&str]) -> BTreeSet<String> {
    let mut texts = Texts(Vec::new());
    texts.visit_file(&parse(file));
    let words = texts.0.iter().flat_map(|text| text.split(|c: char| c != ':' && !c.is_ascii_alphabetic()));
    let is_action = |word: &&str| {
        word.split_once(':')
            .is_some_and(|(service, action)| services.contains(&service) && !action.is_empty())
    };
    words.filter(is_action).map(str::to_owned).collect()
}

/// The string literals in `folder` that begin with `prefix`, also those outside of functions.
pub(crate) fn texts_in(folder: &Path, prefix: &str) -> Vec<String> {
    let mut files = Vec::new();
    find_files(folder, &mut files);
    let mut texts = Texts(Vec::new());
    for file in files {
        texts.visit_file(&parse(&file));
    }
    texts.0.retain(|text| text.starts_with(prefix));
    texts.0
}

/// The functions of one file.
pub(crate) fn functions_of(file: &Path) -> Vec<Function> {
    functions_of_parsed(&parse(file))
}

fn functions_of_parsed(file: &syn::File) -> Vec<Function> {
    let mut reader = Reader::default();
    reader.visit_file(file);
    reader.functions
}

fn parse(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            find_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

#[derive(Default)]
struct Reader {
    functions: Vec<Function>,
    current: Option<Function>,
    owner: Option<String>,
    modules: Vec<String>,
}

impl Reader {
    fn function(&mut self, signature: &syn::Signature, is_public: bool, read: impl FnOnce(&mut Self)) {
        // A function within a function is read as a part of it.
        if self.current.is_some() {
            return read(self);
        }
        let arguments = signature.inputs.iter().filter(|input| matches!(input, syn::FnArg::Typed(_))).count();
        self.current = Some(Function {
            name: signature.ident.to_string(),
            owner: self.owner.clone(),
            is_public,
            arguments,
            modules: self.modules.clone(),
            ..Function::default()
        });
        read(self);
        self.functions.extend(self.current.take());
    }

    fn owned_by(&mut self, owner: Option<String>, read: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        read(self);
        self.owner = outer;
    }

    fn tokens(&mut self, mut cursor: Cursor<'_>) {
        let Some(function) = self.current.as_mut() else { return };
        let mut groups = Vec::new();
        // The names and dots that led here: `self . records . token` before `(…)`.
        let mut path: Vec<String> = Vec::new();
        let mut receiver: Option<String> = None;
        while !cursor.eof() {
            if let Some((ident, next)) = cursor.ident() {
                path.push(ident.to_string());
                cursor = next;
                if let Some((within, _, _, _)) = cursor.any_group() {
                    let arguments = count_arguments(within);
                    if let (Some(receiver), Some(name)) = (receiver.take(), path.last()) {
                        function.calls.push(Call { name: name.clone(), arguments, receiver });
                    }
                }
                function.paths.push(path.clone());
            } else if let Some((within, _, _, next)) = cursor.any_group() {
                groups.push(within);
                (path, receiver) = (Vec::new(), None);
                cursor = next;
            } else if let Some((punct, next)) = cursor.punct() {
                match punct.as_char() {
                    ':' => {}
                    '.' => receiver = Some(path.pop().unwrap_or_default()),
                    _ => receiver = None,
                }
                if punct.as_char() != ':' {
                    path.clear();
                }
                cursor = next;
            } else if let Some((literal, next)) = cursor.literal() {
                if let Lit::Str(text) = Lit::new(literal) {
                    function.texts.push(text.value());
                }
                cursor = next;
            } else {
                let Some((_, next)) = cursor.token_tree() else { break };
                cursor = next;
            }
        }
        for group in groups {
            self.tokens(group);
        }
    }
}

/// The number of arguments between the parentheses of a call.
fn count_arguments(mut within: Cursor<'_>) -> usize {
    let (mut count, mut is_empty) = (0, true);
    while let Some((tree, next)) = within.token_tree() {
        let is_comma = tree.to_string() == ",";
        count += usize::from(is_comma && !is_empty);
        is_empty = is_comma;
        within = next;
    }
    count + usize::from(!is_empty)
}

/// The last name of an expression on which a method is called.
fn receiver_of(expression: &Expr) -> String {
    match expression {
        Expr::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(_) => String::new(),
        },
        Expr::Reference(reference) => receiver_of(&reference.expr),
        Expr::Paren(inner) => receiver_of(&inner.expr),
        _ => String::new(),
    }
}

fn names_of(path: &ExprPath) -> Vec<String> {
    path.path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn is_of_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_of_tests(&module.attrs) {
            self.modules.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.modules.pop();
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let owner = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        self.owned_by(owner, |reader| visit::visit_item_impl(reader, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.owned_by(Some(item.ident.to_string()), |reader| visit::visit_item_trait(reader, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_of_tests(&item.attrs) {
            let is_public = matches!(item.vis, syn::Visibility::Public(_));
            self.function(&item.sig, is_public, |reader| visit::visit_item_fn(reader, item));
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_of_tests(&item.attrs) {
            let is_public = matches!(item.vis, syn::Visibility::Public(_));
            self.function(&item.sig, is_public, |reader| visit::visit_impl_item_fn(reader, item));
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig, true, |reader| visit::visit_trait_item_fn(reader, item));
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let name = call.method.to_string();
        let mut arguments = call.args.iter();
        if let Some(function) = &mut self.current {
            let receiver = receiver_of(&call.receiver);
            if let (true, Some(Expr::Path(first))) = (name == "handle", call.args.first())
                && let [.., kind, queue] = &names_of(first)[..]
                && kind == "QueueName"
            {
                function.read_queues.push(queue.clone());
                arguments.next();
            }
            function.calls.push(Call { name, arguments: call.args.len(), receiver });
        }
        self.visit_expr(&call.receiver);
        arguments.for_each(|argument| self.visit_expr(argument));
    }

    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        if let Some(function) = &mut self.current {
            function.paths.push(names_of(path));
        }
    }

    // What a pattern compares with is not used.
    fn visit_pat(&mut self, pattern: &'ast Pat) {
        if !matches!(pattern, Pat::Path(_)) {
            visit::visit_pat(self, pattern);
        }
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        if let Some(function) = &mut self.current {
            function.texts.push(literal.value());
        }
    }

    fn visit_macro(&mut self, body: &'ast Macro) {
        let buffer = TokenBuffer::new2(body.tokens.clone());
        self.tokens(buffer.begin());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

#[test]
fn calls_are_seen_wherever_they_stand() {
    let code = r#"
        impl Scan {
            pub async fn run(&self, id: &str) -> Result<(), Error> {
                tokio::select! {
                    done = self.keep(id) => done,
                    kept = self.records.put_run(org, &Run { id, trigger }) => kept.map(Self::note)?,
                }
                let all = ids.iter().map(|id| async move { self.ports.records.token(id).await });
                tracing::info!(run.id = %id, queue.name = %QueueName::Scans, "run {} started", records.name());
                Queues::new().handle(QueueName::Hints, send(QueueName::Pushed));
                match queue { QueueName::Rollups => {} _ => {} }
            }
        }
        #[cfg(test)]
        mod tests {
            fn unseen() { records.delete_everything(); }
        }
    "#;
    let functions = functions_of_parsed(&syn::parse_file(code).unwrap());
    let [run] = &functions[..] else { panic!("{functions:?}") };
    assert_eq!(
        (run.owner.as_deref(), run.name.as_str(), run.arguments, run.is_public),
        (Some("Scan"), "run", 1, true)
    );
    let on_records = run.calls.iter().filter(|call| call.receiver == "records");
    let on_records: Vec<_> = on_records.map(|call| (call.name.as_str(), call.arguments)).collect();
    assert_eq!(on_records, [("put_run", 2), ("token", 1), ("name", 0)]);
    assert!(run.calls.contains(&Call { name: "keep".to_owned(), arguments: 1, receiver: "self".to_owned() }));
    assert!(["note", "send"].iter().all(|wanted| run.names().any(|name| name == *wanted)));
    let queues: Vec<_> =
        run.paths.iter().filter(|path| path[0] == "QueueName").map(|path| path.join("::")).collect();
    assert_eq!(run.read_queues, ["Hints"]);
    assert!(
        queues.contains(&"QueueName::Scans".to_owned()) && queues.contains(&"QueueName::Pushed".to_owned())
    );
    assert!(
        !queues.contains(&"QueueName::Rollups".to_owned())
            && !queues.contains(&"QueueName::Hints".to_owned())
    );
}
