//! Signatures for AWS, held against AWS's own test suite.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use protocol::Parts;
use protocol::aws::{Signer, sign};

/// 2015-08-30, 12:36.
const UNIX_S: i64 = 1_440_938_160;

fn parts<'a>(path: &'a str, headers: &'a [(String, String)]) -> Parts<'a> {
    Parts {
        method: "GET",
        scheme: "https",
        authority: "example.amazonaws.com",
        path,
        headers,
        body: b"",
        user_agent: "",
        expects_continue: false,
    }
}

fn signer<'a>(session_token: Option<&'a str>) -> Signer<'a> {
    Signer {
        region: "us-east-1",
        service: "service",
        access_key: "AKIDEXAMPLE",
        secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session_token,
    }
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn signatures_are_those_of_the_published_vectors() {
    let vectors: Vec<&str> = include_str!("aws/vectors.txt").split("=== ").skip(1).collect();
    assert_eq!(vectors.len(), 22);
    for vector in vectors {
        let (title, request) = vector.split_once('\n').unwrap();
        let [name, signature, token] = title.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (head, body) = request.trim_end_matches('\n').split_once("\n\n").unwrap_or((request, ""));
        let body = body.trim_end_matches('\n');
        let mut lines = head.lines();
        let (method, rest) = lines.next().unwrap().split_once(' ').unwrap();
        let path = rest.strip_suffix(" HTTP/1.1").unwrap();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                // A line that continues the one before.
                None => headers.last_mut().unwrap().1.push_str(line),
            }
        }
        if !body.is_empty() {
            let hash = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
            headers.push(("x-amz-content-sha256".to_owned(), hash.to_owned()));
        }
        let parts = Parts { method, body: body.as_bytes(), ..parts(path, &headers) };
        let signed = sign(&signer(Some(token).filter(|token| *token != "-")), &parts, UNIX_S);
        let authorization = value(&signed, "authorization").unwrap();
        assert!(authorization.ends_with(&format!("Signature={signature}")), "{name}: {authorization}");
        assert_eq!(value(&signed, "x-amz-date"), Some("20150830T123600Z"), "{name}");
    }
}

#[test]
fn s3_hashes_the_body_and_encodes_its_path_once() {
    // The first example of "Signature Calculations for the Authorization Header" in the documentation of S3.
    let s3 = Signer {
        service: "s3",
        access_key: "AKIAIOSFODNN7EXAMPLE",
        secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ..signer(None)
    };
    let headers = [("Range".to_owned(), "bytes=0-9".to_owned())];
    let parts = Parts { authority: "examplebucket.s3.amazonaws.com", ..parts("/test.txt", &headers) };
    let signed = sign(&s3, &parts, 1_369_353_600);
    assert_eq!(
        value(&signed, "authorization").unwrap(),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
         Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
    // A key with a dollar, as in the second one; encoded by the plan or not, it is the same key.
    let put = |path: &str| {
        let headers = [
            ("Date".to_owned(), "Fri, 24 May 2013 00:00:00 GMT".to_owned()),
            ("x-amz-storage-class".to_owned(), "REDUCED_REDUNDANCY".to_owned()),
        ];
        let parts = Parts {
            method: "PUT",
            body: b"Welcome to Amazon S3.",
            authority: "examplebucket.s3.amazonaws.com",
            ..self::parts(path, &headers)
        };
        value(&sign(&s3, &parts, 1_369_353_600), "authorization").unwrap().to_owned()
    };
    assert!(
        put("/test$file.text")
            .ends_with("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
    );
    assert_eq!(put("/test%24file.text"), put("/test$file.text"));
}

#[test]
fn what_others_may_change_is_not_signed() {
    let with = |name: &str, value: &str| {
        let headers = [(name.to_owned(), value.to_owned())];
        self::value(&sign(&signer(None), &parts("/a%20b?x=+&y", &headers), UNIX_S), "authorization")
            .unwrap()
            .to_owned()
    };
    assert_eq!(with("user-agent", "a"), with("connection", "close"));
    assert_ne!(with("x-other", "a"), with("x-other", "b"));
}
