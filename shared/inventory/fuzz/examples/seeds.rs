//! Writes the seeds of the targets that read whole layers into `corpus/`: one small archive with an entry of every kind, as
//! it is and compressed in every way. Run it in this folder: `cargo run --example seeds`.

use std::io::Write as _;
use std::path::Path;

use tidewatch_inventory_fuzz::archive::{Entry, archive};

const DPKG: &[u8] = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2.36-9)\nVersion: 2.36-9\n\n";
const APK: &[u8] = b"P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\n\n";
const RELEASE: &[u8] = b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";

fn main() -> std::io::Result<()> {
    let file = |path, content| Entry { path, kind: b'0', content, ..Entry::default() };
    let link = |kind, path, link| Entry { path, kind, link, ..Entry::default() };
    let meta = |kind, content| Entry { path: "meta", kind, content, ..Entry::default() };
    let entries = [
        link(b'5', "./", ""),
        link(b'5', "var/lib/dpkg/", ""),
        file("./var/lib/dpkg/status", DPKG),
        file("lib/apk/db/installed", APK),
        link(b'2', "etc/os-release", "../usr/lib/os-release"),
        file("usr/lib/os-release", RELEASE),
        link(b'1', "etc/hard", "usr/lib/os-release"),
        meta(b'L', b"opt/a/very/long/name/os-release\0"),
        file("opt/short", b"content"),
        meta(b'K', b"../target\0"),
        link(b'2', "opt/link", "t"),
        meta(b'x', b"18 path=opt/paxed\n19 linkpath=target\n10 size=3\n"),
        file("opt/other", b"pax"),
        meta(b'g', b"18 comment=global\n"),
        meta(b'x', b"22 GNU.sparse.major=1\n34 GNU.sparse.name=etc/os-release\n"),
        file("GNUSparseFile.0/os-release", RELEASE),
        file("usr/share/.wh.doc", b""),
        file("var/cache/.wh..wh..opq", b""),
        link(b'3', "dev/null", ""),
    ];
    let whole = archive(entries);
    let (head, tail) = whole.split_at(whole.len() / 2);
    write("tar", "every-kind", &whole)?;
    write("tar", "file", &archive([file("etc/os-release", RELEASE)]))?;
    write("gzip", "plain", &whole)?;
    write("gzip", "member", &gzip(&whole, None)?)?;
    write("gzip", "members", &[gzip(head, Some("name"))?, gzip(b"", None)?, gzip(tail, None)?].concat())?;
    write("gzip", "cut-off", &gzip(&whole, None)?[..200])?;
    write("zstd", "plain", &whole)?;
    write("zstd", "frame", &zstd::encode_all(&whole[..], 19)?)?;
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let frames = [skippable, zstd::encode_all(head, 1)?, zstd::encode_all(tail, 1)?].concat();
    write("zstd", "frames", &frames)?;
    let layer = tidewatch_inventory_fuzz::read_layer(&whole);
    let upper = tidewatch_inventory_fuzz::read_layer(&archive([
        file("lib/.wh.apk", b""),
        file("etc/os-release", RELEASE),
    ]));
    write("merge", "layer", &serde_json::to_vec(&[&upper])?)?;
    write("merge", "layers", &serde_json::to_vec(&[layer, upper])?)
}

fn gzip(bytes: &[u8], name: Option<&str>) -> std::io::Result<Vec<u8>> {
    let mut builder = flate2::GzBuilder::new();
    if let Some(name) = name {
        builder = builder.filename(name).comment("comment").extra(&b"ab\x02\x00xy"[..]);
    }
    let mut encoder = builder.write(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}
