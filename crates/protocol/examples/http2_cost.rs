//! What a request and its small response cost over HTTP/2, without a socket:
//! `cargo run --release -p protocol --example http2_cost`.
//!
//! Ten streams on a connection; the answers to all ten come in one slice. Prints the median over rounds of nanoseconds per
//! request. With the number of a case and of rounds it only runs, for `valgrind --tool=callgrind`: the difference of the
//! instructions of two runs is that of their requests.

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::hint::black_box;

use protocol::http2::Http2;
use protocol::{Heard, Parts, Protocol, Request, Session, Want};

const STREAMS: u32 = 10;
const ROUNDS: usize = 31;
const TURNS_PER_ROUND: usize = 10_000;

/// What a server says on a connection before the first response, the block of its first one, and that of the others.
struct Case {
    name: &'static str,
    first: &'static [u8],
    later: &'static [u8],
}

/// As nginx 1.22 and nghttpd 1.52 send them: `server`, `date`, `content-type`, `content-length`; with nghttpd by index.
/// The last names nothing by index and changes the table each time, so that every block is decoded.
const CASES: [Case; 3] = [
    Case {
        name: "nginx",
        first: b"\x20\x88\x76\x89\xaa\x63\x55\xe5\x80\xae\x21\x2e\x1f\x61\x96\xdc\x34\xfd\x28\x20\xa9\xa4\
            \xfd\xd4\x10\x04\xe2\x80\x6e\xe3\x42\xb8\xdb\x6a\x62\xd1\xbf\x5f\x87\x49\x7c\xa5\x8a\xe8\
            \x19\xaa\x5c\x02\x31\x38",
        later: b"\x88\x76\x89\xaa\x63\x55\xe5\x80\xae\x21\x2e\x1f\x61\x96\xdc\x34\xfd\x28\x20\xa9\xa4\xfd\
            \xd4\x10\x04\xe2\x80\x6e\xe3\x42\xb8\xdb\x8a\x62\xd1\xbf\x5f\x87\x49\x7c\xa5\x8a\xe8\x19\
            \xaa\x5c\x02\x31\x38",
    },
    Case {
        name: "nghttpd",
        first: b"\x3f\xe1\x1f\x88\x76\x90\xaa\x69\xd2\x9a\xe4\x52\xa9\xa7\x4a\x6b\x13\x01\x5d\xb1\x2e\x0f\
            \x58\x89\xa4\x7e\x56\x1c\xc5\x81\x97\x00\x0f\x61\x96\xdc\x34\xfd\x28\x20\xa9\xa4\xfd\xd4\
            \x10\x04\xe2\x80\x6e\xe3\x42\xb8\xdb\x8a\x62\xd1\xbf\x0f\x0d\x02\x31\x38\x6c\x96\xdc\x34\
            \xfd\x28\x20\xa9\xa4\xfd\xd4\x10\x04\xe2\x80\x6e\xe3\x40\xb8\xd8\x54\xc5\xa3\x7f",
        later: b"\x88\xc1\xc0\xbf\x0f\x0d\x02\x31\x38\xbe",
    },
    Case {
        name: "never familiar",
        first: b"\x88",
        later: b"\x88\x76\x89\xaa\x63\x55\xe5\x80\xae\x21\x2e\x1f\x61\x96\xdc\x34\xfd\x28\x20\xa9\xa4\xfd\
            \xd4\x10\x04\xe2\x80\x6e\xe3\x42\xb8\xdb\x8a\x62\xd1\xbf\x5f\x87\x49\x7c\xa5\x8a\xe8\x19\
            \xaa\x5c\x02\x31\x38",
    },
];

const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
const BODY: &[u8] = b"hello, groundswell";

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    let [_, a, b, c] = length.to_be_bytes();
    [&[a, b, c, kind, flags, 0, 0, 0, 0], payload].concat()
}

/// A connection on which the same happens again and again.
struct Connection {
    session: Box<dyn Session>,
    heard: Vec<Heard>,
    /// The answers of a turn, and where in them the streams stand.
    answers: Vec<u8>,
    streams_at: Vec<usize>,
    next_stream: u32,
    done: u32,
}

impl Connection {
    fn new(case: &Case, request: &Request) -> Self {
        let response = [frame(1, 4, case.later), frame(0, 1, BODY)].concat();
        let answers = response.repeat(STREAMS as usize);
        let data_at = 9 + case.later.len();
        let streams_at = (0..STREAMS as usize)
            .flat_map(|at| [at * response.len() + 5, at * response.len() + data_at + 5])
            .collect();
        let mut connection = Self {
            session: Http2::new(STREAMS).session(),
            heard: Vec::new(),
            answers,
            streams_at,
            next_stream: 1,
            done: 0,
        };
        connection.session.start(&mut connection.heard);
        let first = [SETTINGS.to_vec(), frame(1, 4, case.first), frame(0, 1, BODY)].concat();
        let later = std::mem::replace(&mut connection.answers, first);
        let later_at = std::mem::replace(
            &mut connection.streams_at,
            vec![SETTINGS.len() + 5, SETTINGS.len() + 9 + case.first.len() + 5],
        );
        connection.turn(request);
        (connection.answers, connection.streams_at) = (later, later_at);
        connection
    }

    /// Sends as many requests as are answered at once, and takes the answers.
    fn turn(&mut self, request: &Request) {
        for (at, places) in self.streams_at.chunks_exact(2).enumerate() {
            self.session.begin(u32::try_from(at).unwrap_or(0), black_box(request), Want::default());
            for place in places {
                self.answers[*place..][..4].copy_from_slice(&self.next_stream.to_be_bytes());
            }
            self.next_stream += 2;
        }
        black_box(self.session.output()).clear();
        self.heard.clear();
        self.session.hear(black_box(&mut self.answers), &mut self.heard).expect("answers as canned");
        for heard in &self.heard {
            if let Heard::Done(_, response) = heard {
                assert!(response.status == 200 && response.body_bytes == 18);
                self.done += 1;
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let request = Http2::new(STREAMS).render(&Parts {
        method: "GET",
        scheme: "http",
        authority: "127.0.0.1:7701",
        path: "/ping",
        headers: &[],
        body: b"",
        user_agent: "groundswell/0.1.0",
        expects_continue: false,
    })?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [case, turns] = &arguments[..] {
        let mut connection = Connection::new(&CASES[case.parse::<usize>()?], &request);
        for _ in 0..turns.parse::<u32>()? {
            connection.turn(&request);
        }
        println!("{} requests", connection.done);
        return Ok(());
    }
    for case in &CASES {
        let mut connection = Connection::new(case, &request);
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let (cpu, done) = (clock::thread_cpu(), connection.done);
                for _ in 0..TURNS_PER_ROUND {
                    connection.turn(&request);
                }
                (clock::thread_cpu() - cpu).as_nanos() as f64 / f64::from(connection.done - done)
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        println!("{:15} {:6.1} ns (least {:.1})", case.name, rounds[ROUNDS / 2], rounds[0]);
    }
    Ok(())
}
