//! A folder that is the root of a file system, read as the only layer of an image. Links are not followed, other file
//! systems and special files are passed by, and the order is that of the names, whatever the file system says.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use tidewatch_inventory::{FolderReader, LayerInventory, LayerReader, Limits, merge};

use super::ReadImage;
use crate::failure::Failure;
use crate::output::{Progress, ProgressBars};

/// How many entries there are from one look of the progress to the next.
const SHOWN: u64 = 1000;

/// The folder at `path`.
pub(super) fn open(path: &str) -> Result<PathBuf, Failure> {
    let folder = PathBuf::from(path);
    if path.is_empty() || !folder.is_dir() {
        let hint = if folder.is_file() {
            format!("a file is named so: docker-archive:{path}, or oci-archive:{path}")
        } else {
            "give the root of a file system: dir:PATH".to_owned()
        };
        return Err(Failure::new(anyhow!("there is no folder {path}")).hint(hint));
    }
    Ok(folder)
}

/// Reads the folder.
pub(super) async fn read(folder: PathBuf, limits: Limits, bars: &ProgressBars) -> Result<ReadImage, Failure> {
    let progress = bars.spinner(&format!("reading {}", folder.display()));
    let shown = progress.clone();
    let layer = tokio::task::spawn_blocking(move || walk(&folder, limits, &shown)).await?;
    progress.finish();
    Ok(ReadImage { digest: None, platform: None, name: None, inventory: merge([&layer?]), said: None })
}

fn walk(folder: &Path, limits: Limits, progress: &Progress) -> Result<LayerInventory, Failure> {
    let unreadable = |error| {
        Failure::new(
            anyhow::Error::new(error).context(format!("failed to read the folder {}", folder.display())),
        )
        .hint("read it as a user who may, or name another")
    };
    let device = fs::metadata(folder).map_err(unreadable)?.dev();
    let names = names(folder).map_err(unreadable)?;
    let mut walk = Walk {
        root: folder,
        device,
        reader: LayerReader::of_folder(limits),
        open: Vec::new(),
        seen: 0,
        progress,
    };
    walk.entries(Path::new(""), names);
    while let Some(directory) = walk.open.pop() {
        match self::names(&folder.join(&directory)) {
            Ok(names) => walk.entries(&directory, names),
            Err(error) => walk.problem(&directory, &format!("failed to list what is in it: {error}")),
        }
    }
    Ok(walk.reader.finish()?)
}

/// The names in a folder, sorted by their bytes.
fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names: Vec<OsString> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

struct Walk<'a> {
    root: &'a Path,
    device: u64,
    reader: FolderReader,
    /// Directories that are still to be looked into, the next one last.
    open: Vec<PathBuf>,
    seen: u64,
    progress: &'a Progress,
}

impl Walk<'_> {
    /// Takes what is in a directory.
    fn entries(&mut self, directory: &Path, names: Vec<OsString>) {
        let first = self.open.len();
        for name in names {
            let path = directory.join(name);
            if let Err(error) = self.entry(&path) {
                self.problem(&path, &format!("failed to look at it: {error}"));
            }
        }
        if let Some(added) = self.open.get_mut(first..) {
            added.reverse();
        }
    }

    fn entry(&mut self, path: &Path) -> io::Result<()> {
        self.seen += 1;
        if self.seen.is_multiple_of(SHOWN) {
            self.progress.say(format!("reading {}: {} files", self.root.display(), self.seen));
        }
        let real = self.root.join(path);
        let metadata = fs::symlink_metadata(&real)?;
        let bytes = path.as_os_str().as_bytes();
        if metadata.is_symlink() {
            self.reader.symlink(bytes, fs::read_link(&real)?.as_os_str().as_bytes());
        } else if metadata.is_dir() {
            self.reader.directory(bytes);
            if metadata.dev() == self.device {
                self.open.push(path.to_owned());
            }
        } else if metadata.is_file() {
            self.reader.file(bytes, metadata.len(), &mut LazyFile { path: &real, file: None });
        }
        Ok(())
    }

    fn problem(&mut self, path: &Path, reason: &str) {
        self.reader.problem(path.as_os_str().as_bytes(), reason);
    }
}

/// A file that is opened when somebody wants to read it, which is seldom.
struct LazyFile<'a> {
    path: &'a Path,
    file: Option<File>,
}

impl Read for LazyFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(self.path)?,
        };
        self.file.insert(file).read(buffer)
    }
}
