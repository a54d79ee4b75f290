//! The tables in a real PostgreSQL: made, looked at, brought up to date; what stands in their way; what SQL says.

#![allow(clippy::unwrap_used, reason = "fails where it fails")]

mod server;

use metrics::Histogram;
use server::{address, database, server, url};
use store::postgres::{self, Address, Fault, Prune, Setup};

#[test]
fn tables_are_made_once() {
    let (name, address) = database();
    assert!(postgres::status(&address).unwrap().schema_version.is_none());
    let done = postgres::init(&address, &Setup::default()).unwrap();
    assert_eq!((done.from, done.to), (0, 4));
    assert!(done.notes[0].starts_with("plain PostgreSQL"), "{:?}", done.notes);
    let again = postgres::init(&address, &Setup::default()).unwrap();
    assert_eq!((again.from, again.to), (4, 4));
    assert_eq!(postgres::migrate(&address).unwrap().from, 4);
    let status = postgres::status(&address).unwrap();
    assert_eq!(
        (status.schema_version, status.known_version, status.runs, status.partitions),
        (Some(4), 4, 0, 0)
    );
    assert!(status.server_version.starts_with("15."), "{}", status.server_version);
    assert!(status.advice.is_empty(), "{:?}", status.advice);
    assert!(status.relations.iter().any(|relation| relation.name == "runs"), "{:?}", status.relations);
    assert_eq!(
        server().sql(&name, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'swell_reader'").unwrap(),
        "f"
    );
}

#[test]
fn two_that_make_the_tables_at_once_make_them_once() {
    let (_, address) = database();
    let made = std::thread::scope(|scope| {
        let both =
            [(); 2].map(|()| scope.spawn(|| postgres::init(&address, &Setup::default()).unwrap().from));
        both.map(|one| one.join().unwrap())
    });
    assert_eq!(made.iter().sum::<i32>(), 4, "{made:?}");
}

fn fault<T>(result: Result<T, store::Error>) -> String {
    match result {
        Ok(_) => panic!("that went well"),
        Err(error @ store::Error::Postgres(_)) => error.to_string(),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn versions_are_checked() {
    let (name, address) = database();
    let open = || postgres::prune(&address, Prune::Keep(1), |_| ());
    assert!(
        fault(open())
            .contains("has no tables of Groundswell; make them with `swell db init --store postgres://")
    );
    assert!(fault(postgres::migrate(&address)).contains("has no tables of Groundswell"));
    postgres::init(&address, &Setup::default()).unwrap();
    open().unwrap();
    let sql = |text: &str| server().sql(&name, text).unwrap();
    sql("UPDATE swell_migration SET checksum = 'x' WHERE version = 2");
    assert!(fault(open()).contains("made by another build of this program: migration 2 (functions) differs"));
    assert!(fault(postgres::migrate(&address)).contains("migration 2 (functions) differs"));
    sql("DELETE FROM swell_migration WHERE version > 1");
    assert!(
        fault(open())
            .contains("has schema 1, this version needs 4; bring it up to date with `swell db migrate")
    );
    sql("INSERT INTO swell_migration VALUES (99, 'later', '')");
    assert!(fault(open()).contains("has schema 99, this version knows up to 4; use the newer version"));
    assert!(fault(postgres::init(&address, &Setup::default())).contains("has schema 99"));
}

#[test]
fn a_step_that_fails_leaves_nothing() {
    let (name, address) = database();
    server().sql(&name, "CREATE SCHEMA swell; CREATE TYPE swell.histogram AS ENUM ('a')").unwrap();
    fault(postgres::init(&address, &Setup::default()));
    let left = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server().sql(&name, left).unwrap(), "0");
}

#[test]
fn tables_of_others_are_left_alone() {
    let (name, address) = database();
    let theirs =
        "CREATE TABLE perf_results (timestamp TIMESTAMP, test_run_id TEXT, extra INT); CREATE TABLE runs ()";
    server().sql(&name, theirs).unwrap();
    let said = fault(postgres::init(&address, &Setup::default()));
    for part in [
        "has in schema public perf_results, runs (",
        "its timestamp is timestamp without time zone and not timestamp with time zone",
        "it lacks worker_id",
        "it has extra",
        "swell db init --schema NAME",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let own = address.with_schema("Load tests");
    let done = postgres::init(&own, &Setup::default()).unwrap();
    assert!(done.place.ends_with("?schema=Load%20tests"), "{}", done.place);
    assert_eq!(server().sql(&name, "SELECT count(*) FROM \"Load tests\".runs").unwrap(), "0");
    // Found without being named, as the only one.
    let address = address_of(&name);
    assert_eq!(postgres::status(&address).unwrap().schema_version, Some(4));
    postgres::init(&address.clone().with_schema("second"), &Setup::default()).unwrap();
    assert!(
        fault(postgres::status(&address)).contains("has several stores, in the schemas Load tests, second")
    );
}

fn address_of(name: &str) -> Address {
    address(&url(name))
}

#[test]
fn ways_in_that_are_barred_are_said() {
    let server = server();
    let (name, _) = database();
    let port = server.port();
    let open = |text: &str| fault(postgres::status(&address(text)));
    let good = url(&name);
    let cases = [
        (good.replace(":secret@", ":wrong@"), "does not take the password"),
        (good.replace(":secret@", "@"), "asks for a password and none was given; put it into ~/.pgpass"),
        (
            good.replace(&name, "nowhere"),
            "is not there: database \"nowhere\" does not exist; make it with `createdb`",
        ),
        (good.replace(&format!(":{port}/"), ":1/"), "cannot be reached"),
        (good.replace("127.0.0.1", "no-such-host.invalid"), "cannot be reached"),
        (format!("{good}?sslmode=require"), "cannot be spoken to by TLS: server does not support TLS"),
        (format!("postgres://nobody@{}:{port}/{name}", socket()), "role \"nobody\" does not exist"),
    ];
    for (text, why) in cases {
        let said = open(&text);
        assert!(said.contains(why), "{text}: {said}");
        assert!(!said.contains("secret") && !said.contains("wrong"), "{said}");
    }
    let by_socket = address(&format!("postgres://postgres@{}:{port}/{name}", socket()));
    postgres::status(&by_socket).unwrap();
}

fn socket() -> String {
    server().socket_folder().display().to_string().replace('/', "%2F")
}

#[test]
fn missing_rights_and_a_read_only_server_are_said() {
    let (name, _) = database();
    let sql = |text: &str| server().sql(&name, text).unwrap();
    let user = format!("{name}_user");
    sql(&format!("CREATE ROLE {user} LOGIN PASSWORD 'secret'"));
    let theirs = server::address(&url(&name).replace("postgres:secret@", &format!("{user}:secret@")));
    let said = fault(postgres::init(&theirs, &Setup::default()));
    assert!(said.contains(&format!("does not allow that to {user}: permission denied")), "{said}");
    sql(&format!("GRANT ALL ON DATABASE {name} TO {user}; GRANT ALL ON SCHEMA public TO {user}"));
    sql(&format!("ALTER ROLE {user} SET default_transaction_read_only = on"));
    let said = fault(postgres::init(&theirs, &Setup::default()));
    assert!(said.contains("is read-only: cannot execute"), "{said}");
    assert!(said.contains("connect to the primary"), "{said}");
    sql(&format!("ALTER ROLE {user} RESET default_transaction_read_only"));
    assert_eq!(postgres::init(&theirs, &Setup::default()).unwrap().to, 4);
}

#[test]
fn a_server_that_is_full_says_so() {
    let (name, address) = database();
    let limit = format!("ALTER DATABASE {name} CONNECTION LIMIT 0");
    server().sql("postgres", &limit).unwrap();
    server().sql("postgres", "CREATE ROLE limited LOGIN PASSWORD 'secret'").unwrap();
    let theirs = server::address(&address.to_string().replace("postgres@", "limited:secret@"));
    let error = postgres::status(&theirs).unwrap_err();
    assert!(matches!(error, store::Error::Postgres(Fault::TooManyConnections { .. })), "{error}");
    assert!(error.is_temporary());
}

/// The three queries of the design, as they are.
#[test]
fn the_three_queries_run_unchanged() {
    let (name, address) = database();
    postgres::init(&address, &Setup::default()).unwrap();
    let sql = |text: &str| server().sql(&name, text).unwrap();
    sql("CREATE TABLE perf_results_1 PARTITION OF perf_results FOR VALUES IN ('benchmark_42');
         INSERT INTO perf_results (timestamp, test_run_id, latency_ms, status_code)
         SELECT TIMESTAMPTZ '2026-03-01 12:00:30+00' + i * INTERVAL '1 second', 'benchmark_42', i,
         CASE WHEN i % 10 = 0 THEN 503 ELSE 200 END FROM generate_series(1, 100) AS i");
    assert_eq!(
        sql(
            "SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FROM perf_results WHERE test_run_id='benchmark_42';"
        ),
        "95.05"
    );
    assert_eq!(
        sql(
            "SELECT COUNT(*) FILTER (WHERE status_code >=500) * 1.0 / COUNT(*) FROM perf_results WHERE test_run_id='benchmark_42';"
        ),
        "0.10000000000000000000"
    );
    assert_eq!(
        sql("SET TimeZone = 'UTC'; SET search_path = public, swell_compat;
             SELECT time_bucket('1 minute', timestamp) AS minute, COUNT(*) AS requests FROM perf_results GROUP BY minute ORDER BY minute;"),
        "2026-03-01 12:00:00+00|29\n2026-03-01 12:01:00+00|60\n2026-03-01 12:02:00+00|11"
    );
    assert_eq!(
        sql(
            "SET TimeZone = 'UTC'; SELECT bucket, requests, server_errors FROM perf_results_per_minute ORDER BY 1 LIMIT 1"
        ),
        "2026-03-01 12:00:00+00|29|2"
    );
    assert_eq!(sql("SELECT sum(requests) FROM perf_results_per_second"), "100");
    assert_eq!(sql("SELECT sum(requests) FROM perf_results_by_step"), "100");
}

#[test]
fn buckets_begin_where_those_of_the_extension_do() {
    let (name, address) = database();
    postgres::init(&address, &Setup::default()).unwrap();
    let bucket = |width: &str, at: &str| {
        let sql = format!("SET TimeZone = 'UTC'; SELECT swell.bucket('{width}', '{at}+00')");
        server().sql(&name, &sql).unwrap()
    };
    assert_eq!(bucket("1 second", "2026-11-29 10:00:01.999"), "2026-11-29 10:00:01+00");
    assert_eq!(bucket("5 minutes", "2026-11-29 10:09:59"), "2026-11-29 10:05:00+00");
    assert_eq!(bucket("1 week", "2026-11-29 10:00:00"), "2026-11-23 00:00:00+00");
    assert_eq!(bucket("1 month", "2026-11-29 10:00:00"), "2026-11-01 00:00:00+00");
    assert_eq!(bucket("3 months", "1999-11-29 10:00:00"), "1999-10-01 00:00:00+00");
    assert_eq!(bucket("1 year", "2026-11-29 10:00:00"), "2026-01-01 00:00:00+00");
}

fn array(numbers: impl Iterator<Item = u64>) -> String {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    format!("'{{{}}}'", numbers.join(","))
}

fn histogram(random: &mut fastrand::Rng) -> Histogram {
    let mut histogram = Histogram::new();
    let shift = random.u32(22..50);
    for _ in 0..random.usize(1..200) {
        histogram.record_n(random.u64(..) >> random.u32(shift..64), random.u64(1..5));
    }
    histogram
}

fn arrays(histogram: &Histogram) -> String {
    let bins = array(histogram.bins().map(|(bin, _)| u64::from(bin)));
    format!("{bins}::INT[], {}::BIGINT[]", array(histogram.bins().map(|(_, count)| count)))
}

/// Percentiles by SQL are those of the program, to the last digit.
#[test]
fn sql_and_the_program_agree_about_percentiles() {
    let (name, address) = database();
    postgres::init(&address, &Setup::default()).unwrap();
    let seed = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut questions = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..150 {
        let (a, b) = (histogram(&mut random), histogram(&mut random));
        let q = [0.0, 1.0, 0.5, 0.07, 0.95, 0.999, random.f64()][random.usize(..7)];
        let mut both = a.clone();
        both.merge(&b);
        let ms = |histogram: &Histogram| histogram.quantile(q).unwrap() as f64 / 1e6;
        questions.push(format!("SELECT swell.percentile({}, {q})", arrays(&a)));
        answers.push(ms(&a));
        questions.push(format!(
            "SELECT swell.percentile(swell.merge(swell.histogram(bins, counts)), {q}) \
             FROM (VALUES ({}), ({})) AS h (bins, counts)",
            arrays(&a),
            arrays(&b)
        ));
        answers.push(ms(&both));
    }
    let said = server().sql(&name, &questions.join(" UNION ALL ")).unwrap();
    let said: Vec<f64> = said.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(said, answers, "seed {seed}");
    let nothing = "SELECT swell.percentile('{}', '{}', 0.5) IS NULL, swell.percentile(swell.merge(h), 0.5) IS NULL \
                   FROM (SELECT swell.histogram('{}', '{}') AS h) AS none";
    assert_eq!(server().sql(&name, nothing).unwrap(), "t|t");
    assert_eq!(server().sql(&name, "SELECT swell.rank(0.07, 100), swell.rank(0.28, 25)").unwrap(), "7|7");
}
