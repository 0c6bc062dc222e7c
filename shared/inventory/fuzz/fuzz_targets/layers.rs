//! Layers of an image, on one another: archives of entries at paths that matter, with links and whiteouts of all kinds,
//! read and merged.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tidewatch_core::Digest;
use tidewatch_inventory::{LayerInventory, merge};
use tidewatch_inventory_fuzz::archive::{self, archive};
use tidewatch_inventory_fuzz::{check_image, read_layer};

/// Parts of paths: what readers look for, and what leads astray.
const PARTS: [&str; 24] = [
    "etc",
    "usr",
    "lib",
    "var",
    "apk",
    "db",
    "dpkg",
    "installed",
    "status",
    "status.d",
    "os-release",
    "app",
    "x",
    "node_modules",
    "package.json",
    "package-lock.json",
    "site-packages",
    "x.dist-info",
    "METADATA",
    "sysimage",
    ".",
    "..",
    "",
    "rpm",
];

const PLACES: [&str; 6] = [
    "lib/apk/db/installed",
    "usr/lib/apk/db/installed",
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/x",
    "etc/os-release",
    "app/node_modules/x/package.json",
];

const CONTENTS: [&str; 5] = [
    "P:musl\nV:1.2\no:musl\nF:lib\nR:x\n\nP:zlib\nV:1\n\n",
    "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\n",
    "ID=debian\nVERSION_ID=12\n",
    "{\"name\":\"x\",\"version\":\"1.0.0\"}",
    "",
];

#[derive(Arbitrary, Debug)]
struct Change {
    next_layer: bool,
    path: Path,
    kind: Kind,
}

#[derive(Arbitrary, Debug)]
enum Path {
    Place(u8),
    Above(u8, u8),
    Free([u8; 3]),
}

#[derive(Arbitrary, Debug)]
enum Kind {
    File(u8),
    Directory,
    Symlink(Path),
    AbsoluteSymlink(Path),
    HardLink(Path),
    Whiteout,
    Opaque,
    Device,
}

impl Path {
    fn text(&self) -> String {
        let place = |number: u8| PLACES[usize::from(number) % PLACES.len()];
        match self {
            Self::Place(number) => place(*number).to_owned(),
            Self::Above(number, parts) => {
                let parts = usize::from(parts % 4) + 1;
                place(*number).split('/').take(parts).collect::<Vec<_>>().join("/")
            }
            Self::Free(parts) => parts.map(|part| PARTS[usize::from(part) % PARTS.len()]).join("/"),
        }
    }
}

fuzz_target!(|changes: Vec<Change>| {
    let layers: Vec<LayerInventory> =
        changes.chunk_by(|_, change| !change.next_layer).map(|changes| read_layer(&layer(changes))).collect();
    let image = merge(&layers);
    check_image(&image, &layers.iter().map(|layer| layer.layer).collect::<BTreeSet<Digest>>());
});

fn layer(changes: &[Change]) -> Vec<u8> {
    let texts: Vec<(String, String)> = changes.iter().map(texts).collect();
    archive(changes.iter().zip(&texts).map(|(change, (path, link))| {
        let (kind, content) = match change.kind {
            Kind::File(number) => (b'0', CONTENTS[usize::from(number) % CONTENTS.len()].as_bytes()),
            Kind::Directory => (b'5', &[][..]),
            Kind::Symlink(_) | Kind::AbsoluteSymlink(_) => (b'2', &[][..]),
            Kind::HardLink(_) => (b'1', &[][..]),
            Kind::Whiteout | Kind::Opaque => (b'0', &[][..]),
            Kind::Device => (b'3', &[][..]),
        };
        archive::Entry { path, kind, link, content }
    }))
}

/// The path in the archive, and what it links to.
fn texts(change: &Change) -> (String, String) {
    let path = change.path.text();
    match &change.kind {
        Kind::Symlink(target) | Kind::HardLink(target) => (path, target.text()),
        Kind::AbsoluteSymlink(target) => (path, format!("/{}", target.text())),
        Kind::Whiteout => {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
            (format!("{directory}/.wh.{name}"), String::new())
        }
        Kind::Opaque => (format!("{path}/.wh..wh..opq"), String::new()),
        _ => (path, String::new()),
    }
}
