//! One second of measurements as one text: packed by `metrics::codec`, compressed by LZ4, in base64.
//!
//! Layout before base64: one byte of version, the unpacked length as four little-endian bytes, one LZ4 block.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metrics::DriverWindow;

/// Longest packed text of one part, so that a message stays well below the megabyte that a broker takes.
pub const MAX_PART_BYTES: usize = 512 * 1024;
/// Largest part before compression: 500 steps with dense histograms make about 2 MiB.
const MAX_UNPACKED_BYTES: usize = 8 * 1024 * 1024;
/// Version of the layout; that of what is packed is its own first byte.
const LAYOUT: u8 = 1;
const HEADER_BYTES: usize = 5;

/// The text of `window`.
pub fn pack(window: &DriverWindow) -> String {
    STANDARD.encode(compress(&metrics::codec::encode_window(window)))
}

fn compress(raw: &[u8]) -> Vec<u8> {
    // Longer than u32 cannot be read back, and is refused by the limit of the message.
    let length = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    let mut packed = vec![LAYOUT];
    packed.extend(length.to_le_bytes());
    packed.extend(lz4_flex::block::compress(raw));
    packed
}

/// The window in `text`; an error says what was expected.
pub fn unpack(text: &str) -> Result<DriverWindow, String> {
    if text.len() > MAX_PART_BYTES {
        return Err(format!("expected at most {MAX_PART_BYTES} bytes, found {}", text.len()));
    }
    let packed = STANDARD.decode(text).map_err(|error| format!("expected base64: {error}"))?;
    let (header, block) =
        packed.split_at_checked(HEADER_BYTES).ok_or("expected a packed window, found too few bytes")?;
    if header[0] != LAYOUT {
        return Err(format!("expected layout version {LAYOUT}, found {}", header[0]));
    }
    let length = usize::try_from(u32::from_le_bytes([header[1], header[2], header[3], header[4]]))
        .unwrap_or(usize::MAX);
    // One byte of an LZ4 block stands for at most 255 of the output.
    if length > MAX_UNPACKED_BYTES || length > block.len().saturating_mul(255) {
        return Err(format!(
            "expected a window that unpacks to at most 8 MiB, found {length} bytes announced"
        ));
    }
    let mut raw = vec![0; length];
    let written = lz4_flex::block::decompress_into(block, &mut raw)
        .map_err(|error| format!("expected an LZ4 block: {error}"))?;
    if written != length {
        return Err(format!("expected {length} bytes, unpacked {written}"));
    }
    metrics::codec::decode_window(&raw).map_err(|error| error.to_string())
}

/// Divides `window` into parts that each fit a message. Each merges on its own: the step windows are divided, stages and
/// gauges are in the first part alone. What was bad about the second is judged before, since no part shows it all.
pub fn split(mut window: DriverWindow) -> Vec<DriverWindow> {
    if window.gauges.causes.is_none() {
        window.judge();
    }
    let mut parts = Vec::new();
    divide(window, &mut parts);
    parts
}

fn divide(mut window: DriverWindow, parts: &mut Vec<DriverWindow>) {
    // A single step window has at most ten histograms, which fit at half a million requests a second.
    if window.steps.len() < 2 || fits(&window) {
        parts.push(window);
        return;
    }
    let rest = window.steps.split_off(window.steps.len() / 2);
    let second =
        DriverWindow { steps: rest, stages: Vec::new(), gauges: metrics::Gauges::default(), ..window };
    divide(window, parts);
    divide(second, parts);
}

fn fits(window: &DriverWindow) -> bool {
    let raw = metrics::codec::encode_window(window);
    // Small ones need no trial: at worst LZ4 adds a byte in 255.
    raw.len() < MAX_PART_BYTES / 2
        || (raw.len() <= MAX_UNPACKED_BYTES && compress(&raw).len().div_ceil(3) * 4 <= MAX_PART_BYTES)
}
