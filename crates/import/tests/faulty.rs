//! Texts that are no source, or a broken one: said so, and never a panic.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use expect_test::{Expect, expect};
use import::{Error, Format, Input, Options};
use support::{CASES, faults};

fn error(format: Format, text: &str) -> Error {
    import::import(format, Input { text: Some(text), words: &[] }, &Options::default()).unwrap_err()
}

fn check(format: Format, text: &str, expect: Expect) {
    expect.assert_eq(&error(format, text).to_string());
}

fn sample(file: &str) -> String {
    std::fs::read_to_string(support::samples().join(file)).unwrap()
}

#[test]
fn another_format_is_named() {
    let har = sample("firefox-form.har");
    check(
        Format::Openapi,
        &har,
        expect!["this is a HAR recording, not an OpenAPI document; try `swell import har`"],
    );
    check(
        Format::Postman,
        &har,
        expect!["this is a HAR recording, not a Postman collection; try `swell import har`"],
    );
    check(
        Format::K6Options,
        &har,
        expect!["this is a HAR recording, not the options of k6; try `swell import har`"],
    );
    let openapi = sample("bookshop-3.0.yaml");
    check(
        Format::Har,
        &openapi,
        expect!["this is an OpenAPI document, not a HAR recording; try `swell import openapi`"],
    );
    check(
        Format::K6Options,
        &openapi,
        expect!["this is an OpenAPI document, not the options of k6; try `swell import openapi`"],
    );
    let swagger = "swagger: '2.0'\npaths: {}\n";
    check(
        Format::Openapi,
        swagger,
        expect!["this is a Swagger 2.0 document (convert it to OpenAPI 3 first), not an OpenAPI document"],
    );
    let collection = sample("todo-2.1.postman_collection.json");
    check(
        Format::Har,
        &collection,
        expect!["this is a Postman collection, not a HAR recording; try `swell import postman`"],
    );
    check(
        Format::Har,
        "{\"vus\": 3}",
        expect!["this is the options of k6, not a HAR recording; try `swell import k6-options`"],
    );
    check(Format::Har, "<jmeterTestPlan/>", expect!["this is XML, not a HAR recording"]);
    check(
        Format::Openapi,
        "version: 1\nload: {}\n",
        expect!["this is a plan already, not an OpenAPI document"],
    );
    check(Format::Har, "{\"a\": 1}", expect!["this is not a HAR recording: it has none of the keys of one"]);
}

#[test]
fn broken_texts_are_told_with_their_place() {
    let har = sample("firefox-form.har");
    check(
        Format::Har,
        &har[..400],
        expect!["this is not a HAR recording: EOF while parsing a string at line 20 column 30"],
    );
    check(
        Format::Openapi,
        "openapi: 3.0.0\npaths: [a\n",
        expect![
            "this is not an OpenAPI document: while parsing a flow sequence, expected ',' or ']' at line 3 column 1"
        ],
    );
    check(
        Format::Openapi,
        "openapi: 4.0.0\npaths: {}\n",
        expect!["this is not an OpenAPI document: its version is 4.0.0, 3.0 and 3.1 are known"],
    );
    check(Format::Har, "", expect!["there is nothing to import: the text is empty"]);
    check(
        Format::Har,
        "{\"log\": {\"entries\": []}}",
        expect!["there is nothing to import: the recording has no http request"],
    );
    check(Format::Curl, "curl 'http://x", expect!["a quote ' has no end"]);
    check(
        Format::Curl,
        "curl http://x:+8080/",
        expect!["there is nothing to import: no command of curl with an http URL in it"],
    );
    check(
        Format::Curl,
        "ls -l",
        expect!["there is nothing to import: no command of curl with an http URL in it"],
    );
    check(
        Format::Curl,
        "curl ^\"http://x^\"",
        expect!["this is not a command line of curl: it is quoted for cmd.exe; copy it for bash instead"],
    );
    check(Format::Ab, "ab -n", expect!["-n needs a value"]);
    check(Format::Wrk, "wrk -c lots http://x/", expect!["-c lots: wrk would not take this"]);
    check(
        Format::Vegeta,
        "vegeta attack -rate=5",
        expect![
            "there is nothing to import: no targets: give their file, `swell import vegeta FILE -- attack …`"
        ],
    );
    check(
        Format::K6Options,
        "export const options = { vus: 10 * 2 };",
        expect![
            "this is not the options of k6: expected comma at line 1 column 11; only literal values can be read: write them out, or give the options as JSON"
        ],
    );
}

