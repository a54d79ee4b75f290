//! Bodies that targets code: what they were before, and what of them is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::borrow::Cow;
use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use protocol::decode::{ACCEPT_ENCODING, DecodeError, MAX_CODINGS, decode};

const PLAIN: &[u8] = b"hello hello hello hello\n";
const LIMIT: usize = 64 * 1024;

/// [`PLAIN`], by the reference implementations of br and zstd.
const BR: &str = "1b1700f88d946ede445586d60a206c6f4a1179e280ae16";
const ZSTD: &str = "28b52ffd24186d00003868656c6c6f200a0100994b11a87c2ea8";
/// As a stream, with a window of 128 MiB, which is more than the web allows.
const ZSTD_WIDE: &str = "28b52ffd04886d00003868656c6c6f200a0100994b11a87c2ea8";
/// 64 MiB of zeros.
const BR_BOMB: &str = "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f0110870500baf77ffcffff837f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffcbffff3ffc1300715800a07bff07";
/// A million zeros.
const ZSTD_BOMB: &str =
    "28b52ffd04585400001000000100fbff39c00202001000020010000200100002001000020010000200100003120a00ccaeca39";

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bare_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn decoded<'b>(coding: &str, body: &'b [u8], limit: usize) -> Result<Cow<'b, [u8]>, DecodeError> {
    decode(format!("A: b\r\nContent-Encoding: {coding}\r\n").as_bytes(), body, limit)
}

#[test]
fn all_that_is_offered_is_decoded() {
    let coded = [
        ("gzip", gzip(PLAIN)),
        ("X-GZip", gzip(PLAIN)),
        ("deflate", zlib(PLAIN)),
        ("deflate", bare_deflate(PLAIN)),
        ("br", hex(BR)),
        ("zstd", hex(ZSTD)),
    ];
    for offered in ACCEPT_ENCODING.split(", ") {
        assert!(coded.iter().any(|(coding, _)| *coding == offered), "{offered}");
    }
    for (coding, body) in coded {
        assert_eq!(decoded(coding, &body, LIMIT).as_deref(), Ok(PLAIN), "{coding}");
        assert_eq!(decoded(coding, &body, PLAIN.len()).as_deref(), Ok(PLAIN), "{coding}");
        let too_large = DecodeError::TooLarge(PLAIN.len() - 1);
        assert_eq!(decoded(coding, &body, PLAIN.len() - 1), Err(too_large), "{coding}");
        assert_eq!(decoded(coding, b"", LIMIT).as_deref(), Ok(&b""[..]), "{coding} to HEAD");
    }
}

#[test]
fn parts_after_each_other_are_one_body() {
    for (coding, one) in [("gzip", gzip(PLAIN)), ("zstd", hex(ZSTD))] {
        assert_eq!(decoded(coding, &[&one[..], &one].concat(), LIMIT).unwrap(), PLAIN.repeat(2), "{coding}");
    }
}

#[test]
fn codings_are_undone_from_the_last_to_the_first() {
    assert_eq!(decoded("br, gzip", &gzip(&hex(BR)), LIMIT).as_deref(), Ok(PLAIN));
    assert_eq!(decoded("identity, gzip,, deflate", &zlib(&gzip(PLAIN)), LIMIT).as_deref(), Ok(PLAIN));
    let two_lines = b"content-encoding: zstd\r\nContent-Encoding: gzip\r\n";
    assert_eq!(decode(two_lines, &gzip(&hex(ZSTD)), LIMIT).as_deref(), Ok(PLAIN));
    assert!(matches!(
        decoded("gzip, br", &gzip(&hex(BR)), LIMIT),
        Err(DecodeError::Invalid { coding: "br", .. })
    ));
    let many = ["gzip"; MAX_CODINGS].join(",");
    let body = (0..MAX_CODINGS).fold(PLAIN.to_vec(), |body, _| gzip(&body));
    assert_eq!(decoded(&many, &body, LIMIT).as_deref(), Ok(PLAIN));
    assert_eq!(decoded(&format!("{many}, gzip"), &gzip(&body), LIMIT), Err(DecodeError::TooMany));
}

#[test]
fn what_is_not_coded_is_not_copied() {
    for headers in ["", "A: b\r\n", "Content-Encoding: identity\r\n", "Content-Encoding:\r\n"] {
        assert!(matches!(decode(headers.as_bytes(), PLAIN, LIMIT), Ok(Cow::Borrowed(PLAIN))), "{headers}");
    }
    assert_eq!(decode(b"", PLAIN, 3), Err(DecodeError::TooLarge(3)));
    assert_eq!(decoded("compress", PLAIN, LIMIT), Err(DecodeError::Unknown("compress".to_owned())));
}

#[test]
fn a_body_that_is_cut_off_or_damaged_is_an_error() {
    for (coding, body) in [
        ("gzip", gzip(PLAIN)),
        ("deflate", zlib(PLAIN)),
        ("deflate", bare_deflate(PLAIN)),
        ("br", hex(BR)),
        ("zstd", hex(ZSTD)),
    ] {
        for length in 1..body.len() {
            let result = decoded(coding, &body[..length], LIMIT);
            let is_invalid =
                matches!(&result, Err(DecodeError::Invalid { coding: named, .. }) if *named == coding);
            assert!(is_invalid, "{coding}, {length} of {}: {result:?}", body.len());
        }
        assert!(matches!(decoded(coding, PLAIN, LIMIT), Err(DecodeError::Invalid { .. })), "{coding}");
    }
    let mut wrong_sum = gzip(PLAIN);
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    assert!(matches!(decoded("gzip", &wrong_sum, LIMIT), Err(DecodeError::Invalid { coding: "gzip", .. })));
    let wide = hex(ZSTD_WIDE);
    let wide = decoded("zstd", &wide, LIMIT);
    assert!(matches!(wide, Err(DecodeError::Invalid { coding: "zstd", .. })), "{wide:?}");
}

/// What decodes to far more than it is takes no more memory than the limit allows.
#[test]
fn bombs_stop_at_the_limit() {
    let zeros = vec![0; 8 << 20];
    let bombs = [
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        ("deflate", bare_deflate(&zeros)),
        ("br", hex(BR_BOMB)),
        ("zstd", hex(ZSTD_BOMB)),
        ("gzip, gzip", gzip(&gzip(&zeros))),
        // The first decoding is the bomb, of which the second would make little.
        ("zstd, gzip", gzip(&zeros)),
    ];
    for (coding, body) in bombs {
        let mut result = None;
        let counted = allocation_counter::measure(|| result = Some(decoded(coding, &body, LIMIT)));
        let result = result.unwrap();
        let is_stopped = matches!(result, Err(DecodeError::TooLarge(LIMIT) | DecodeError::Invalid { .. }));
        assert!(is_stopped, "{coding}: {result:?}");
        assert!(counted.bytes_max < 18 << 20, "{coding}: {} bytes at once", counted.bytes_max);
    }
}

#[test]
fn garbage_never_panics() {
    let seed = 0xdec0de;
    let mut random = fastrand::Rng::with_seed(seed);
    let coded = [gzip(PLAIN), zlib(PLAIN), bare_deflate(PLAIN), hex(BR), hex(ZSTD), hex(ZSTD_BOMB)];
    for _ in 0..5_000 {
        let mut body = random.choice(&coded).unwrap().clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..body.len());
            body[at] = random.u8(..);
        }
        for coding in ["gzip", "deflate", "br", "zstd", "br, zstd"] {
            if let Ok(plain) = decoded(coding, &body, LIMIT) {
                assert!(plain.len() <= LIMIT);
            }
        }
    }
}
