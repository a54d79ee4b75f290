//! The shop over real connections: each route, what it refuses, and that its state is one for all threads and bounded.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use target::{Server, Settings, serve};

fn start(threads: usize) -> Server {
    serve(Settings { listen: "127.0.0.1:0".parse().unwrap(), threads, shop: true }).unwrap()
}

/// A client with one connection.
struct Client(BufReader<TcpStream>);

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header; empty when there is none.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The session that the answer's cookie names.
    fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    /// What stands between two texts of the body.
    fn between(&self, before: &str, after: &str) -> &str {
        self.text().split_once(before).unwrap().1.split_once(after).unwrap().0
    }

    /// Checks that it is a problem document, and returns what it says.
    fn problem(&self, status: u16) -> String {
        assert_eq!(
            (self.status, self.header("content-type")),
            (status, "application/problem+json"),
            "{self:?}"
        );
        assert_eq!(self.json()["status"], status);
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

impl Client {
    fn new(server: &Server) -> Self {
        let stream = TcpStream::connect(server.local_addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends a request with header lines such as `Cookie: a=b`.
    fn send(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request.push_str("\r\n");
        self.0.get_mut().write_all(&[request.as_bytes(), body].concat()).unwrap();
        self.receive(method == "HEAD")
    }

    fn receive(&mut self, is_head: bool) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let pairs = head.lines().filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<_, _> =
            pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let length = headers.get("content-length").filter(|_| !is_head);
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        Answer { status: head[9..12].parse().unwrap(), headers, body }
    }

    fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    fn post(&mut self, path: &str, headers: &[&str], body: &Value) -> Answer {
        self.send("POST", path, headers, body.to_string().as_bytes())
    }

    /// Signs in; the header that says so.
    fn sign_in(&mut self, user: &str) -> String {
        let answer = self.post("/api/login", &[], &json!({"user": user, "password": "secret"}));
        assert_eq!(answer.status, 200, "{answer:?}");
        format!("Authorization: Bearer {}", answer.json()["token"].as_str().unwrap())
    }
}

#[test]
fn without_the_shop_its_paths_are_not_there() {
    let settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), threads: 1, shop: false };
    let server = serve(settings).unwrap();
    assert_eq!(Client::new(&server).get("/api/products").status, 404);
    assert_eq!(Client::new(&server).get("/api/record").status, 404);
    assert_eq!(server.requests(), 2);
}

#[test]
fn the_catalogue_is_walked_page_by_page() {
    let server = start(2);
    let mut client = Client::new(&server);
    let answer = client.get("/api/products");
    let page = answer.json();
    assert_eq!((&page["page"], &page["pages"], &page["total"]), (&1.into(), &50.into(), &1000.into()));
    assert_eq!(page["items"].as_array().map(Vec::len), Some(20));
    assert_eq!(
        page["items"][0],
        json!({"id": 1, "name": "small pan 0", "price": 8419, "category": "kitchen"})
    );
    assert_eq!(answer.header("link"), "</api/products?page=2&size=20>; rel=\"next\"");

    let mut next = Some("/api/products?size=7&q=Red+lamp".to_owned());
    let (mut pages, mut names) = (0, Vec::new());
    while let Some(path) = next {
        let page = client.get(&path).json();
        pages += 1;
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].clone()));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!((pages, names.len(), &names[9]), (2, 10, &"red lamp 9".into()));

    let beyond = client.get("/api/products?page=51").json();
    assert_eq!((&beyond["items"], &beyond["next"]), (&json!([]), &Value::Null));
    let far = client.get(&format!("/api/products?page={}&size=100", usize::MAX));
    assert_eq!((far.status, &far.json()["items"]), (200, &json!([])));
    for query in ["page=0", "page=x", "size=101", "size=-1", "page=99999999999999999999999"] {
        client.get(&format!("/api/products?{query}")).problem(400);
    }

    let answer = client.get("/products?size=3");
    assert_eq!(answer.between("<h1>", "</h1>"), "Products");
    assert_eq!(answer.between("class=\"next\" href=\"", "\""), "/products?page=2&amp;size=3");
}

