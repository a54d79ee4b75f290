//! Writes a block of headers that means the same on every connection: nothing in it depends on a dynamic table or enters one.

use super::table::STATIC;
use super::{huffman, write_integer};

/// A block in the making.
#[derive(Debug, Default)]
pub(in crate::http2) struct Encoder {
    block: Vec<u8>,
}

impl Encoder {
    /// Appends a field; `name` is in lower case.
    pub(in crate::http2) fn push(&mut self, name: &str, value: &str) {
        if let Some(at) = STATIC.iter().position(|field| *field == (name, value)) {
            write_integer(&mut self.block, 0x80, 7, at + 1);
            return;
        }
        match STATIC.iter().position(|field| field.0 == name) {
            Some(at) => write_integer(&mut self.block, 0, 4, at + 1),
            None => {
                self.block.push(0);
                self.push_string(name);
            }
        }
        self.push_string(value);
    }

    /// The whole block.
    pub(in crate::http2) fn finish(self) -> Vec<u8> {
        self.block
    }

    fn push_string(&mut self, text: &str) {
        let encoded = huffman::encoded_bytes(text.as_bytes());
        if encoded < text.len() {
            write_integer(&mut self.block, 0x80, 7, encoded);
            huffman::encode(text.as_bytes(), &mut self.block);
        } else {
            write_integer(&mut self.block, 0, 7, text.len());
            self.block.extend_from_slice(text.as_bytes());
        }
    }
}
