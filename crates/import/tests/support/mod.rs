//! Samples, and what each imported plan must be: one that the parser reads.

use std::path::{Path, PathBuf};

use import::{Format, Imported, Input, Options};

/// One import of the samples: its snapshot's name, format, file, command line, options.
pub struct Case {
    pub name: &'static str,
    pub format: Format,
    pub file: &'static str,
    pub words: &'static str,
    pub options: fn(&mut Options),
}

const fn case(name: &'static str, format: Format, file: &'static str, words: &'static str) -> Case {
    Case { name, format, file, words, options: |_| {} }
}

/// Every sample at least once.
pub const CASES: &[Case] = &[
    case("har-chrome-shop", Format::Har, "chrome-shop.har", ""),
    case("har-firefox-form", Format::Har, "firefox-form.har", ""),
    case("har-proxy-crud", Format::Har, "proxy-crud.har", ""),
    case("har-safari-upload", Format::Har, "safari-upload.har", ""),
    case("har-playwright-graphql", Format::Har, "playwright-graphql.har", ""),
    Case {
        options: |options| {
            options.hosts = vec!["shop.example".to_owned(), "stats.example".to_owned()];
            options.include_assets = true;
            options.target = Some("http://127.0.0.1:8080".to_owned());
            options.name = Some("everything".to_owned());
        },
        ..case("har-chrome-shop-all", Format::Har, "chrome-shop.har", "")
    },
    case("curl-browser", Format::Curl, "browser.curl.sh", ""),
    case(
        "curl-words",
        Format::Curl,
        "",
        "curl|-X|PATCH|http://u:pw@[::1]:8080/x y|--json|{\"a\":1}|-m|5|--http2-prior-knowledge",
    ),
    case("openapi-bookshop-3.0", Format::Openapi, "bookshop-3.0.yaml", ""),
    case("openapi-devices-3.1", Format::Openapi, "devices-3.1.json", ""),
    case("openapi-tickets-3.0", Format::Openapi, "tickets-3.0.json", ""),
    Case {
        options: |options| options.operations = vec!["getBook".to_owned(), "POST /orders".to_owned()],
        ..case("openapi-bookshop-two", Format::Openapi, "bookshop-3.0.yaml", "")
    },
    case("postman-todo-2.1", Format::Postman, "todo-2.1.postman_collection.json", ""),
    case("postman-small-2.0", Format::Postman, "small-2.0.postman_collection.json", ""),
    case("k6-added", Format::K6Options, "added.k6.json", ""),
    Case {
        options: |options| options.target = Some("https://shop.example".to_owned()),
        ..case("k6-stages", Format::K6Options, "stages.k6.json", "")
    },
    case("k6-script", Format::K6Options, "script.k6.js", ""),
    case(
        "ab",
        Format::Ab,
        "",
        "ab|-n|10000|-c|50|-p|order.json|-T|application/json|-H|X-A: b|-A|ada:secret12|-s|5|-w|http://127.0.0.1:8080/orders/17?x=1",
    ),
    case("ab-time", Format::Ab, "", "ab|-kt10|-c8|-H|Accept: */*|-Z|AES|https://shop.example/"),
    case(
        "wrk",
        Format::Wrk,
        "",
        "wrk|-t4|-c100|-d30s|--latency|-s|post.lua|-H|Host: a.example|http://127.0.0.1:8080/index.html",
    ),
    case(
        "wrk2",
        Format::Wrk,
        "",
        "wrk2|-t2|-c1k|-d2m|-R2k|--timeout|5s|-H|Authorization: Bearer abcdefgh|http://127.0.0.1:8080/",
    ),
    case(
        "vegeta-http",
        Format::Vegeta,
        "targets.vegeta.txt",
        "attack|-rate=100/1m|-duration|5m|-timeout=2s|-insecure|-header|X-T: 1|-max-body=0",
    ),
    case(
        "vegeta-json",
        Format::Vegeta,
        "targets.vegeta.json",
        "vegeta|attack|-rate|0|-max-workers=20|-duration=10s|-format=json|-keepalive=false",
    ),
];

impl Case {
    pub fn import_text(&self, text: &str) -> Result<Imported, import::Error> {
        let words: Vec<String> =
            self.words.split('|').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let mut options = Options::default();
        (self.options)(&mut options);
        let text = (!self.file.is_empty()).then_some(text);
        import::import(self.format, Input { text, words: &words }, &options)
    }

    pub fn text(&self) -> String {
        if self.file.is_empty() {
            String::new()
        } else {
            std::fs::read_to_string(samples().join(self.file)).unwrap()
        }
    }
}

pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

/// What is wrong with the text of a plan.
pub fn faults(plan: &str) -> Vec<String> {
    let faults = plan::parse("imported.plan.yaml", plan).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}