#[test]
fn a_product_has_a_tag() {
    let server = start(1);
    let mut client = Client::new(&server);
    let answer = client.get("/api/products/17");
    assert_eq!((answer.status, answer.header("etag"), &answer.json()["id"]), (200, "\"p17\"", &17.into()));
    let again = client.send("GET", "/api/products/17", &["If-None-Match: \"p17\""], b"");
    assert_eq!((again.status, again.header("etag"), again.body.len()), (304, "\"p17\"", 0));
    let head = client.send("HEAD", "/api/products/17", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, answer.header("content-length")));
    for id in ["0", "1001", "x", "", "99999999999"] {
        client.get(&format!("/api/products/{id}")).problem(404);
    }
    assert_eq!(client.get("/api/else").problem(404), "there is nothing at this path");
    let wrong = client.send("PATCH", "/api/products/17", &[], b"");
    wrong.problem(405);
    assert_eq!(wrong.header("allow"), "GET, HEAD");
}

#[test]
fn the_form_signs_in() {
    let server = start(2);
    let mut client = Client::new(&server);
    let form = client.get("/login");
    let (cookie, csrf) =
        (format!("Cookie: a=b; {}", form.cookie()), form.between("name=\"csrf\" value=\"", "\""));
    let again = client.send("GET", "/login", &[&cookie], b"");
    assert_eq!((again.header("set-cookie"), again.between("name=\"csrf\" value=\"", "\"")), ("", csrf));

    let mut submit = |cookie: &str, user: &str, password: &str, csrf: &str| {
        let body = format!("user={user}&password={password}&csrf={csrf}");
        client.send("POST", "/login", &[cookie], body.as_bytes())
    };
    assert_eq!(submit(&cookie, "alice", "wrong", csrf).status, 403);
    assert_eq!(submit(&cookie, "", "secret", csrf).status, 403);
    assert_eq!(submit(&cookie, "alice", "secret", "").status, 403);
    assert_eq!(submit(&cookie, "alice", "secret", "else").status, 403);
    assert_eq!(submit("Cookie: session=else", "alice", "secret", csrf).status, 403);
    let done = submit(&cookie, "%3Calice%3E", "secret", csrf);
    assert_eq!((done.status, done.header("location")), (303, "/account"));
    assert_eq!(submit(&cookie, "alice", "secret", csrf).status, 403, "a form is good for one time");

    let signed_in = format!("Cookie: {}", done.cookie());
    let account = client.send("GET", "/account", &[&signed_in], b"");
    assert_eq!(account.between("<h1>", "</h1>"), "Hello, &lt;alice&gt;");
    assert_eq!(client.send("GET", "/api/cart", &[&signed_in], b"").status, 200);
    let elsewhere = client.get("/account");
    assert_eq!((elsewhere.status, elsewhere.header("location")), (303, "/login"));
    client.send("POST", "/login", &[], b"\xff\xfe").problem(400);
}

