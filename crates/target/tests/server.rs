//! The target over real connections: what it answers, what it counts, and that hostile clients do not harm it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;
use target::{Server, Settings, serve};

fn start(threads: usize) -> Server {
    serve(Settings { listen: "127.0.0.1:0".parse().unwrap(), threads, shop: false }).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Sends and reads one response with a length; status and body.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> (u16, Vec<u8>) {
    stream.write_all(request).unwrap();
    receive(stream)
}

fn receive(stream: &mut impl Read) -> (u16, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), body)
}

fn get(stream: &mut TcpStream, path: &str) -> (u16, Vec<u8>) {
    exchange(stream, format!("GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n\r\n").as_bytes())
}

fn post(stream: &mut TcpStream, path: &str) -> (u16, Vec<u8>) {
    exchange(stream, format!("POST {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
}

fn metrics(server: &Server) -> Value {
    let request = b"GET /metrics HTTP/1.1\r\nAccept: application/json\r\n\r\n";
    let (status, body) = exchange(&mut connect(server), request);
    assert_eq!(status, 200);
    serde_json::from_slice(&body).unwrap()
}

/// Waits until a metric has a value; other threads of the server may be a moment behind.
fn await_metric(server: &Server, name: &str, value: u64) {
    for _ in 0..500 {
        if metrics(server)[name] == value {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{name} is not {value} in {}", metrics(server));
}

fn milliseconds(mut act: impl FnMut()) -> u128 {
    let before = clock::now();
    act();
    clock::now().since(before).as_millis()
}

#[test]
fn each_path_does_what_it_says() {
    let server = start(2);
    let mut stream = connect(&server);
    assert_eq!(get(&mut stream, "/ping"), (200, b"pong".to_vec()));
    assert_eq!(get(&mut stream, "/ping?q"), (200, b"pong".to_vec()));
    assert_eq!(get(&mut stream, "/status/503"), (503, b"Service Unavailable".to_vec()));
    assert_eq!(get(&mut stream, "/status/204"), (204, Vec::new()));
    assert_eq!(get(&mut stream, "/bytes/3"), (200, b"xxx".to_vec()));
    assert_eq!(get(&mut stream, "/bytes/5MB").1.len(), 5_000_000);
    assert_eq!(get(&mut stream, "/nowhere").0, 404);
    assert_eq!(get(&mut stream, "/bytes/x").0, 400);
    assert_eq!(get(&mut stream, "/control/reset").0, 405);
    let waited_ms = milliseconds(|| assert_eq!(get(&mut stream, "/delay/50ms"), (200, b"pong".to_vec())));
    assert!((50..1000).contains(&waited_ms), "{waited_ms} ms");
    let echo = b"PUT /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(exchange(&mut stream, echo), (200, b"hello".to_vec()));
    let (status, text) = get(&mut stream, "/metrics");
    let text = String::from_utf8(text).unwrap();
    assert!(status == 200 && text.contains("groundswell_target_requests_total{kind=\"ping\"} 2\n"), "{text}");
    assert_eq!(server.requests(), 10);
    server.stop();
    server.join();
}

#[test]
fn a_body_may_be_large_slow_or_announced() {
    let server = start(1);
    let mut stream = connect(&server);
    let body: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(1 << 20).collect();
    let head = format!("POST /echo HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    assert_eq!(receive(&mut stream).1, body);

    for byte in b"POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" {
        stream.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(receive(&mut stream), (200, b"hello".to_vec()));

    let head = b"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(exchange(&mut stream, head).0, 100);
    assert_eq!(exchange(&mut stream, b"ok"), (200, b"ok".to_vec()));
    assert_eq!(metrics(&server)["requests"], 3);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start(1);
    let mut stream = connect(&server);
    let requests = "GET /ping HTTP/1.1\r\n\r\nGET /delay/20ms HTTP/1.1\r\n\r\nGET /bytes/200000 HTTP/1.1\r\n\r\n\
        GET /status/404 HTTP/1.1\r\n\r\nHEAD /bytes/9 HTTP/1.1\r\n\r\nGET /bytes/1 HTTP/1.1\r\n\r\n";
    stream.write_all(requests.as_bytes()).unwrap();
    let answers: Vec<_> =
        (0..4).map(|_| receive(&mut stream)).map(|(status, body)| (status, body.len())).collect();
    assert_eq!(answers, [(200, 4), (200, 4), (200, 200_000), (404, 9)]);
    let mut rest = [0; 1000];
    let length = stream.read(&mut rest).unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 200 OK") && rest[..length].ends_with(b"x"));

    // More answers than fit the socket's buffers, from a client that reads none until it has sent all.
    let many = "GET /ping HTTP/1.1\r\nUser-Agent: many\r\n\r\n".repeat(100_000);
    let mut writing = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || writing.write_all(many.as_bytes()).unwrap());
    std::thread::sleep(Duration::from_millis(100));
    let mut reading = BufReader::new(stream);
    for _ in 0..100_000 {
        assert_eq!(receive(&mut reading).0, 200);
    }
    writer.join().unwrap();
    let metrics = metrics(&server);
    assert_eq!((&metrics["requests"], &metrics["answered"]), (&100_006.into(), &100_006.into()));
    assert_eq!(metrics["latency"]["count"], 100_006);
}

#[test]
fn connections_are_kept_or_closed_as_asked() {
    let server = start(1);
    for (request, expected) in [
        ("GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n", "Connection: close"),
        ("GET /ping HTTP/1.0\r\n\r\n", "Connection: close"),
        ("nonsense\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411 Length Required"),
        ("PUT /echo HTTP/1.1\r\nContent-Length: 9999999\r\n\r\nabc", "413 Content Too Large"),
    ] {
        let mut stream = connect(&server);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(expected), "{request:?}: {answer:?}");
    }
    let mut stream = connect(&server);
    let old = b"GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!([exchange(&mut stream, old).0, exchange(&mut stream, old).0], [200, 200]);
    // A client that has sent its last byte still gets its answers.
    stream.write_all(b"GET /delay/20ms HTTP/1.1\r\n\r\nGET /ping HTTP/1.1\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!([receive(&mut stream).0, receive(&mut stream).0], [200, 200]);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    await_metric(&server, "connections", 1);
}

#[test]
fn a_stall_holds_all_other_answers() {
    let server = start(2);
    let mut streams: Vec<_> = (0..8).map(|_| connect(&server)).collect();
    for stream in &mut streams {
        assert_eq!(get(stream, "/ping").0, 200);
    }
    streams[0].write_all(b"GET /delay/100ms HTTP/1.1\r\n\r\n").unwrap();
    let waited_ms = milliseconds(|| {
        assert_eq!(post(&mut connect(&server), "/control/stall/500ms").0, 200);
        for stream in &mut streams[1..] {
            stream.write_all(b"GET /ping HTTP/1.1\r\n\r\n").unwrap();
        }
        await_metric(&server, "in_flight", 8);
        for stream in &mut streams {
            assert_eq!(receive(stream), (200, b"pong".to_vec()));
        }
    });
    assert!((499..3000).contains(&waited_ms), "{waited_ms} ms");
    // An answer is counted after it was sent, its request before.
    await_metric(&server, "answered", 16);
}

#[test]
fn requests_that_are_never_answered_are_counted() {
    let server = start(1);
    let mut stream = connect(&server);
    stream.write_all(b"GET /stall HTTP/1.1\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(metrics(&server)["in_flight"], 1);
    drop(stream);
    await_metric(&server, "abandoned", 1);
    let metrics = metrics(&server);
    assert_eq!(
        (&metrics["requests"], &metrics["answered"], &metrics["in_flight"]),
        (&1.into(), &0.into(), &0.into())
    );
}

#[test]
fn drivers_are_told_apart_and_counted_exactly() {
    let server = start(2);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let server = &server;
            scope.spawn(move || {
                let mut stream = connect(server);
                let agent = format!("groundswell/1 (run r; driver d{})", number % 3);
                for step in 0..500 {
                    let path = ["/ping", "/status/201"][step % 2];
                    let request = format!("GET {path} HTTP/1.1\r\nUser-Agent: {agent}\r\n\r\n");
                    exchange(&mut stream, request.as_bytes());
                }
            });
        }
    });
    let metrics = metrics(&server);
    assert_eq!((server.requests(), &metrics["requests_by_kind"]["ping"]), (3000, &1500.into()));
    let clients = metrics["clients"].as_array().unwrap();
    assert_eq!(clients.len(), 3);
    for client in clients {
        assert_eq!(client["requests"], 1000);
        let time = |name: &str| client[name].as_u64().unwrap();
        assert!(time("first_request_unix_ns") < time("last_request_unix_ns"));
        assert!(time("first_request_unix_ns") >= metrics["first_request_unix_ns"].as_u64().unwrap());
    }

    assert_eq!(post(&mut connect(&server), "/control/reset").0, 200);
    assert_eq!(server.requests(), 0);
    get(&mut connect(&server), "/ping");
    assert_eq!(server.requests(), 1);
}

#[test]
fn hostile_clients_do_no_harm() {
    let server = start(1);
    let seed = 0x5eed;
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..300 {
        let mut stream = connect(&server);
        let mut bytes = b"POST /echo HTTP/1.1\r\nContent-Length: 30\r\nUser-Agent: \"\\\xff\r\n\r\n".to_vec();
        for _ in 0..random.usize(0..5) {
            let at = random.usize(0..bytes.len());
            bytes[at] = random.u8(..);
        }
        let garbage = random.usize(0..2000);
        bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(garbage));
        // The server may have refused and closed already.
        drop(stream.write_all(&bytes));
        if random.bool() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
    // An endless head, an endless refused body, and answers that nobody reads.
    let mut endless = connect(&server);
    while endless.write_all(&[b'a'; 10_000]).is_ok() {}
    let mut greedy: Vec<_> = (0..50).map(|_| connect(&server)).collect();
    for stream in &mut greedy {
        stream.write_all(b"GET /bytes/1GiB HTTP/1.1\r\n\r\n").unwrap();
    }
    for stream in &mut greedy {
        let body = vec![b'e'; 1 << 20];
        let head = b"POST /echo HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n";
        stream.set_write_timeout(Some(Duration::from_millis(5))).unwrap();
        drop(stream.write_all(head).and_then(|()| stream.write_all(&body)));
    }
    assert_eq!(get(&mut connect(&server), "/ping").0, 200, "seed {seed}");
    drop(greedy);
    assert!(metrics(&server)["malformed"].as_u64() > Some(10));
}

#[test]
fn a_taken_address_is_an_error() {
    let server = start(2);
    let error = serve(Settings { listen: server.local_addr(), threads: 2, shop: false }).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}", server.local_addr()));
    server.stop();
    let address = server.local_addr();
    server.join();
    serve(Settings { listen: address, threads: 1, shop: false }).unwrap();
}