#[test]
fn size_and_depth_are_bounded() {
    let large = " ".repeat(import::INPUT_BYTES + 1);
    assert_eq!(error(Format::Har, &large), Error::TooLarge(import::INPUT_BYTES + 1));
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [90, 101, 200, 100_000] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for format in [Format::Har, Format::Openapi, Format::Postman, Format::K6Options] {
                assert!(matches!(error(format, &text), Error::Syntax { .. }), "{format:?}, {depth} levels");
            }
        }
    }
    let yaml = format!("openapi: 3.0.0\npaths:\n  {}", "- ".repeat(50_000));
    assert!(error(Format::Openapi, &yaml).to_string().contains("deep"));
}

#[test]
fn aliases_do_not_explode() {
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        yaml.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", ")));
    }
    assert!(error(Format::Openapi, &yaml).to_string().contains("aliases expand to more than"));
}

#[test]
fn circles_of_references_end() {
    let members: Vec<String> =
        (0..40).map(|n| format!("\"p{n}\":{{\"$ref\":\"#/components/schemas/S{}\"}}", n % 8)).collect();
    let schemas: Vec<String> = (0..8)
        .map(|n| {
            format!(
                "\"S{n}\":{{\"type\":\"object\",\"required\":[\"p1\"],\"properties\":{{{}}}}}",
                members.join(",")
            )
        })
        .collect();
    let text = format!(
        "{{\"openapi\":\"3.0.0\",\"paths\":{{\"/x\":{{\"post\":{{\"requestBody\":{{\"content\":{{\"application/json\":{{\"schema\":{{\"$ref\":\"#/components/schemas/S0\"}}}}}}}}}}}}}},\
         \"components\":{{\"schemas\":{{{},\"L\":{{\"$ref\":\"#/components/schemas/L\"}}}}}}}}",
        schemas.join(",")
    );
    let imported =
        import::import(Format::Openapi, Input { text: Some(&text), words: &[] }, &Options::default())
            .unwrap();
    assert_eq!(faults(&imported.plan), Vec::<String>::new());
}

/// Pieces that change what a text means.
const PIECES: [&str; 24] = [
    "{", "}", "[", "]", "\"", "'", ":", ",", "\\", "\n", "{{", "}}", "null", "-1", "1e999", "\u{0}", "ü",
    "\u{2028}", "$ref", "//", "%", "@", "&", " #",
];

/// Changes a few places of `text`: removes, doubles or inserts.
fn mutated(random: &mut fastrand::Rng, text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..random.usize(1..8) {
        let at = random.usize(0..=characters.len());
        let to = characters.len().min(at + random.usize(0..40));
        match random.u8(0..5) {
            0 => drop(characters.drain(at..to)),
            1 => {
                let piece: Vec<char> = characters[at..to].to_vec();
                characters.splice(at..at, piece);
            }
            2 => characters.truncate(at.max(1)),
            _ => drop(characters.splice(at..at, PIECES[random.usize(0..PIECES.len())].chars())),
        }
    }
    characters.into_iter().collect()
}

#[test]
fn no_text_whatever_makes_an_import_fall_over() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_301);
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(60);
    println!("SEED={seed} ROUNDS={rounds}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut plans = 0;
    for round in 0..rounds {
        for case in CASES {
            let text = match case.file {
                "" => case.words.replace('|', " "),
                _ => case.text(),
            };
            let text = mutated(&mut random, &text);
            let words: &[String] = &[];
            let inputs = [
                case.import_text(&text),
                import::import(case.format, Input { text: Some(&text), words }, &Options::default()),
            ];
            for imported in inputs.into_iter().flatten() {
                plans += 1;
                let faults = faults(&imported.plan);
                let plan = imported.plan;
                assert!(
                    faults.is_empty(),
                    "{} in round {round}: {faults:?}\n{text}\n--- became\n{plan}",
                    case.name
                );
            }
        }
    }
    assert!(plans > rounds, "most mutations still are sources: {plans} plans");
}
