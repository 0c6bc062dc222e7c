//! What cargo-auditable puts into a Rust program: the list of the crates that it is made of, as JSON that zlib compressed.
//!
//! The section `.dep-v0` that holds it is named at the end of a program, mostly behind what it names. So the list is looked
//! for where it is: each place that may be the beginning of a zlib stream is inflated up to the text with which a list begins.
//!
//! Format: <https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md>.

mod list;
mod search;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Scan, Scanner};
use crate::reading::Reading;
use search::Search;

pub(super) const SCANNER: Scanner =
    Scanner { id: "cargo-auditable", start: || Box::new(Auditable::default()) };

/// The most bytes of a list before it was compressed. Large programs have some 100 KiB.
const LIST_BYTES: usize = 4 << 20;

/// The most streams of one program that are inflated because they begin as a list does. One is what programs have.
const STREAMS: usize = 8;

/// One program.
#[derive(Default)]
struct Auditable {
    search: Search,
    /// The stream that is being inflated.
    open: Option<Stream>,
    streams: usize,
    /// The crates, once a list was read: the rest of the program is not looked at.
    crates: Option<Vec<list::Crate>>,
    /// A list is damaged or too long. It is not known where it ends, so the rest of the program is not looked at either.
    is_damaged: bool,
    /// Why the last list could not be read.
    problem: Option<String>,
}

/// A stream that begins as a list does.
struct Stream {
    zlib: Decompress,
    text: Vec<u8>,
}

/// What became of a stream.
enum Step {
    /// All bytes were taken.
    More,
    /// It ended after so many bytes.
    End(usize),
    /// It cannot be inflated.
    Broken,
    /// It has more than [`LIST_BYTES`].
    TooLong,
}

impl Scan for Auditable {
    fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && (self.open.is_some() || self.may_begin()) {
            if let Some(stream) = &mut self.open {
                let step = stream.push(rest);
                self.go_on(&step);
                match step {
                    Step::End(taken) => rest = rest.get(taken..).unwrap_or_default(),
                    Step::More | Step::Broken | Step::TooLong => return,
                }
                continue;
            }
            let Some(found) = self.search.push(rest) else { return };
            self.begin(&found.before);
            rest = rest.get(found.offset..).unwrap_or_default();
        }
    }

    fn finish(mut self: Box<Self>, complete: bool, packages: usize) -> Reading {
        let mut reading = Reading::default();
        // The last bytes of a program may have been too few to try them.
        for before in self.search.finish() {
            if self.open.is_none() && self.may_begin() {
                self.begin(&before);
            }
        }
        if let Some(crates) = self.crates {
            list::add(crates, packages, &mut reading);
        } else if let Some(problem) = self.problem {
            reading.problems.add(|| problem);
        } else if self.open.is_some() && complete {
            reading.problems.add(|| "holds a list of crates whose end is missing".to_owned());
        } else if self.search.gave_up() || self.streams >= STREAMS {
            reading.problems.add(|| "holds too many places that may be a list of crates".to_owned());
        }
        reading
    }
}

impl Auditable {
    /// Whether another stream is to be inflated.
    const fn may_begin(&self) -> bool {
        self.crates.is_none() && !self.is_damaged && self.streams < STREAMS
    }

    /// Begins the stream of which `bytes` came by.
    fn begin(&mut self, bytes: &[u8]) {
        self.streams += 1;
        let mut stream = Stream { zlib: Decompress::new(true), text: Vec::new() };
        let step = stream.push(bytes);
        self.open = Some(stream);
        self.go_on(&step);
    }

    /// Does what is to be done after a step of the open stream.
    fn go_on(&mut self, step: &Step) {
        match step {
            Step::More => {}
            Step::End(_) => self.end(),
            Step::Broken => self.give_up("holds a list of crates that is damaged".to_owned()),
            Step::TooLong => {
                self.give_up(format!("holds a list of crates of more than {LIST_BYTES} bytes"));
            }
        }
    }

    fn give_up(&mut self, problem: String) {
        self.open = None;
        self.is_damaged = true;
        self.problem = Some(problem);
    }

    /// The open stream has ended.
    fn end(&mut self) {
        let Some(stream) = self.open.take() else { return };
        match list::read(&stream.text) {
            Ok(crates) => self.crates = Some(crates),
            Err(error) => {
                self.problem =
                    Some(format!("holds a list of crates that is no JSON that can be read: {error}"));
            }
        }
    }
}

impl Stream {
    fn push(&mut self, bytes: &[u8]) -> Step {
        let before = self.zlib.total_in();
        let taken = |zlib: &Decompress| usize::try_from(zlib.total_in() - before).unwrap_or(usize::MAX);
        let mut buffer = [0; 8 << 10];
        loop {
            let (used, written) = (taken(&self.zlib), self.zlib.total_out());
            let rest = bytes.get(used..).unwrap_or_default();
            let status = self.zlib.decompress(rest, &mut buffer, FlushDecompress::None);
            // Also where it breaks after that, so that it does not matter how many bytes came at once.
            if self.zlib.total_out() > LIST_BYTES as u64 {
                return Step::TooLong;
            }
            let Ok(status) = status else { return Step::Broken };
            let new = usize::try_from(self.zlib.total_out() - written).unwrap_or(usize::MAX);
            self.text.extend_from_slice(buffer.get(..new).unwrap_or_default());
            if status == Status::StreamEnd {
                return Step::End(taken(&self.zlib));
            }
            if taken(&self.zlib) == bytes.len() && new < buffer.len() {
                return Step::More;
            }
            if new == 0 && taken(&self.zlib) == used {
                return Step::Broken;
            }
        }
    }
}

#[cfg(test)]
mod tests;
