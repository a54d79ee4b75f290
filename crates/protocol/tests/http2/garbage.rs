//! Conversations with random damage.

use protocol::Want;

use crate::wire::*;

/// Random damage, in random slices: no panic, no request told of twice, and the same whatever the slices.
#[test]
fn garbage_never_panics() {
    let huffman = b"\x88\x76\x89\xaa\x63\x55\xe5\x80\xae\x21\x2e\x1f\x61\x96\xdc\x34\xfd\x28\x20\xa9\xa4\xfd\xd4\x10\x04\xe2\x80\x6e\xe3\x42\xb8\xdb\x6a\x62\xd1\xbf";
    let conversations: [Vec<u8>; 4] = [
        [headers(END_HEADERS, 1, huffman), data(1, 1, b"pong"), headers(BOTH, 3, b"\x88\xbf\xbe")].concat(),
        [
            headers(0, 1, &huffman[..9]),
            frame(9, 4, 1, &huffman[9..]),
            data(PADDED, 1, b"\x02ab\0\0"),
            headers(BOTH, 1, &block(&[("a", "b")])),
            rst_stream(3, 7),
        ]
        .concat(),
        [settings(&[(4, 5), (3, 1), (1, 0)]), frame(6, 0, 0, &[7; 8]), window_update(3, 9), goaway(1, 2)]
            .concat(),
        headers(BOTH, 1, &block(&[(":status", "200"), ("content-length", "4")])),
    ];
    let requests = [request("GET"), posting(&[b'x'; 20]), request("HEAD")];
    let seed = 0x5eed;
    let mut random = fastrand::Rng::with_seed(seed);
    for run in 0..50_000 {
        let mut bytes = settings(&[]);
        for _ in 0..random.usize(1..4) {
            bytes.extend_from_slice(random.choice(&conversations).unwrap());
        }
        for _ in 0..random.usize(0..6) {
            let at = random.usize(0..=bytes.len());
            match random.u8(0..5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random.u8(..)),
                2 if at < bytes.len() => {
                    bytes[at] = *random.choice(b"\0\x01\x03\x04\x05\x7f\x80\xff\xbe").unwrap()
                }
                3 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
                _ => {
                    let mut noise = vec![0; random.usize(0..20)];
                    random.fill(&mut noise);
                    bytes.splice(at..at, noise);
                }
            }
        }
        let want = Want { body: random.usize(0..3), headers: random.bool() };
        let whole = converse(&requests, want, [&bytes[..]]);
        let mut slices = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (slice, after) = rest.split_at(random.usize(1..=rest.len()));
            slices.push(slice);
            rest = after;
        }
        assert_eq!(
            converse(&requests, want, slices),
            whole,
            "seed {seed}, run {run}: {}",
            bytes.escape_ascii()
        );
    }
}
