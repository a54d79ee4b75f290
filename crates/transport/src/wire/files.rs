//! Files of a run: what `test_config` says of them, and the pieces in which they travel.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::form::{Count, Offset};
use super::{Malformed, Source, is_sha256};
use crate::message::{FileChunk, FileInfo};

/// Bytes of a file in one message. In base64, and with its frame, it stays well below what a broker takes.
pub const MAX_CHUNK_BYTES: usize = 512 * 1024;
/// Files of a run: as many as a plan may name in any way, within the size of a message.
pub const MAX_FILES: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct ChunkFields {
    sha256: String,
    chunk: Count<u32>,
    chunks: Count<u32>,
    data: String,
}

pub fn write_chunk(chunk: &FileChunk) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&ChunkFields {
        sha256: chunk.sha256.clone(),
        chunk: Count(chunk.chunk),
        chunks: Count(chunk.chunks),
        data: BASE64.encode(&chunk.bytes),
    })
}

pub fn read_chunk(source: &Source) -> Result<FileChunk, Malformed> {
    let fields: ChunkFields = source.fields()?;
    if !is_sha256(&fields.sha256) {
        return Err(source.malformed("sha256", "expected a SHA-256 in hexadecimal"));
    }
    if fields.chunk.0 >= fields.chunks.0 {
        let problem = format!("expected less than `chunks` ({}), found {}", fields.chunks.0, fields.chunk.0);
        return Err(source.malformed("chunk", problem));
    }
    let bytes = BASE64.decode(&fields.data).map_err(|error| source.malformed("data", error.to_string()))?;
    if bytes.len() > MAX_CHUNK_BYTES {
        return Err(source.malformed("data", format!("expected at most {MAX_CHUNK_BYTES} bytes")));
    }
    let sha256 = fields.sha256.to_ascii_lowercase();
    Ok(FileChunk { sha256, chunk: fields.chunk.0, chunks: fields.chunks.0, bytes })
}

/// A file of a run, in `test_config`.
#[derive(Serialize, Deserialize)]
pub struct FileFields {
    path: String,
    sha256: String,
    size: Count<u64>,
    first_offset: Offset,
    last_offset: Offset,
}

impl FileFields {
    pub fn of(info: &FileInfo) -> Self {
        Self {
            path: info.path.clone(),
            sha256: info.sha256.clone(),
            size: Count(info.size),
            first_offset: Offset(info.first_offset),
            last_offset: Offset(info.last_offset),
        }
    }
}

/// Whoever accepts these makes room for them, so their size is bounded here.
pub fn check_files(files: Vec<FileFields>, source: &Source) -> Result<Vec<FileInfo>, Malformed> {
    let bytes = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size.0));
    if files.len() > MAX_FILES || bytes > plan::limits::FILES_BYTES {
        let most = plan::limits::FILES_BYTES;
        return Err(source.malformed("files", format!("expected at most {MAX_FILES} files of {most} bytes")));
    }
    if let Some(file) = files.iter().find(|file| !is_sha256(&file.sha256)) {
        return Err(source.malformed("files", format!("{:?} has no SHA-256", file.path)));
    }
    let infos = files.into_iter().map(|file| FileInfo {
        path: file.path,
        sha256: file.sha256.to_ascii_lowercase(),
        size: file.size.0,
        first_offset: file.first_offset.0,
        last_offset: file.last_offset.0,
    });
    Ok(infos.collect())
}
