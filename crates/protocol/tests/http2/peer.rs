//! A server of other make: nghttpd, of Debian's `nghttp2-server`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use protocol::http2::Http2;
use protocol::{Heard, Protocol, Request, Want};

use crate::wire::*;

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// A server of the files in `folder`, which sends back what is posted.
    fn start(folder: &PathBuf, options: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("nghttpd")
            .args(["--no-tls", "--address=127.0.0.1", "--echo-upload", "--htdocs"])
            .arg(folder)
            .args(options)
            .arg(port.to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("nghttpd is of the Debian package nghttp2-server, which `make test` installs");
        Self { process, port }
    }

    fn connect(&self) -> TcpStream {
        for _ in 0..200 {
            if let Ok(socket) = TcpStream::connect(("127.0.0.1", self.port)) {
                socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
                socket.set_nodelay(true).unwrap();
                return socket;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("nghttpd does not listen")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Sends the request so many times on one connection; statuses and lengths as they came, and the headers of the last.
fn exchange(server: &Server, http2: Http2, request: &Request, times: u32) -> (Vec<(u16, u64)>, String) {
    let mut socket = server.connect();
    let mut session = http2.session();
    let mut buffer = vec![0; 20_000];
    let mut heard = Vec::new();
    session.start(&mut heard);
    // The target is heard first: one that takes few streams would refuse those that are too many.
    let (mut begun, mut results, mut headers) = (0, Vec::new(), String::new());
    let mut is_greeted = false;
    while results.len() < times as usize {
        while is_greeted && session.room() > 0 && begun < times {
            session.begin(begun, request, Want { body: 0, headers: begun + 1 == times });
            begun += 1;
        }
        socket.write_all(&output(&mut *session)).unwrap();
        let length = socket.read(&mut buffer).unwrap();
        assert!(length > 0, "nghttpd closed the connection");
        heard.clear();
        session.hear(&mut buffer[..length], &mut heard).unwrap();
        is_greeted = true;
        for event in heard.drain(..) {
            match event {
                Heard::Done(tag, response) => {
                    assert!(response.keep_alive);
                    results.push((response.status, response.body_bytes));
                    if tag + 1 == times {
                        headers = String::from_utf8(session.kept(tag).headers.to_vec()).unwrap();
                    }
                }
                Heard::Started(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    (results, headers)
}

#[test]
fn nghttpd_is_understood_and_understands() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nghttpd");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("index.html"), "hello, groundswell").unwrap();
    std::fs::write(folder.join("large"), vec![b'x'; 3_000_000]).unwrap();
    let large =
        protocol::http2::render(&protocol::Parts { path: "/large", ..parts("GET", &[], b"") }).unwrap();
    let (get, head, post) = (request("GET"), request("HEAD"), posting(&[b'x'; 300_000]));
    let without_tables = ["--header-table-size=0", "--encoder-header-table-size=0"];
    for options in [&[][..], &without_tables, &["--max-concurrent-streams=3"], &["--padding=100"]] {
        let server = Server::start(&folder, options);
        let (results, headers) = exchange(&server, Http2::new(10), &get, 2000);
        assert_eq!(results, [(200, 18); 2000], "{options:?}");
        assert!(headers.contains("content-length: 18\r\n"), "{headers}");
        assert_eq!(exchange(&server, Http2::new(2), &head, 20).0, [(200, 0); 20]);
        assert_eq!(exchange(&server, Http2 { streams: 3, window: 1000 }, &large, 6).0, [(200, 3_000_000); 6]);
        assert_eq!(exchange(&server, Http2::new(5), &post, 20).0, [(200, 300_000); 20]);
    }
}
