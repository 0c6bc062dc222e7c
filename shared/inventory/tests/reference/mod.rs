//! A file system of layers, for comparison: every layer is unpacked whole into a tree of its own, and a path is looked up
//! through the stack of layers as overlayfs does it. It knows nothing of inventories.

use std::collections::{BTreeMap, BTreeSet};

/// One entry of a layer, in the order of the archive.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// A file with the package, or the distribution, of this number.
    File(String, usize),
    Directory(String),
    Symlink(String, String),
    HardLink(String, String),
    Whiteout(String),
    Opaque(String),
}

/// What a file is, by the path that it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Apk,
    Dpkg,
    OsRelease,
    Npm,
}

impl Kind {
    pub(crate) fn of(path: &str) -> Self {
        if path.ends_with("package.json") {
            Self::Npm
        } else if path.contains("apk") {
            Self::Apk
        } else if path.contains("os-release") {
            Self::OsRelease
        } else {
            Self::Dpkg
        }
    }
}

#[derive(Clone, Debug)]
enum Node {
    Directory(BTreeMap<String, Self>),
    File(Option<(Kind, usize)>),
    Symlink(String),
}

/// One unpacked layer.
#[derive(Debug)]
struct Tree {
    root: Node,
    /// Paths that hide the layers below: whiteouts, and opaque directories.
    hidden: BTreeSet<Vec<String>>,
}

fn parts(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

impl Tree {
    fn unpack(operations: &[Operation]) -> Self {
        let mut tree = Self { root: Node::Directory(BTreeMap::new()), hidden: BTreeSet::new() };
        for operation in operations {
            tree.apply(operation);
        }
        tree
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::File(path, number) => self.put(path, Node::File(Some((Kind::of(path), *number)))),
            Operation::Symlink(path, target) => self.put(path, Node::Symlink(target.clone())),
            Operation::Directory(path) => {
                if let Some((directory, name)) = self.parent(path) {
                    let children = self.make(&directory);
                    if !matches!(children.get(&name), Some(Node::Directory(_))) {
                        children.insert(name, Node::Directory(BTreeMap::new()));
                    }
                }
            }
            Operation::HardLink(path, target) => {
                let found = self.parent(target).and_then(|(mut place, name)| {
                    place.push(name);
                    self.node(&place).cloned()
                });
                let node =
                    found.filter(|node| !matches!(node, Node::Directory(_))).unwrap_or(Node::File(None));
                self.put(path, node);
            }
            Operation::Whiteout(path) => {
                if let Some((mut directory, name)) = self.parent(path) {
                    self.make(&directory);
                    directory.push(name);
                    self.hidden.insert(directory);
                }
            }
            Operation::Opaque(path) => {
                if let Some((directory, _)) = self.parent(&format!("{path}/marker")) {
                    self.make(&directory);
                    self.hidden.insert(directory);
                }
            }
        }
    }

    fn put(&mut self, path: &str, node: Node) {
        if let Some((mut place, name)) = self.parent(path) {
            self.make(&place).insert(name.clone(), node);
            place.push(name);
            // With a directory go the whiteouts in it.
            self.hidden.retain(|hidden| hidden.len() <= place.len() || !hidden.starts_with(&place));
        }
    }

    /// The real directory of `path`, by the links of this layer, and the name in it; `None` when they go in a circle.
    fn parent(&self, path: &str) -> Option<(Vec<String>, String)> {
        let mut left = parts(path);
        let name = left.pop().unwrap();
        left.reverse();
        let (mut real, mut links) = (Vec::new(), 0);
        while let Some(part) = left.pop() {
            if part == ".." {
                real.pop();
                continue;
            }
            real.push(part);
            if let Some(Node::Symlink(target)) = self.node(&real) {
                links += 1;
                if links > 40 {
                    return None;
                }
                real.pop();
                if target.starts_with('/') {
                    real.clear();
                }
                left.extend(parts(target).into_iter().rev());
            }
        }
        Some((real, name))
    }

    fn node(&self, path: &[String]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, part| match node {
            Node::Directory(children) => children.get(part),
            _ => None,
        })
    }

    /// The directory at `path`, made where there is none.
    fn make(&mut self, path: &[String]) -> &mut BTreeMap<String, Node> {
        let mut node = &mut self.root;
        for part in path {
            let Node::Directory(children) = node else { panic!("made below") };
            node = children.entry(part.clone()).or_insert_with(|| Node::Directory(BTreeMap::new()));
            if !matches!(node, Node::Directory(_)) {
                *node = Node::Directory(BTreeMap::new());
            }
        }
        let Node::Directory(children) = node else { panic!("made above") };
        children
    }
}

/// Layers mounted over each other, the base first.
pub(crate) struct Overlay(Vec<Tree>);

/// What a path of the mount is.
enum Seen<'a> {
    /// A directory, with the layers that it is merged from, the topmost first.
    Directory(Vec<usize>),
    Other(usize, &'a Node),
}

