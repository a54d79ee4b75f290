//! The protocol as bytes: against Apache's own library, cut at every byte, and bent in every way.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use scribe::wire::{
    self as message, Answer, Call, Entry, Exception, Frame, Frames, Malformed, Reply, ResultCode, Status,
    Style, Unframed,
};
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TFieldIdentifier, TInputProtocol, TListIdentifier,
    TMessageIdentifier, TMessageType, TOutputProtocol, TStructIdentifier, TType,
};

const LIMIT: usize = 1 << 20;

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// A call as Apache's library writes it; with a field that we do not know in arguments and entries.
fn call(name: &str, strict: bool, number: i32, entries: Option<&Entries>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = TBinaryOutputProtocol::new(&mut bytes, strict);
    let field = |kind, id| TFieldIdentifier::new("field", kind, id);
    out.write_message_begin(&TMessageIdentifier::new(name, TMessageType::Call, number)).unwrap();
    out.write_struct_begin(&TStructIdentifier::new("arguments")).unwrap();
    if let Some(entries) = entries {
        out.write_field_begin(&field(TType::List, 1)).unwrap();
        let length = i32::try_from(entries.len()).unwrap();
        out.write_list_begin(&TListIdentifier::new(TType::Struct, length)).unwrap();
        for (category, message) in entries {
            out.write_field_begin(&field(TType::String, 1)).unwrap();
            out.write_bytes(category).unwrap();
            out.write_field_begin(&field(TType::I64, 7)).unwrap();
            out.write_i64(-1).unwrap();
            out.write_field_begin(&field(TType::String, 2)).unwrap();
            out.write_bytes(message).unwrap();
            out.write_field_stop().unwrap();
        }
        out.write_field_begin(&field(TType::Map, 9)).unwrap();
        out.write_map_begin(&thrift::protocol::TMapIdentifier::new(TType::Bool, TType::Set, 1)).unwrap();
        out.write_bool(true).unwrap();
        out.write_set_begin(&thrift::protocol::TSetIdentifier::new(TType::Double, 2)).unwrap();
        out.write_double(0.5).unwrap();
        out.write_double(1.5).unwrap();
    }
    out.write_field_stop().unwrap();
    bytes
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

fn sample() -> Entries {
    vec![
        (b"perf_results".to_vec(), br#"{"latency_ms": 118}"#.to_vec()),
        (b"".to_vec(), vec![0xff, 0x00, 0x80]),
        (b"other".to_vec(), b"".to_vec()),
    ]
}

fn entries(call: Call<'_>) -> Entries {
    let Call::Log(entries) = call else { panic!("{call:?}") };
    entries.map(|entry| (entry.category.to_vec(), entry.message.to_vec())).collect()
}

#[test]
fn what_apaches_library_writes_is_read() {
    for (strict, style) in [(true, Style::Strict), (false, Style::Old)] {
        let bytes = call("Log", strict, 77, Some(&sample()));
        let request = message::read(&bytes).unwrap();
        assert_eq!((request.style, request.name, request.number), (style, &b"Log"[..], 77));
        assert_eq!(entries(request.call.unwrap()), sample());
    }
    let none = call("Log", true, 1, None);
    assert_eq!(entries(message::read(&none).unwrap().call.unwrap()), Entries::new());
}

#[test]
fn what_we_write_is_read_by_apaches_library() {
    for strict in [true, false] {
        let bytes = call("getStatus", strict, -5, None);
        let request = message::read(&bytes).unwrap();
        assert!(matches!(request.call, Ok(Call::GetStatus)));
        let answer = request.answer(&Answer::Status(Status::Warning));
        assert_eq!(answer[..4], u32::try_from(answer.len() - 4).unwrap().to_be_bytes());
        assert_eq!(answer[4] == 0x80, strict, "the style of the call");
        let mut reader = TBinaryInputProtocol::new(&answer[4..], strict);
        let head = reader.read_message_begin().unwrap();
        assert_eq!(
            (head.name.as_str(), head.message_type, head.sequence_number),
            ("getStatus", TMessageType::Reply, -5)
        );
        reader.read_struct_begin().unwrap();
        let field = reader.read_field_begin().unwrap();
        assert_eq!((field.field_type, field.id), (TType::I32, Some(0)));
        assert_eq!(reader.read_i32().unwrap(), 5);
        assert_eq!(reader.read_field_begin().unwrap().field_type, TType::Stop);
    }
    let bytes = call("sing", true, 3, None);
    let request = message::read(&bytes).unwrap();
    assert!(matches!(request.call, Ok(Call::Unknown)));
    let answer = request.answer(&Answer::Exception(Exception::UnknownMethod, "no method `sing`".to_owned()));
    let mut reader = TBinaryInputProtocol::new(&answer[4..], true);
    assert_eq!(reader.read_message_begin().unwrap().message_type, TMessageType::Exception);
    let error = thrift::Error::read_application_error_from_in_protocol(&mut reader).unwrap();
    assert_eq!(error.kind, thrift::ApplicationErrorKind::UnknownMethod);
    assert_eq!(error.message, "no method `sing`");
}

#[test]
fn our_own_log_and_its_answer_are_read_back() {
    let sent = sample();
    let frame = message::log(9, sent.iter().map(|(category, message)| Entry { category, message }));
    let request = message::read(&frame[4..]).unwrap();
    assert_eq!(entries(request.call.unwrap()), sent);
    for code in [ResultCode::Ok, ResultCode::TryLater] {
        let answer = request.answer(&Answer::Logged(code));
        assert_eq!(message::read_reply(&answer[4..], 9), Ok(Reply::Logged(code)));
        assert!(message::read_reply(&answer[4..], 10).is_err(), "the answer to another call");
        for cut in 4..answer.len() {
            assert!(message::read_reply(&answer[4..cut], 9).is_err(), "cut at {cut}");
        }
    }
    let refused = request.answer(&Answer::Exception(Exception::Protocol, "why".to_owned()));
    assert_eq!(message::read_reply(&refused[4..], 9), Ok(Reply::Exception("why".to_owned())));
}

#[test]
fn frames_come_in_pieces_of_any_size() {
    let messages: Vec<Vec<u8>> =
        vec![call("Log", true, 1, Some(&sample())), vec![7], call("getName", false, 2, None)];
    let stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
    let pieces = (1..stream.len()).map(|cut| vec![&stream[..cut], &stream[cut..]]);
    for pieces in pieces.chain((1..9).map(|size| stream.chunks(size).collect())) {
        let mut frames = Frames::new(LIMIT);
        let mut found = Vec::new();
        for mut piece in pieces {
            while let Some(frame) = frames.next(&mut piece, |_| true).unwrap() {
                let Frame::Whole(bytes) = frame else { panic!("passed over") };
                found.push(bytes.to_vec());
            }
        }
        assert!(!frames.within());
        assert_eq!(found, messages);
    }
}

#[test]
fn a_length_costs_nothing() {
    for (length, error) in [
        (0_u32, Unframed::Length { length: 0, limit: LIMIT }),
        (1 << 30, Unframed::Length { length: 1 << 30, limit: LIMIT }),
        (u32::MAX, Unframed::Length { length: u32::MAX, limit: LIMIT }),
        (0x8001_0001, Unframed::Transport),
    ] {
        let mut frames = Frames::new(LIMIT);
        let found = frames.next(&mut &length.to_be_bytes()[..], |_| panic!("asked for memory"));
        assert_eq!(found, Err(error));
    }
    // The longest frame that is allowed, of which little comes.
    let mut frames = Frames::new(LIMIT);
    let begun = [&u32::try_from(LIMIT).unwrap().to_be_bytes()[..], &[0; 4096]].concat();
    assert_eq!(frames.next(&mut &begun[..], |_| panic!("asked for memory")), Ok(None));
    assert!(frames.within());
    let mut asked = 0;
    assert_eq!(
        frames.next(&mut &[0; 1000][..], |bytes| {
            asked = bytes;
            true
        }),
        Ok(None)
    );
    assert!((5096..=8192).contains(&asked), "{asked}");
}

#[test]
fn a_frame_without_memory_is_passed_over_and_the_next_is_read() {
    let long = call("Log", true, 5, Some(&vec![(b"c".to_vec(), vec![b'x'; 50_000])]));
    let stream = [framed(&long), framed(b"next")].concat();
    for granted in [0, 10_000, 40_000] {
        for size in [1, 1000, 5000, stream.len()] {
            let mut frames = Frames::new(LIMIT);
            let mut found = Vec::new();
            for mut piece in stream.chunks(size) {
                while let Some(frame) = frames.next(&mut piece, |bytes| bytes <= granted).unwrap() {
                    match frame {
                        Frame::Passed(begin) => {
                            assert!(begin.len() <= 4096);
                            let request = message::read(begin).unwrap();
                            assert_eq!((request.name, request.number), (&b"Log"[..], 5));
                            found.push("passed");
                        }
                        Frame::Whole(bytes) => {
                            assert_eq!(bytes, b"next");
                            found.push("whole");
                        }
                    }
                }
            }
            assert_eq!(found, ["passed", "whole"], "{granted} granted, pieces of {size}");
        }
    }
}

#[test]
fn a_call_that_is_cut_or_goes_on_gives_no_entry() {
    for strict in [true, false] {
        let bytes = call("Log", strict, 1, Some(&sample()));
        for cut in 0..bytes.len() {
            if let Ok(request) = message::read(&bytes[..cut]) {
                assert_eq!(request.call.unwrap_err(), Malformed::Short, "cut at {cut}");
            }
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(message::read(&longer).unwrap().call.unwrap_err(), Malformed::Excess(1));
    }
}

/// A strict call of `Log` with these bytes as its arguments.
fn arguments(bytes: &[u8]) -> Result<usize, Malformed> {
    let head = [&0x8001_0001_u32.to_be_bytes()[..], &[0, 0, 0, 3], b"Log", &[0, 0, 0, 1]].concat();
    let frame = [&head[..], bytes].concat();
    let Call::Log(entries) = message::read(&frame).unwrap().call? else { panic!("no Log") };
    Ok(entries.count())
}

#[test]
fn hostile_lengths_and_depths_are_refused() {
    let list = |kind: u8, length: i32| [&[15, 0, 1, kind][..], &length.to_be_bytes()].concat();
    assert_eq!(arguments(&list(12, i32::MAX)), Err(Malformed::Short));
    assert_eq!(arguments(&list(12, -1)), Err(Malformed::Length(-1)));
    assert_eq!(arguments(&[&list(11, 1)[..], &[0]].concat()), Err(Malformed::Type(11)));
    // A million entries without a field are a million entries.
    let empty = [&list(12, 1_000_000)[..], &vec![0; 1_000_001]].concat();
    assert_eq!(arguments(&empty), Ok(1_000_000));
    // Structs in structs.
    let deep = [12, 0, 1].repeat(100_000);
    assert_eq!(arguments(&deep), Err(Malformed::Depth));
    // Lists in lists, each of which claims two.
    let deep = [&[15, 0, 2][..], &[15, 0, 0, 0, 2].repeat(100_000)].concat();
    assert_eq!(arguments(&deep), Err(Malformed::Depth));
    assert_eq!(arguments(&[1, 0, 2]), Err(Malformed::Type(1)));
    // A map of as many pairs as a number can say.
    assert_eq!(arguments(&[13, 0, 2, 3, 3, 0x7f, 0xff, 0xff, 0xff, 0, 0]), Err(Malformed::Short));
    assert_eq!(arguments(&[13, 0, 2, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0]), Err(Malformed::Type(0)));
    assert_eq!(message::read(&0x8002_0001_u32.to_be_bytes()).unwrap_err(), Malformed::Version(0x8002_0001));
    let reply = [&0x8001_0002_u32.to_be_bytes()[..], &[0, 0, 0, 0], &[0, 0, 0, 1]].concat();
    assert_eq!(message::read(&reply).unwrap_err(), Malformed::NoCall(2));
}

#[test]
fn bent_bytes_are_read_or_refused() {
    let mut seed = fastrand::Rng::with_seed(1463);
    let whole = call("Log", true, 1, Some(&sample()));
    let old = call("Log", false, 1, Some(&sample()));
    let (mut read, mut refused) = (0, 0);
    for round in 0..200_000 {
        let mut bytes = if round % 2 == 0 { whole.clone() } else { old.clone() };
        for _ in 0..seed.usize(1..4) {
            let at = seed.usize(..bytes.len());
            match seed.u8(..4) {
                0 => bytes[at] = seed.u8(..),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, seed.u8(..20)),
                _ => bytes[at] ^= 1 << seed.u8(..8),
            }
        }
        match message::read(&bytes).map(|request| request.call) {
            Ok(Ok(Call::Log(entries))) => {
                let sizes = entries.map(|entry| entry.category.len() + entry.message.len());
                assert!(sizes.sum::<usize>() <= bytes.len());
                read += 1;
            }
            Ok(Ok(_)) => read += 1,
            Ok(Err(_)) | Err(_) => refused += 1,
        }
    }
    assert!(read > 10_000 && refused > 10_000, "{read} read, {refused} refused");
}
