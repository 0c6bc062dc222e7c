//! The bytes of a file that has to be read at any place of it: in memory while they are few, else in a temporary file
//! without a name, which is gone when it is closed.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

/// Bytes that stay in memory; what has more lies in a temporary file.
pub(crate) const IN_MEMORY: usize = 8 << 20;

/// All bytes of a file.
#[derive(Debug)]
pub(crate) struct Contents {
    place: Place,
    length: u64,
    in_memory: usize,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(File),
}

impl Contents {
    /// No bytes yet.
    pub(crate) const fn new() -> Self {
        Self::with_memory(IN_MEMORY)
    }

    /// No bytes yet, of which at most `bytes` are to stay in memory.
    pub(crate) const fn with_memory(bytes: usize) -> Self {
        Self { place: Place::Memory(Vec::new()), length: 0, in_memory: bytes }
    }

    /// How many bytes there are.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes of them lie in a temporary file.
    #[cfg(test)]
    const fn spilled(&self) -> u64 {
        match self.place {
            Place::Memory(_) => 0,
            Place::File(_) => self.length,
        }
    }

    /// Moves the bytes to a temporary file, because they have to wait. An error is one of the temporary folder.
    pub(crate) fn spill(&mut self) -> io::Result<()> {
        if let Place::Memory(memory) = &self.place {
            let mut file = tempfile::tempfile()?;
            file.write_all(memory)?;
            self.place = Place::File(file);
        }
        Ok(())
    }

    /// Adds bytes at the end. An error is one of the temporary folder.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Place::Memory(memory) = &mut self.place {
            if memory.len() + bytes.len() > self.in_memory {
                let mut file = tempfile::tempfile()?;
                file.write_all(memory)?;
                self.place = Place::File(file);
            } else {
                memory.extend_from_slice(bytes);
            }
        }
        if let Place::File(file) = &mut self.place {
            file.write_all(bytes)?;
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Fills `buffer` with the bytes from `offset` on; how many there were, less than asked for only at the end.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.place {
            Place::Memory(memory) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(memory.len());
                let bytes = memory.get(start..).unwrap_or_default();
                let count = bytes.len().min(buffer.len());
                if let (Some(from), Some(to)) = (bytes.get(..count), buffer.get_mut(..count)) {
                    to.copy_from_slice(from);
                }
                Ok(count)
            }
            Place::File(file) => {
                let mut filled = 0;
                while let Some(left) = buffer.get_mut(filled..).filter(|left| !left.is_empty()) {
                    match file.read_at(left, offset.saturating_add(filled as u64))? {
                        0 => break,
                        count => filled += count,
                    }
                }
                Ok(filled)
            }
        }
    }

    /// Exactly `length` bytes from `offset` on; `UnexpectedEof` when there are not as many, before anything is allocated.
    pub(crate) fn bytes_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        if offset.saturating_add(length as u64) > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        let count = self.read_at(offset, &mut bytes)?;
        if count == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl From<Vec<u8>> for Contents {
    fn from(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len() as u64, place: Place::Memory(bytes), in_memory: IN_MEMORY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_and_many_are_read_alike() {
        for length in [0, 10, IN_MEMORY, IN_MEMORY + 1] {
            let bytes: Vec<u8> = (0..length).map(|position| position.to_le_bytes()[0]).collect();
            let mut contents = Contents::new();
            bytes.chunks(1 << 20).for_each(|part| contents.append(part).unwrap());
            assert_eq!(contents.length(), length as u64);
            assert_eq!(contents.spilled() > 0, length > IN_MEMORY);
            assert!(contents.bytes_at(0, length).unwrap() == bytes);
            assert!(contents.bytes_at(1, length).is_err());
            contents.spill().unwrap();
            assert_eq!(contents.spilled(), length as u64);
            assert!(contents.bytes_at(0, length).unwrap() == bytes);
        }
    }
}