impl Overlay {
    pub(crate) fn mount(layers: &[Vec<Operation>]) -> Self {
        Self(layers.iter().map(|operations| Tree::unpack(operations)).collect())
    }

    /// The layers that show through at the root.
    fn root(&self) -> Vec<usize> {
        self.show_through(&[], (0..self.0.len()).rev())
    }

    /// Of `layers`, from the top, those down to the first that hides what is below it at `path`.
    fn show_through(&self, path: &[String], layers: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut shown = Vec::new();
        for layer in layers {
            shown.push(layer);
            if self.0[layer].hidden.contains(path) {
                break;
            }
        }
        shown
    }

    /// What stands at `path` in a directory that is merged from `layers`.
    fn look_up(&self, layers: &[usize], path: &[String]) -> Option<Seen<'_>> {
        let mut merged = Vec::new();
        for layer in self.show_through(path, layers.iter().copied()) {
            match self.0[layer].node(path) {
                Some(Node::Directory(_)) => merged.push(layer),
                Some(node) if merged.is_empty() => return Some(Seen::Other(layer, node)),
                Some(_) => break,
                None => {}
            }
        }
        (!merged.is_empty()).then_some(Seen::Directory(merged))
    }

    /// Opens `path` as a process in the container would: its real path, and what is there.
    fn open(&self, path: &str) -> Option<(Vec<String>, Seen<'_>)> {
        let mut left: Vec<String> = parts(path).into_iter().rev().collect();
        let mut stack = vec![(Vec::new(), self.root())];
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            let (directory, layers) = stack.last()?;
            let mut real = directory.clone();
            real.push(part);
            match self.look_up(layers, &real)? {
                Seen::Directory(layers) => stack.push((real, layers)),
                Seen::Other(_, Node::Symlink(target)) => {
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    if target.starts_with('/') {
                        stack.truncate(1);
                    }
                    left.extend(parts(target).into_iter().rev());
                }
                other if left.is_empty() => return Some((real, other)),
                Seen::Other(..) => return None,
            }
        }
        let (real, layers) = stack.pop()?;
        Some((real, Seen::Directory(layers)))
    }

    /// The names in the directory at `path`.
    fn list(&self, path: &str) -> Vec<String> {
        let Some((real, Seen::Directory(layers))) = self.open(path) else { return Vec::new() };
        let names: BTreeSet<&String> = layers
            .iter()
            .filter_map(|layer| match self.0[*layer].node(&real) {
                Some(Node::Directory(children)) => Some(children.keys()),
                _ => None,
            })
            .flatten()
            .collect();
        names.into_iter().cloned().collect()
    }

    /// Number, layer and real path of the file at `path` when it is of `kind`.
    fn file(&self, path: &str, kind: Kind) -> Option<(usize, usize, String)> {
        match self.open(path)? {
            (real, Seen::Other(layer, Node::File(Some((found, number))))) if *found == kind => {
                Some((*number, layer, real.join("/")))
            }
            _ => None,
        }
    }

    /// The packages that the readers of the two package databases find: number, layer, real path.
    pub(crate) fn packages(&self) -> BTreeSet<(usize, usize, String)> {
        let apk = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
        let directory = "var/lib/dpkg/status.d";
        let listed = self.list(directory).into_iter().filter(|name| !name.ends_with(".md5sums"));
        let dpkg = listed.map(|name| format!("{directory}/{name}")).chain(["var/lib/dpkg/status".to_owned()]);
        let apk = apk.iter().filter_map(|path| self.file(path, Kind::Apk));
        let mut packages: BTreeSet<_> =
            apk.chain(dpkg.filter_map(|path| self.file(&path, Kind::Dpkg))).collect();
        self.collect_npm(&[], &self.root(), &mut packages);
        packages
    }

    /// The files of npm's packages, wherever they are; links are not followed.
    fn collect_npm(
        &self,
        directory: &[String],
        layers: &[usize],
        packages: &mut BTreeSet<(usize, usize, String)>,
    ) {
        let names: BTreeSet<&String> = layers
            .iter()
            .filter_map(|layer| match self.0[*layer].node(directory) {
                Some(Node::Directory(children)) => Some(children.keys()),
                _ => None,
            })
            .flatten()
            .collect();
        for name in names {
            let path = [directory, std::slice::from_ref(name)].concat();
            match self.look_up(layers, &path) {
                Some(Seen::Directory(below)) => self.collect_npm(&path, &below, packages),
                Some(Seen::Other(layer, Node::File(Some((Kind::Npm, number))))) if name == "package.json" => {
                    packages.insert((*number, layer, path.join("/")));
                }
                _ => {}
            }
        }
    }

    /// Number of the distribution.
    pub(crate) fn distribution(&self) -> Option<usize> {
        let places = ["etc/os-release", "usr/lib/os-release"];
        places.iter().find_map(|path| self.file(path, Kind::OsRelease)).map(|(number, ..)| number)
    }
}
