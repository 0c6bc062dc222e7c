//! The files of Debian's packages: `var/lib/dpkg/info/PACKAGE.list`, one path a line, and in distroless images
//! `var/lib/dpkg/status.d/PACKAGE.md5sums`, of which each line begins with a checksum.
//!
//! Specification: <https://man7.org/linux/man-pages/man5/deb-md5sums.5.html>; the lists are what `dpkg --listfiles` reads:
//! <https://man7.org/linux/man-pages/man1/dpkg-query.1.html>.

use super::{Access, Evidence, Reader};
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::{InputFile, Reading};

pub(super) const READER: Reader = Reader {
    id: "dpkg-files",
    paths: &[
        PathPattern::new("var/lib/dpkg/info/*.list"),
        PathPattern::new("var/lib/dpkg/status.d/*.md5sums"),
    ],
    evidence: Evidence::About,
    file_bytes: 16 << 20,
    access: Access::Whole(read),
};

/// The digits of an MD5 sum.
const MD5_DIGITS: usize = 32;

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let has_sums = file.path.ends_with(".md5sums");
    // A path that is cut off is another one.
    let end = if file.complete { file.bytes.len() } else { memchr::memrchr(b'\n', file.bytes).unwrap_or(0) };
    for line in file.bytes.get(..end).unwrap_or_default().split(|byte| *byte == b'\n') {
        let path = if has_sums { after_sum(line) } else { Some(line) };
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            reading.owned.add(&paths::borrowed_text(path));
        }
    }
    reading
}

/// The path of a line `SUM  PATH`.
fn after_sum(line: &[u8]) -> Option<&[u8]> {
    let (sum, path) = line.split_at_checked(MD5_DIGITS)?;
    (sum.iter().all(u8::is_ascii_hexdigit) && path.starts_with(b" ")).then(|| path.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path_set::PathSet;
    use crate::reading::file;

    fn owned(path: &str, bytes: &[u8], complete: bool) -> PathSet {
        let reading = read(&InputFile { complete, ..file(path, bytes) });
        assert!(reading.packages.is_empty() && reading.problems.is_empty());
        reading.owned.into_hashes().into_iter().collect()
    }

    #[test]
    fn every_line_of_a_list_is_a_path() {
        let list = "/.\n/usr\n/usr/lib/python3/dist-packages/x.py\n/lib/x86_64-linux-gnu/libc.so.6\n/usr/share/é\x1b\n";
        let owned = owned("var/lib/dpkg/info/libc6:amd64.list", list.as_bytes(), true);
        for path in [
            "usr/lib/python3/dist-packages/x.py",
            "lib/x86_64-linux-gnu/libc.so.6",
            "usr/lib/x86_64-linux-gnu/libc.so.6",
            "usr/share/é\\x1b",
        ] {
            assert!(owned.contains(path), "{path}");
        }
        // The root, usr, the program of Python, the library with and without usr, and the odd one.
        assert_eq!(owned.len(), 6);
    }

    #[test]
    fn of_what_is_in_status_d_only_the_checksums_are_files() {
        let id = |path| crate::readers::reader_for(path).map(|reader| reader.id);
        assert_eq!(id("var/lib/dpkg/status.d/openssl.md5sums"), Some("dpkg-files"));
        assert_eq!(id("var/lib/dpkg/status.d/openssl"), Some("dpkg"));
    }

    #[test]
    fn a_line_of_checksums_is_a_checksum_and_a_path() {
        let sums = "d41d8cd98f00b204e9800998ecf8427e  usr/bin/openssl\n\
                    0123456789abcdef0123456789abcdef  usr/share/a b\nno sum\n\n";
        let owned = owned("var/lib/dpkg/status.d/openssl.md5sums", sums.as_bytes(), true);
        assert!(owned.contains("usr/bin/openssl") && owned.contains("usr/share/a b"));
        assert_eq!(owned.len(), 2);
    }

    #[test]
    fn of_a_cut_list_the_last_path_does_not_count() {
        let path = "var/lib/dpkg/info/x.list";
        assert_eq!(owned(path, b"/usr/a\n/usr/bcd", true).len(), 2);
        assert_eq!(owned(path, b"/usr/a\n/usr/bcd", false).len(), 1);
        assert!(owned(path, b"/usr/a", false).is_empty());
        assert!(owned(path, b"", true).is_empty());
    }
}