#[test]
fn credentials_are_checked() {
    let server = start(1);
    let mut client = Client::new(&server);
    let answer = client.post("/api/login", &[], &json!({"user": "alice", "password": "secret"})).json();
    assert_eq!(
        (answer["token"].as_str().map(str::len), &answer["user"]["name"]),
        (Some(32), &"alice".into())
    );
    let again = client.post("/api/login", &[], &json!({"user": "alice", "password": "secret"})).json();
    assert_eq!(answer["user"], again["user"]);
    assert_ne!(answer["token"], again["token"]);
    for (user, password) in [("alice", "Secret"), ("", "secret"), (&*"u".repeat(65), "secret")] {
        let refused = client.post("/api/login", &[], &json!({"user": user, "password": password}));
        refused.problem(401);
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
    for body in
        ["", "{", "[]", "null", "{\"user\": 1, \"password\": \"secret\"}", "\u{0}", &"[".repeat(100_000)]
    {
        assert!(
            client.send("POST", "/api/login", &[], body.as_bytes()).problem(400).starts_with("the body: ")
        );
    }
    for header in
        ["Authorization: Bearer else", "Authorization: x", "Cookie: session=", "Cookie: ;;=", "X: y"]
    {
        client.send("GET", "/api/cart", &[header], b"").problem(401);
    }
}

#[test]
fn a_cart_becomes_an_order() {
    let server = start(2);
    let mut client = Client::new(&server);
    let alice = &*client.sign_in("alice");
    client.send("POST", "/api/checkout", &[alice], b"").problem(409);
    let price = |client: &mut Client, id: u32| {
        client.get(&format!("/api/products/{id}")).json()["price"].as_u64().unwrap()
    };
    let total = 3 * price(&mut client, 7) + price(&mut client, 8);
    client.post("/api/cart", &[alice], &json!({"product": 7, "quantity": 2}));
    client.post("/api/cart", &[alice], &json!({"product": 8}));
    client.post("/api/cart", &[alice], &json!({"product": 9, "quantity": 1000}));
    assert_eq!(client.send("DELETE", "/api/cart/9", &[alice], b"").status, 200);
    let cart = client.post("/api/cart", &[alice], &json!({"product": 7})).json();
    assert_eq!(
        (&cart["count"], &cart["total"], &cart["items"][0]["quantity"]),
        (&4.into(), &total.into(), &3.into())
    );
    assert_eq!(client.send("GET", "/api/cart", &[alice], b"").json(), cart);

    client.post("/api/cart", &[alice], &json!({"product": 1001})).problem(404);
    for body in [
        json!({}),
        json!({"product": -1}),
        json!({"product": 1, "quantity": 0}),
        json!({"product": 7, "quantity": 998}),
        json!({"product": 1, "quantity": u64::MAX}),
    ] {
        client.post("/api/cart", &[alice], &body).problem(400);
    }
    client.send("DELETE", "/api/cart/9", &[alice], b"").problem(404);
    client.send("DELETE", "/api/cart/x", &[alice], b"").problem(404);

    let placed = client.send("POST", "/api/checkout", &[alice], b"");
    let order = placed.json();
    assert_eq!((placed.status, &order["total"]), (201, &total.into()));
    let path = placed.header("location");
    assert_eq!(path, format!("/api/orders/{}", order["order"]));
    let bob = &*client.sign_in("bob");
    client.send("GET", path, &[bob], b"").problem(404);
    client.get(path).problem(401);
    let mut status = || client.send("GET", path, &[alice], b"").json()["status"].as_str().unwrap().to_owned();
    assert_eq!([status(), status(), status(), status()], ["pending", "pending", "confirmed", "confirmed"]);
    assert_eq!(client.send("GET", "/api/cart", &[alice], b"").json()["count"], 0);
    // Without a body it is one of the first product.
    client.send("POST", "/api/cart", &[], b"").problem(401);
    client.send("POST", "/api/cart", &[alice], b"");
    let cart = client.send("POST", "/api/cart", &[alice], b"").json();
    assert_eq!((&cart["items"][0]["product"], &cart["count"]), (&1.into(), &2.into()));
    client.send("GET", "/api/orders/0", &[alice], b"").problem(404);
}

#[test]
fn a_cart_has_a_bound() {
    let server = start(1);
    let mut client = Client::new(&server);
    let alice = &*client.sign_in("alice");
    for product in 1..=50 {
        assert_eq!(client.post("/api/cart", &[alice], &json!({"product": product})).status, 200);
    }
    client.post("/api/cart", &[alice], &json!({"product": 51})).problem(409);
    assert_eq!(client.post("/api/cart", &[alice], &json!({"product": 50})).json()["count"], 51);
}

#[test]
fn graphql_answers_queries() {
    let server = start(1);
    let mut client = Client::new(&server);
    let query = "query Top($n: Int!) { products(first: $n) { items { id name } } }";
    let answer = client.post("/graphql", &[], &json!({"query": query, "variables": {"n": 2}}));
    let items = json!([{"id": 1, "name": "small pan 0"}, {"id": 2, "name": "small lamp 0"}]);
    assert_eq!((answer.status, answer.json()), (200, json!({"data": {"products": {"items": items}}})));
    let wrong = client.post("/graphql", &[], &json!({"query": "{ goods }", "variables": null}));
    assert_eq!((wrong.status, &wrong.json()["errors"][0]["locations"][0]["column"]), (200, &3.into()));
    client.post("/graphql", &[], &json!({"query": 7})).problem(400);
    client.get("/graphql").problem(405);
}

#[test]
fn uploads_are_measured() {
    let server = start(1);
    let mut client = Client::new(&server);
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let raw = client.send("POST", "/api/upload", &["Content-Type: image/png"], b"abc");
    assert_eq!(raw.json(), json!({"size": 3, "type": "image/png", "sha256": hash}));
    let body = "--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nabc\r\n--x\r\n\
        content-disposition: form-data; name=\"photo\"; filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\nabc\r\n--x--\r\n";
    let kind = "Content-Type: multipart/form-data; boundary=x";
    let answer = client.send("POST", "/api/upload", &[kind], body.as_bytes()).json();
    let part = |name: &str, filename: Value, kind: Value| json!({"name": name, "filename": filename, "type": kind, "size": 3, "sha256": hash});
    let parts = [part("note", Value::Null, Value::Null), part("photo", "a.png".into(), "image/png".into())];
    assert_eq!(answer, json!({"size": body.len(), "parts": parts}));
    client.send("POST", "/api/upload", &["Content-Type: multipart/form-data"], b"abc").problem(400);
    client.send("POST", "/api/upload", &[kind], b"abc").problem(400);

    let whole = vec![b'x'; 1 << 20];
    assert_eq!(client.send("POST", "/api/upload", &[], &whole).json()["size"], 1 << 20);
    client.0.get_mut().write_all(b"POST /api/upload HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n").unwrap();
    assert_eq!(client.receive(false).status, 413);
}

#[test]
fn keys_have_versions() {
    let server = start(2);
    let mut client = Client::new(&server);
    let mut put = |headers: &[&str], body: &[u8]| client.send("PUT", "/kv/a%20b", headers, body);
    let first = put(&["Content-Type: text/plain"], b"one");
    assert_eq!((first.status, first.json(), first.header("etag")), (201, json!({"version": 1}), "\"1\""));
    assert_eq!(put(&[], b"two").json(), json!({"version": 2}));
    assert_eq!(put(&["If-Match: \"1\""], b"x").problem(412), "the version is 2");
    put(&["If-None-Match: *"], b"x").problem(412);
    assert_eq!(put(&["If-Match: \"2\"", "Content-Type: text/plain"], b"three").json(), json!({"version": 3}));
    put(&[], &[0; 8193]).problem(413);

    let value = client.get("/kv/a%20b");
    let seen = (value.status, value.text(), value.header("etag"), value.header("content-type"));
    assert_eq!(seen, (200, "three", "\"3\"", "text/plain"));
    assert_eq!(client.send("GET", "/kv/a%20b", &["If-None-Match: \"3\""], b"").status, 304);
    client.send("DELETE", "/kv/a%20b", &["If-Match: \"2\""], b"").problem(412);
    assert_eq!(client.send("DELETE", "/kv/a%20b", &[], b"").status, 204);
    client.get("/kv/a%20b").problem(404);
    client.send("DELETE", "/kv/a%20b", &[], b"").problem(404);
    assert_eq!(client.send("PUT", "/kv/new", &["If-Match: *"], b"x").problem(412), "there is no value");
    for key in [String::new(), "k".repeat(201)] {
        client.send("PUT", &format!("/kv/{key}"), &[], b"x").problem(400);
    }
}

#[test]
fn threads_share_one_shop_and_its_record() {
    let server = start(4);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for row in 0..25 {
                    let user = format!("u{}", worker * 25 + row);
                    // Each step over a connection of its own, so that they meet different threads.
                    let token = &*Client::new(server).sign_in(&user);
                    let added = Client::new(server).post("/api/cart", &[token], &json!({"product": 1}));
                    assert_eq!(added.status, 200);
                    let placed = Client::new(server).send("POST", "/api/checkout", &[token], b"");
                    let path = placed.header("location");
                    assert_eq!(
                        Client::new(server).send("GET", path, &[token], b"").json()["status"],
                        "pending"
                    );
                    assert_eq!(Client::new(server).send("PUT", "/kv/one", &[], b"x").status / 100, 2);
                }
            });
        }
    });
    let counted = server.requests();
    let mut client = Client::new(&server);
    let record = client.get("/api/record").json();
    let once: serde_json::Map<_, _> = (0..200).map(|user| (format!("u{user}"), 1.into())).collect();
    assert_eq!((&record["logins"], &record["orders"]), (&once.clone().into(), &once.into()));
    assert_eq!(record["total"], json!({"logins": 200, "orders": 200}));
    assert_eq!(record["others"], json!({"logins": 0, "orders": 0}));
    assert_eq!((counted, server.requests()), (1000, 1000), "to look at the record is not counted");
    assert_eq!(client.get("/kv/one").header("etag"), "\"200\"");

    let token = client.sign_in("u1");
    assert_eq!(client.send("POST", "/control/reset", &[], b"").status, 200);
    assert_eq!(client.get("/api/record").json()["total"], json!({"logins": 0, "orders": 0}));
    client.send("GET", "/api/cart", &[&token], b"").problem(401);
}

