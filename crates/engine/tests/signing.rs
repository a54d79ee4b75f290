//! Requests that are signed when they are sent, end to end, on each loop.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use engine::Job;
use support::{counts, full_plan, job, logging, loops, ok, prepare, start, watch};

const LOAD: &str = "model: avalanche, requests_per_driver: 2, connections: 1";

#[test]
fn requests_are_signed_for_aws_when_they_are_sent() {
    let (server, log) = logging(|_| ok());
    let auth = "auth: { aws: { region: eu-central-1, service: execute-api, access_key: AK, secret_key: '{{ secret.KEY }}', session_token: 'tok en' } }";
    let steps = "{ get: '/a%20b/{{ ids.id }}', name: a, query: { z: '1', a: '{{ ids.mail }}' } }, \
                 { put: /fixed, body: hello, headers: { x-amz-meta: a } }, { get: /other, auth: { bearer: t } }";
    let data = "data: { ids: { rows: 3, columns: { id: '{{ row }}', mail: 'a b' } } }";
    let rest = format!("{data}\n{auth}\nscenarios: {{ only: {{ cookies: true, steps: [{steps}] }} }}");
    let plan = full_plan(&server, LOAD, &rest);
    let secrets = engine::Secrets([("KEY".to_owned(), "s3cret".to_owned())].into());
    for io in loops() {
        let told = watch(start(prepare(Job { io, secrets: secrets.clone(), ..job(plan.clone()) })));
        assert_eq!(told.outcomes(), counts(&[("200", 6)]));
    }
    let requests = log.0.lock().unwrap().clone();
    assert_eq!(requests.len(), 6 * loops().len());
    for request in &requests {
        match request.contains("GET /other") {
            true => {
                assert!(request.contains("authorization: Bearer t\r\n") && !request.contains("x-amz-date"))
            }
            false => verify(request),
        }
        assert!(!request.contains("s3cret"));
    }
}

/// As the service does it: the request as it came, signed again, must say the same.
fn verify(request: &str) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let [method, path, _] = lines.next().unwrap().split(' ').collect::<Vec<_>>().try_into().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect();
    let value = |wanted: &str| {
        let mut found = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let value =
            found.next().map(|(_, value)| value.clone()).unwrap_or_else(|| panic!("{wanted}: {head}"));
        assert!(found.next().is_none(), "{wanted} twice: {head}");
        value
    };
    let (authorization, date) = (value("authorization"), value("x-amz-date"));
    let now_s = clock::unix_ms() / 1000;
    let signer = protocol::aws::Signer {
        region: "eu-central-1",
        service: "execute-api",
        access_key: "AK",
        secret_key: "s3cret",
        session_token: Some("tok en"),
    };
    assert_eq!(value("x-amz-security-token"), "tok en");
    let signed = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    let names: Vec<&str> = signed.split(';').collect();
    assert!(
        ["host", "x-amz-date", "x-amz-security-token"].iter().all(|name| names.contains(name)),
        "{signed}"
    );
    let own: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| names.contains(&name.to_ascii_lowercase().as_str()))
        .filter(|(name, _)| !["x-amz-date", "x-amz-security-token"].contains(&name.as_str()))
        .cloned()
        .collect();
    let parts = protocol::Parts {
        method,
        scheme: "http",
        authority: "",
        path,
        headers: &own,
        body: body.as_bytes(),
        user_agent: "",
        expects_continue: false,
    };
    // It was signed within the last minute: the second is the one that its date says.
    let fits = (now_s - 60..=now_s).any(|second| {
        let again = protocol::aws::sign(&signer, &parts, second);
        again.contains(&("x-amz-date".to_owned(), date.clone()))
            && again.contains(&("authorization".to_owned(), authorization.clone()))
    });
    assert!(fits, "{request}");
}
