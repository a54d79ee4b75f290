//! The Huffman code of RFC 7541, Appendix B.
//!
//! The code is canonical: sorted by length, then by symbol, each code is the one before plus one. So the lengths are all
//! there is to know, and the tables are computed from them by the compiler.

use super::Error;

/// Bits of the code of each byte, and of the end symbol.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, //
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, //
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, //
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, //
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const MAX_LENGTH: usize = 30;

/// Codes of up to so many bits, which all that is frequent has, are looked up at once.
const SHORT_BITS: usize = 9;

/// The end symbol, which must not occur.
const END: u16 = 256;

struct Tables {
    codes: [u32; 257],
    /// By the next [`SHORT_BITS`] bits: the symbol, and the length of its code or 0.
    short: [(u8, u8); 1 << SHORT_BITS],
    /// The symbols in the order of their codes.
    sorted: [u16; 257],
    /// By length: the first code that is longer, its bits moved up to the top of 32; and the place in `sorted` of the
    /// first code of this length minus that code, modulo 2³².
    limits: [u64; MAX_LENGTH + 1],
    places: [u32; MAX_LENGTH + 1],
}

static TABLES: Tables = tables();

#[expect(clippy::cast_possible_truncation, reason = "symbols are below 257; try_from is not const")]
const fn tables() -> Tables {
    let mut tables = Tables {
        codes: [0; 257],
        short: [(0, 0); 1 << SHORT_BITS],
        sorted: [0; 257],
        limits: [0; MAX_LENGTH + 1],
        places: [0; MAX_LENGTH + 1],
    };
    let (mut code, mut place, mut length) = (0_u32, 0_usize, 1_usize);
    while length <= MAX_LENGTH {
        tables.places[length] = (place as u32).wrapping_sub(code);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                tables.codes[symbol] = code;
                tables.sorted[place] = symbol as u16;
                if length <= SHORT_BITS {
                    let spare = SHORT_BITS - length;
                    let mut tail = 0;
                    while tail < 1 << spare {
                        tables.short[((code as usize) << spare) + tail] = (symbol as u8, length as u8);
                        tail += 1;
                    }
                }
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        tables.limits[length] = (code as u64) << (32 - length);
        code <<= 1;
        length += 1;
    }
    tables
}

/// Appends what `bytes` mean.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    // The next bits at the top, zeros behind them.
    let (mut bits, mut count) = (0_u64, 0_u32);
    let mut rest = bytes.iter();
    loop {
        while count <= 56
            && let Some(byte) = rest.next()
        {
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        let (symbol, length) = match TABLES.short[(bits >> (64 - SHORT_BITS)) as usize] {
            (_, 0) => long(bits >> 32),
            (symbol, length) => (u16::from(symbol), u32::from(length)),
        };
        if length > count {
            // What is left is padding: less than a byte, of ones (RFC 7541, 5.2).
            let is_padding = count < 8 && bits.leading_ones() == count;
            return if is_padding { Ok(()) } else { Err(Error::Huffman) };
        }
        out.push(u8::try_from(symbol).map_err(|_| Error::Huffman)?);
        bits <<= length;
        count -= length;
    }
}

/// The symbol whose code these 32 bits start with, and its length.
#[cold]
#[expect(clippy::cast_possible_truncation, reason = "32 bits and less")]
fn long(bits: u64) -> (u16, u32) {
    let longer = TABLES.limits[SHORT_BITS + 1..].iter().position(|limit| bits < *limit);
    let Some(length) = longer.map(|at| at + SHORT_BITS + 1) else { return (END, MAX_LENGTH as u32) };
    let code = (bits >> (32 - length)) as u32;
    (TABLES.sorted[code.wrapping_add(TABLES.places[length]) as usize], length as u32)
}

/// Bytes of the code of `text`.
pub(super) fn encoded_bytes(text: &[u8]) -> usize {
    text.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum::<usize>().div_ceil(8)
}

/// Appends the code of `text`.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0_u64, 0_u32);
    for byte in text {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        bits = bits << length | u64::from(TABLES.codes[usize::from(*byte)]);
        count += length;
        while count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    if count > 0 {
        out.push((bits << (8 - count) & 0xff) as u8 | 0xff >> count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        decode(bytes, &mut out).map(|()| out)
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        let some = [
            (b'0', 0x0),
            (b'a', 0x3),
            (b' ', 0x14),
            (b':', 0x5c),
            (b'X', 0xfc),
            (b'!', 0x3f8),
            (b'<', 0x7ffc),
            (b'\\', 0x7fff0),
            (0, 0x1ff8),
            (255, 0x3ff_ffee),
            (10, 0x3fff_fffc),
            (22, 0x3fff_fffe),
        ];
        for (symbol, code) in some {
            assert_eq!(TABLES.codes[usize::from(symbol)], code, "{symbol}");
        }
        assert_eq!(TABLES.codes[256], 0x3fff_ffff);
    }

    #[test]
    fn every_byte_comes_back() {
        for first in 0..=255 {
            for second in 0..=255 {
                let text = [first, second, b'e'];
                let mut code = Vec::new();
                encode(&text, &mut code);
                assert_eq!(code.len(), encoded_bytes(&text));
                assert_eq!(decoded(&code), Ok(text.to_vec()));
            }
        }
    }

    #[test]
    fn padding_is_short_and_of_ones() {
        assert_eq!(decoded(b""), Ok(Vec::new()));
        assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
        assert_eq!(decoded(&[0b0001_1110]), Err(Error::Huffman));
        assert_eq!(decoded(&[0b0001_1000]), Err(Error::Huffman));
        assert_eq!(decoded(&[0b0001_1111, 0xff]), Err(Error::Huffman));
        assert_eq!(decoded(&[0xff]), Err(Error::Huffman));
        assert_eq!(decoded(&[0xff; 4]), Err(Error::Huffman), "the end symbol");
        assert_eq!(decoded(&[0xff; 64]), Err(Error::Huffman));
    }
}