#[test]
fn old_sessions_make_room_for_new_ones() {
    let server = start(1);
    let mut client = Client::new(&server);
    let first = &*client.sign_in("first");
    let body = b"{\"user\":\"u\",\"password\":\"secret\"}";
    let login = format!("POST /api/login HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    let batch = [login, body.to_vec()].concat().repeat(200);
    for _ in 0..400 {
        client.0.get_mut().write_all(&batch).unwrap();
        (0..200).for_each(|_| assert_eq!(client.receive(false).status, 200));
    }
    client.send("GET", "/api/cart", &[first], b"").problem(401);
    let last = &*client.sign_in("last");
    assert_eq!(client.send("GET", "/api/cart", &[last], b"").status, 200);
    assert_eq!(client.get("/api/record").json()["total"]["logins"], 80_002);
}

#[test]
fn hostile_requests_get_an_answer() {
    let server = start(2);
    let seed = 0x5409;
    let mut random = fastrand::Rng::with_seed(seed);
    let paths = [
        "/api/products?q=%&page=%ff",
        "/api/products/%00",
        "/login",
        "/api/login",
        "/api/cart",
        "/api/cart/1",
        "/api/checkout",
        "/api/orders/1",
        "/graphql",
        "/api/upload",
        "/kv/%2F",
        "/kv/%ff",
        "//",
        "/api/record",
        "/account",
        "*",
    ];
    let texts: [&[u8]; 8] = [
        b"{\"query\":\"{ products(first: \\\"\\\\u00\\\") }\"}",
        b"{\"query\":\"query(\"}",
        b"{\"user\":\"\",\"password\":\"secret\"}",
        b"--x\r\nContent-Disposition: form-data; name=\"",
        b"--x--",
        b"csrf=%&user=%%%",
        b"{\"product\":1e99}",
        b"\xff\x00",
    ];
    let headers = [
        "Cookie: session=%00; session",
        "Authorization: Bearer",
        "Authorization: Bearer  ",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: multipart/form-data; boundary=\"",
        "If-Match: ,\"",
        "If-None-Match: W/",
        "Accept: */*",
    ];
    let mut client = Client::new(&server);
    for _ in 0..5000 {
        let method = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X"][random.usize(0..7)];
        let (path, header) = (paths[random.usize(0..paths.len())], headers[random.usize(0..headers.len())]);
        let mut body = texts[random.usize(0..texts.len())].to_vec();
        for _ in 0..random.usize(0..4) {
            let at = random.usize(0..body.len());
            body[at] = random.u8(..);
        }
        let answer = client.send(method, path, &[header], &body);
        assert!(answer.status < 500, "seed {seed}: {method} {path} {header}: {answer:?}");
    }
    assert_eq!(client.get("/ping").body, b"pong");
}
