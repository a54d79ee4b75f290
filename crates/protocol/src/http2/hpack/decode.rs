//! Takes a block of headers apart (RFC 7541, 3.2 and 6).

use super::table::Dynamic;
use super::{ENTRY_BYTES, Error, MAX_LIST_BYTES, huffman, read_integer};

/// The decoding side of a connection.
#[derive(Debug, Default)]
pub(in crate::http2) struct Decoder {
    table: Dynamic,
    /// Name and value of a literal field.
    literal: Vec<u8>,
}

impl Decoder {
    /// For another connection; buffers are kept.
    pub(in crate::http2) fn reset(&mut self) {
        self.table.reset();
    }

    /// A block that left this as it was, and comes again with it, means the same and may be skipped.
    #[inline]
    pub(in crate::http2) fn version(&self) -> u64 {
        self.table.version()
    }

    /// Calls `field` with each name and value of a whole block.
    pub(in crate::http2) fn decode(
        &mut self,
        block: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Error> {
        let mut rest = block;
        let mut list_bytes = 0;
        while let Some(first) = rest.first() {
            if first >> 5 == 0b001 {
                let is_first = list_bytes == 0;
                let max = read_integer(&mut rest, 5)?;
                if !is_first {
                    return Err(Error::Resize);
                }
                self.table.resize(max)?;
                continue;
            }
            let is_indexed = first >> 7 == 1;
            let is_remembered = first >> 6 == 0b01;
            let (name, value) = if is_indexed {
                self.table.get(read_integer(&mut rest, 7)?)?
            } else {
                let name = self.read_literal(&mut rest, if is_remembered { 6 } else { 4 })?;
                self.literal.split_at(name)
            };
            list_bytes += name.len() + value.len() + ENTRY_BYTES;
            if list_bytes > MAX_LIST_BYTES {
                return Err(Error::TooLarge);
            }
            field(name, value);
            if is_remembered {
                let name = name.len();
                self.table.insert(&self.literal, name);
            }
        }
        Ok(())
    }

    /// Reads name and value into `literal`; the length of the name.
    fn read_literal(&mut self, rest: &mut &[u8], bits: u8) -> Result<usize, Error> {
        self.literal.clear();
        match read_integer(rest, bits)? {
            0 => read_string(rest, &mut self.literal)?,
            index => self.literal.extend_from_slice(self.table.get(index)?.0),
        }
        let name = self.literal.len();
        read_string(rest, &mut self.literal)?;
        Ok(name)
    }
}

/// RFC 7541, 5.2.
fn read_string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let is_huffman = rest.first().is_some_and(|first| first >> 7 == 1);
    let length = read_integer(rest, 7)?;
    let (string, after) = rest.split_at_checked(length as usize).ok_or(Error::Truncated)?;
    *rest = after;
    if is_huffman {
        return huffman::decode(string, out);
    }
    out.extend_from_slice(string);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        let digits: Vec<u32> = hexadecimal.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
    }

    fn decode(decoder: &mut Decoder, block: &str) -> Result<String, Error> {
        let mut text = String::new();
        decoder.decode(&bytes(block), |name, value| {
            for part in [name, b": ", value, b"\n"] {
                text.push_str(std::str::from_utf8(part).unwrap());
            }
        })?;
        Ok(text)
    }

    /// RFC 7541, C.2: each kind of field.
    #[test]
    fn fields_are_those_of_the_standard() {
        for (block, text, is_remembered) in [
            (
                "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                "custom-key: custom-header\n",
                true,
            ),
            ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path\n", false),
            ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret\n", false),
            ("82", ":method: GET\n", false),
        ] {
            let mut decoder = Decoder::default();
            assert_eq!(decode(&mut decoder, block).as_deref(), Ok(text));
            assert_eq!(decode(&mut decoder, "be").is_ok(), is_remembered);
        }
    }

    /// RFC 7541, C.3 and C.4: requests on one connection, without and with Huffman codes.
    #[test]
    fn requests_are_those_of_the_standard() {
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let coded = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        let texts = [
            ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n",
            ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache\n",
            ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::default();
            for (block, text) in blocks.into_iter().zip(texts) {
                assert_eq!(decode(&mut decoder, block).as_deref(), Ok(text));
            }
        }
    }

    /// RFC 7541, C.5 and C.6: responses, with a table of 256 bytes, so that entries are evicted.
    #[test]
    fn responses_are_those_of_the_standard() {
        let plain = [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ];
        let coded = [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ];
        let texts = [
            ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n",
            ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n",
            ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\n\
             content-encoding: gzip\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::default();
            decoder.table.resize(256).unwrap();
            for (block, text) in blocks.into_iter().zip(texts) {
                assert_eq!(decode(&mut decoder, block).as_deref(), Ok(text));
            }
            // What is left, the newest first.
            let left = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n\
                 content-encoding: gzip\ndate: Mon, 21 Oct 2013 20:13:22 GMT\n";
            assert_eq!(decode(&mut decoder, "bebf c0").as_deref(), Ok(left));
            assert_eq!(decode(&mut decoder, "c1"), Err(Error::Index(65)));
        }
    }

    /// Against a table that is only a list: entries of all sizes, names by index, resizes.
    #[test]
    fn the_table_is_a_queue_of_bounded_size() {
        let seed = 7;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut decoder = Decoder::default();
        let mut model: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut max = 4096;
        for step in 0..20_000 {
            let mut block = Vec::new();
            if random.u8(0..50) == 0 {
                max = random.usize(0..=4096);
                super::super::write_integer(&mut block, 0x20, 5, max);
            }
            let name = if model.is_empty() || random.bool() {
                block.extend_from_slice(&[0x40, 2, b'a', random.u8(b'a'..=b'z')]);
                block[block.len() - 2..].to_vec()
            } else {
                let at = random.usize(..model.len());
                evict(&mut model, max);
                let Some((name, _)) = model.get(at) else {
                    decoder.decode(&block, |_, _| {}).unwrap();
                    continue;
                };
                super::super::write_integer(&mut block, 0x40, 6, 62 + at);
                name.clone()
            };
            let value = vec![b'v'; random.usize(0..5).pow(random.u32(0..6))];
            super::super::write_integer(&mut block, 0, 7, value.len());
            block.extend_from_slice(&value);
            decoder.decode(&block, |_, _| {}).unwrap();
            evict(&mut model, max);
            model.insert(0, (name, value));
            evict(&mut model, max);
            let at = random.usize(0..=model.len());
            let index = u32::try_from(62 + at).unwrap();
            let entry = decoder.table.get(index).map(|(name, value)| (name.to_vec(), value.to_vec()));
            assert_eq!(entry.ok(), model.get(at).cloned(), "seed {seed}, step {step}");
        }
    }

    fn evict(model: &mut Vec<(Vec<u8>, Vec<u8>)>, max: usize) {
        let size = |model: &[(Vec<u8>, Vec<u8>)]| -> usize {
            model.iter().map(|(name, value)| name.len() + value.len() + ENTRY_BYTES).sum()
        };
        while size(model) > max {
            model.pop();
        }
    }
}
