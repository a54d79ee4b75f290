//! What a connection costs in memory, counted by a global allocator; the figures are those of the module's page.

use std::sync::Arc;

use allocation_counter::measure;
use protocol::{Protocol, Want};

use rustls::ServerConfig;

use crate::peer::{Cut, DONE, PONG, Talk, VERSIONS, World, get};

/// Allocations of `rustls` per request: the sealed record; the plaintext of the one that came.
const ALLOCATIONS_PER_REQUEST: u64 = 2;

#[test]
fn requests_allocate_only_what_the_library_does() {
    let world = World::new();
    for version in VERSIONS {
        let server = Arc::new(world.server_config(version));
        let mut talk = Talk::ready(&world.http1(), &server);
        let (request, want) = (get(), Want::default());
        let mut count = 0;
        for round in 0..1000 {
            let begun = measure(|| {
                talk.session.begin(7, &request, want);
            });
            talk.deliver();
            talk.say(PONG);
            let mut bytes = talk.answer();
            let heard = measure(|| talk.session.hear(&mut bytes, &mut talk.heard).unwrap());
            assert_eq!(talk.heard.pop(), Some(protocol::Heard::Done(7, DONE)));
            if round >= 10 {
                count += begun.count_total + heard.count_total;
            }
        }
        assert_eq!(count, 990 * ALLOCATIONS_PER_REQUEST, "{:?}", version.version);
    }
}

/// Bytes that a session holds on to after a handshake and `requests` requests, and the most that it held before.
fn held(protocol: &dyn Protocol, server: &Arc<ServerConfig>, requests: u32) -> (i64, i64) {
    let (mut now, mut most) = (0, 0);
    let mut count = |action: &mut dyn FnMut()| {
        let info = measure(action);
        most = most.max(now + i64::try_from(info.bytes_max).unwrap());
        now += info.bytes_current;
    };
    let mut talk = Talk::new(protocol, server, Cut::Never);
    talk.heard.reserve(8);
    let mut uncounted = None;
    count(&mut || uncounted = Some(std::mem::replace(&mut talk.session, protocol.session())));
    count(&mut || talk.session.start(&mut talk.heard));
    let mut begun = 0;
    loop {
        talk.deliver();
        let mut bytes = talk.answer();
        count(&mut || talk.session.hear(&mut bytes, &mut talk.heard).unwrap());
        if talk.session.room() > 0 {
            if begun == requests {
                return (now, most);
            }
            begun += 1;
            talk.say(PONG);
            let request = get();
            count(&mut || {
                talk.session.begin(7, &request, Want::default());
            });
        }
        talk.heard.clear();
    }
}

#[test]
fn a_kept_connection_has_its_size() {
    let world = World::new();
    for (version, size) in VERSIONS.into_iter().zip([3_400, 3_800]) {
        let server = Arc::new(world.server_config(version));
        let protocol = world.http1();
        // The first connection fills what all share.
        held(&protocol, &server, 1);
        let (bytes, most) = held(&protocol, &server, 20);
        println!("{:?}: {bytes} bytes, at most {most}", version.version);
        assert!((size - 400..size).contains(&bytes), "{:?}: {bytes} bytes", version.version);
        assert!(most < 16_000, "{:?}: {most} bytes", version.version);
    }
}
