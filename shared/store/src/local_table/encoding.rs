//! How the attributes of an item stand in the file and in frames of the socket: [postcard](https://postcard.jamesmunns.com/wire-format),
//! of a map from names to values. What is in a file stays readable: types of values may be added behind those that are there.

use tidewatch_core::ports::table::{Attributes, TableError};

/// The bytes of attributes.
pub(super) fn encode(attributes: &Attributes) -> Result<Vec<u8>, TableError> {
    postcard::to_allocvec(attributes).map_err(|error| TableError::Unavailable { source: error.into() })
}

/// The attributes that `bytes` are of; [`TableError::Unavailable`] when they are of none.
pub(super) fn decode(bytes: &[u8]) -> Result<Attributes, TableError> {
    postcard::from_bytes(bytes).map_err(|error| TableError::Unavailable { source: error.into() })
}

#[cfg(test)]
mod tests {
    use tidewatch_core::ports::table::Value;

    use super::*;

    #[test]
    fn the_bytes_of_attributes_are_those_of_earlier_versions() {
        let attributes = Attributes::from([
            ("bytes".to_owned(), Value::Bytes(vec![0, 255])),
            ("number".to_owned(), Value::Number(-300)),
            ("text".to_owned(), Value::from("é")),
        ]);
        let bytes = b"\x03\x05bytes\x02\x02\x00\xff\x06number\x01\xd7\x04\x04text\x00\x02\xc3\xa9";
        assert_eq!(encode(&attributes).unwrap(), bytes);
        assert_eq!(decode(bytes).unwrap(), attributes);
    }

    #[test]
    fn bytes_that_are_cut_short_are_no_attributes() {
        assert!(matches!(decode(b"\x03\x05by"), Err(TableError::Unavailable { .. })));
    }
}
