//! Limits on what one layer, and what one image, may ask of the process that reads it. What is over a limit is read up
//! to there, and the rest becomes a problem of the inventory.

use std::str::FromStr;

/// The most packages of one image, each counted once for each file that names it. More of them are a problem.
pub const IMAGE_PACKAGES: usize = 100_000;

/// The most bytes of paths that are looked up to follow the links of one image; counted as [`Limits::resolved_bytes`].
pub(crate) const IMAGE_RESOLVED_BYTES: u64 = 64 << 20;

/// Limits of one layer. The defaults leave room for every layer met in practice, and keep a hostile one from taking
/// the process with it. As text: `entries=2000000,spilled_bytes=1GiB`; what is not named keeps its default, and a number
/// may end in `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most entries of the archive. A million of them need some 40 MiB.
    pub entries: u64,
    /// The longest path or link target in bytes; Linux itself takes 4,096.
    pub path_bytes: usize,
    /// The most bytes after decompression.
    pub unpacked_bytes: u64,
    /// The most bytes after decompression for each byte before it, once there are `expansion_floor_bytes` of them.
    pub expansion_ratio: u64,
    /// Bytes after decompression up to which no ratio is asked: a small file of zeros compresses very well.
    pub expansion_floor_bytes: u64,
    /// The most bytes of one file that are given to its reader; a reader may set less.
    pub file_bytes: usize,
    /// The most bytes of all files together that are given to readers, with what they say, and with the paths of all
    /// links and files; a hard link counts as its file.
    pub kept_bytes: usize,
    /// The most bytes of one file that is read at any place of it, as Java archives and databases of RPM are. What has
    /// over 8 MiB lies in the temporary folder meanwhile, and so do all databases of a layer, together.
    pub spilled_bytes: u64,
    /// The most symbolic links and files that are read.
    pub kept_entries: usize,
    /// The most packages of all files together; those of a hard link count again.
    pub packages: usize,
    /// The most bytes of paths that are looked up to find where the entries of the layer really are: every directory on
    /// the way counts with its whole path, and every link with its target.
    pub resolved_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 900_000,
            path_bytes: 4096,
            unpacked_bytes: 64 << 30,
            expansion_ratio: 250,
            expansion_floor_bytes: 256 << 20,
            file_bytes: 32 << 20,
            kept_bytes: 128 << 20,
            spilled_bytes: 400 << 20,
            kept_entries: 250_000,
            packages: 50_000,
            resolved_bytes: 2 << 30,
        }
    }
}

/// Limits that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// A part of the text is no `NAME=NUMBER`.
    #[error(
        "failed to read the limit {0:?}: it is to be NAME=NUMBER, as in entries=2000000 or spilled_bytes=1GiB"
    )]
    Form(String),
    /// There is no such limit.
    #[error("failed to find the limit {name:?}: there are {known}", known = NAMES.join(", "))]
    Unknown {
        /// The name that was given.
        name: String,
    },
}

/// The names of all limits, as they stand in [`Limits`].
const NAMES: [&str; 11] = [
    "entries",
    "path_bytes",
    "unpacked_bytes",
    "expansion_ratio",
    "expansion_floor_bytes",
    "file_bytes",
    "kept_bytes",
    "spilled_bytes",
    "kept_entries",
    "packages",
    "resolved_bytes",
];

impl Limits {
    fn set(&mut self, name: &str, value: u64) -> Result<(), LimitsError> {
        let size = usize::try_from(value).unwrap_or(usize::MAX);
        match name {
            "entries" => self.entries = value,
            "path_bytes" => self.path_bytes = size,
            "unpacked_bytes" => self.unpacked_bytes = value,
            "expansion_ratio" => self.expansion_ratio = value,
            "expansion_floor_bytes" => self.expansion_floor_bytes = value,
            "file_bytes" => self.file_bytes = size,
            "kept_bytes" => self.kept_bytes = size,
            "spilled_bytes" => self.spilled_bytes = value,
            "kept_entries" => self.kept_entries = size,
            "packages" => self.packages = size,
            "resolved_bytes" => self.resolved_bytes = value,
            name => return Err(LimitsError::Unknown { name: name.to_owned() }),
        }
        Ok(())
    }
}

impl FromStr for Limits {
    type Err = LimitsError;

    fn from_str(text: &str) -> Result<Self, LimitsError> {
        let mut limits = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let form = || LimitsError::Form(part.to_owned());
            let (name, value) = part.split_once('=').ok_or_else(form)?;
            limits.set(name.trim(), number(value.trim()).ok_or_else(form)?)?;
        }
        Ok(limits)
    }
}

/// A number with an optional unit of bytes.
fn number(text: &str) -> Option<u64> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (digits, unit) = units
        .into_iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?.trim_end(), bytes)))
        .unwrap_or((text, 1));
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_name_and_the_others_keep_their_defaults() {
        let limits: Limits = "entries=2000000, spilled_bytes=1GiB".parse().unwrap();
        let expected = Limits { entries: 2_000_000, spilled_bytes: 1 << 30, ..Limits::default() };
        assert_eq!(limits, expected);
        assert_eq!("".parse(), Ok(Limits::default()));
        for name in NAMES {
            let limits: Limits = format!("{name}=7").parse().unwrap();
            assert_ne!(limits, Limits::default(), "{name}");
        }
    }

    #[test]
    fn the_page_of_the_inventory_names_every_limit() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/INVENTORY.md");
        let page = std::fs::read_to_string(page).unwrap();
        for name in NAMES {
            assert!(page.contains(&format!("| `{name}` | ")), "docs/INVENTORY.md does not name {name}");
        }
    }

    #[test]
    fn limits_that_cannot_be_read_are_errors_that_say_what_there_is() {
        for text in ["entries", "entries=", "entries=-1", "entries=1TB", "entries=99999999999GiB"] {
            assert_eq!(text.parse::<Limits>(), Err(LimitsError::Form(text.to_owned())));
        }
        let error = "entry=1".parse::<Limits>().unwrap_err().to_string();
        assert!(
            error.starts_with("failed to find the limit \"entry\": there are entries, path_bytes,"),
            "{error}"
        );
    }
}
