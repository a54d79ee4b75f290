//! Header compression for HTTP/2 (RFC 7541).
//!
//! Invariant: whatever comes, a decoder holds at most [`TABLE_BYTES`] of table and gives out at most [`MAX_LIST_BYTES`] per
//! block. Deliberately absent: an encoder with a dynamic table, since a request is encoded once for all connections.

mod decode;
mod encode;
mod huffman;
mod table;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;

/// Bytes of the dynamic table as RFC 7541, 4.1 counts them; the default, which servers expect of a client.
pub(super) const TABLE_BYTES: u32 = 4096;

/// Bytes of a decoded list of headers, counted as RFC 7541, 4.1 does: lengths of name and value, and 32 each. A few bytes on
/// the wire can mean kilobytes, so the limit on the block alone would be none.
pub(super) const MAX_LIST_BYTES: usize = 64 * 1024;

/// What an entry counts beside its name and value (RFC 7541, 4.1).
const ENTRY_BYTES: usize = 32;

/// Why a block cannot be decoded. The connection's table is lost with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An index beyond both tables, or 0 (RFC 7541, 2.3.3 and 6.1).
    #[error("index {0} is in no table")]
    Index(u32),
    /// An integer above 2³² − 1 (RFC 7541, 5.1).
    #[error("integer too large")]
    Integer,
    /// Not a Huffman code: its end symbol, or wrong padding (RFC 7541, 5.2).
    #[error("invalid Huffman code")]
    Huffman,
    /// The block ends within a field.
    #[error("block ends within a field")]
    Truncated,
    /// A table above [`TABLE_BYTES`], or resized behind the first field (RFC 7541, 4.2 and 6.3).
    #[error("table resized beyond the limit or in the middle of a block")]
    Resize,
    /// The fields exceed [`MAX_LIST_BYTES`].
    #[error("decoded headers exceed {MAX_LIST_BYTES} bytes")]
    TooLarge,
}

/// Reads an integer whose first byte has `bits` bits of it (RFC 7541, 5.1), and moves `rest` behind it.
fn read_integer(rest: &mut &[u8], bits: u8) -> Result<u32, Error> {
    let mask = (1_u8 << bits) - 1;
    let mut value = u64::from(next(rest)? & mask);
    if value < u64::from(mask) {
        return u32::try_from(value).map_err(|_| Error::Integer);
    }
    for shift in [0, 7, 14, 21, 28] {
        let byte = next(rest)?;
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| Error::Integer);
        }
    }
    Err(Error::Integer)
}

fn next(rest: &mut &[u8]) -> Result<u8, Error> {
    let (first, after) = rest.split_first().ok_or(Error::Truncated)?;
    *rest = after;
    Ok(*first)
}

/// Writes `value` behind the upper bits of `first` (RFC 7541, 5.1).
fn write_integer(bytes: &mut Vec<u8>, first: u8, bits: u8, value: usize) {
    let mask = (1_u8 << bits) - 1;
    match u8::try_from(value) {
        Ok(value) if value < mask => bytes.push(first | value),
        _ => {
            bytes.push(first | mask);
            let mut left = value - usize::from(mask);
            while left >= 0x80 {
                bytes.push(left.to_le_bytes()[0] | 0x80);
                left >>= 7;
            }
            bytes.push(left.to_le_bytes()[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, C.1.
    #[test]
    fn integers_are_those_of_the_standard() {
        for (value, first, bits, expected) in
            [(10, 0xe0, 5, &[0xea][..]), (1337, 0, 5, &[0x1f, 0x9a, 0x0a]), (42, 0, 8 - 1, &[0x2a])]
        {
            let mut bytes = Vec::new();
            write_integer(&mut bytes, first, bits, value);
            assert_eq!(bytes, expected);
            assert_eq!(read_integer(&mut &bytes[..], bits), Ok(u32::try_from(value).unwrap()));
        }
    }

    #[test]
    fn integers_have_a_limit() {
        let read = |mut bytes: &[u8]| read_integer(&mut bytes, 5);
        let mut largest = Vec::new();
        write_integer(&mut largest, 0, 5, u32::MAX as usize);
        assert_eq!(read(&largest), Ok(u32::MAX));
        let mut larger = Vec::new();
        write_integer(&mut larger, 0, 5, u32::MAX as usize + 1);
        assert_eq!(read(&larger), Err(Error::Integer));
        assert_eq!(read(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(Error::Integer));
        assert_eq!(read(&[0x1f, 0x80]), Err(Error::Truncated));
        assert_eq!(read(&[]), Err(Error::Truncated));
    }
}
