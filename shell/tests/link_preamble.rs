//! Setting a session up: whoever does not belong, says nothing, or says nonsense, is told so, on both sides of the door.

mod link_support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use link_support::{LONG, PATIENCE, door, door_with, next, session, source_link, target};
use switchover_core::hal::{Link, LinkInput};
use switchover_core::id::{Incarnation, JournalId};
use switchover_core::wire::version::Offer;
use switchover_shell::link::connector::{ConnectError, connect};
use switchover_shell::link::preamble::{
    ANSWER_HEAD, Answer, Code, Opening, answer_body, answer_head, encode_opening,
};
use switchover_shell::link::session::{Arrival, Purpose};

/// The answer, and that the connection ends after it.
fn answer(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer, then the end, and no reset");
    let (head, body) = bytes.split_first_chunk::<ANSWER_HEAD>().expect("a head");
    assert_eq!(answer_head(head), Ok(body.len()));
    answer_body(head, body).expect("a body")
}

fn refused(stream: &mut impl Read) -> (Code, String) {
    match answer(stream) {
        Answer::Refused { code, text } => (code, text),
        accepted => panic!("{accepted:?}"),
    }
}

#[test]
fn a_session_has_both_connections_and_both_names() {
    let mut door = door();
    let source = session(&door, 7);
    assert_eq!((source.peer.journal, source.peer.incarnation), (JournalId(0xd), Incarnation(0x1c)));
    assert!(source.bulk.is_some());
    let arrivals = door.arrivals.take().expect("arrivals");
    match arrivals.recv_timeout(LONG) {
        Ok(Arrival::Session(session)) => {
            assert_eq!((session.peer.journal, session.number), (JournalId(7), 1));
            let mut bulk = session.bulk.expect("bulk");
            source.bulk.expect("bulk").write_all(b"page").expect("written");
            let mut read = [0; 4];
            bulk.read_exact(&mut read).expect("read");
            assert_eq!(&read, b"page");
        }
        other => panic!("{other:?}"),
    }
}

// [SW-62]
#[test]
fn a_connection_that_says_nothing_is_told_so_after_its_time() {
    let door = door();
    for said in [&b""[..], b"SWOV", b"SWOVER\x1a\n\x01\0"] {
        let mut stream = door.knock();
        stream.write_all(said).expect("written");
        let began = Instant::now();
        let (code, text) = refused(&mut stream);
        assert_eq!(code, Code::Silent, "{text}");
        assert!(text.contains("switchover source --connect"), "{text}");
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < LONG, "{:?}", began.elapsed());
    }
    assert_eq!(door.notices.lock().expect("notices").len(), 3);
}

// [SW-62]
#[test]
fn garbage_is_refused_at_once_with_a_reason_that_arrives() {
    let door = door();
    let opening = Opening::Bulk { token: [0; 16] };
    let good = encode_opening(Offer::OURS, &opening).expect("bytes");
    let mut damaged = good.clone();
    damaged[25] ^= 4;
    let mut long = good.clone();
    long[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut noise = vec![0x5a; 50_000];
    noise[0] = 0;
    for said in [b"GET / HTTP/1.0\r\n\r\n".to_vec(), noise, damaged, long] {
        let mut stream = door.knock();
        let began = Instant::now();
        // The door may close before the last of it is written.
        let _ = stream.write_all(&said);
        let (code, text) = refused(&mut stream);
        assert_eq!(code, Code::Garbage, "{text}");
        assert!(text.contains("only `switchover source"), "{text}");
        assert!(began.elapsed() < LONG);
    }
}

// [SW-77]
#[test]
fn other_versions_are_refused_by_number_and_remedy() {
    let door = door();
    for (offer, remedy) in [
        (Offer { oldest: 9, newest: 12 }, "bring the destination up to date"),
        (Offer { oldest: 0, newest: 0 }, "bring the source up to date"),
    ] {
        let mut target = door.target(7);
        target.offer = offer;
        match connect(&target, Purpose::New, 1) {
            Err(ConnectError::Refused { code: Code::Version, text, .. }) => {
                assert!(text.contains(remedy) && text.contains("version 1"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    let mut newer = door.target(7);
    newer.offer = Offer { oldest: 1, newest: 5 };
    assert_eq!(connect(&newer, Purpose::New, 1).expect("one in common").peer.version, 1);
}

#[test]
fn a_guest_that_does_not_fit_is_refused_in_the_destinations_words() {
    let door = door();
    let mut target = door.target(7);
    target.descriptor = b"too big".to_vec();
    let error = connect(&target, Purpose::New, 1).expect_err("it does not fit");
    assert!(matches!(error, ConnectError::Refused { code: Code::Misfit, .. }), "{error}");
    assert!(error.to_string().contains("take a host with 64 KiB pages"), "{error}");
}

// [SW-61]
#[test]
fn a_second_source_is_refused_and_let_in_when_the_first_has_gone() {
    let mut door = door();
    let first = session(&door, 7);
    let (mut link, _poll) = door.link();
    assert!(matches!(next(&mut link), LinkInput::Up));
    let error = connect(&door.target(8), Purpose::New, 1).expect_err("busy");
    assert!(matches!(error, ConnectError::Refused { code: Code::Busy, .. }), "{error}");
    assert!(error.to_string().contains("0000000000000007"), "{error}");
    // Nothing is looked into for somebody who is turned away.
    let mut misfit = door.target(8);
    misfit.descriptor = b"too big".to_vec();
    let error = connect(&misfit, Purpose::New, 1).expect_err("busy");
    assert!(matches!(error, ConnectError::Refused { code: Code::Busy, .. }), "{error}");
    drop(first);
    assert!(matches!(next(&mut link), LinkInput::Down));
    let _second = session(&door, 8);
    assert!(matches!(next(&mut link), LinkInput::Up));
}

// [SW-61]
#[test]
fn the_same_source_coming_again_takes_the_place_of_its_old_connections() {
    let mut door = door();
    let old = session(&door, 7);
    let (mut link, _poll) = door.link();
    assert!(matches!(next(&mut link), LinkInput::Up));
    let new = connect(&door.target(7), Purpose::Again, 2).expect("it is not refused");
    assert!(matches!(next(&mut link), LinkInput::Down));
    assert!(matches!(next(&mut link), LinkInput::Up));
    // The old connection is closed, the new one lives, and the destination is still taken.
    old.control.set_read_timeout(Some(LONG)).expect("a timeout");
    assert_eq!((&old.control).read(&mut [0]).expect("the end"), 0);
    assert!(connect(&door.target(8), Purpose::New, 1).is_err());
    drop(new);
    assert!(matches!(next(&mut link), LinkInput::Down));
}

#[test]
fn a_control_connection_whose_bulk_never_comes_gives_its_place_up() {
    let door = door();
    let mut half = door.knock();
    let opening = Opening::Control { journal: JournalId(7), purpose: Purpose::New, descriptor: vec![] };
    half.write_all(&encode_opening(Offer::OURS, &opening).expect("bytes")).expect("written");
    let mut head = [0; ANSWER_HEAD];
    half.read_exact(&mut head).expect("an answer");
    assert!(connect(&door.target(8), Purpose::New, 1).is_err(), "its place is held");
    std::thread::sleep(PATIENCE + Duration::from_millis(50));
    session(&door, 8);
}

#[test]
fn a_bulk_connection_needs_a_session_of_its_own() {
    let door = door();
    let opening = encode_opening(Offer::OURS, &Opening::Bulk { token: [3; 16] }).expect("bytes");
    let mut stream = door.knock();
    stream.write_all(&opening).expect("written");
    assert_eq!(refused(&mut stream).0, Code::NoSession);
}

#[test]
fn a_crowd_at_the_door_is_bounded() {
    let door = door_with(|settings| settings.half_open_max = 3);
    let silent: Vec<_> = (0..3).map(|_| door.knock()).collect();
    std::thread::sleep(Duration::from_millis(50));
    let mut fourth = door.knock();
    assert_eq!(refused(&mut fourth).0, Code::Crowded);
    drop(silent);
    std::thread::sleep(Duration::from_millis(50));
    session(&door, 7);
}

#[test]
fn nobody_listening_is_told_from_a_silent_peer_and_from_a_foreign_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let silent = connect(&target(&address, 7), Purpose::New, 1).expect_err("nobody answers");
    assert!(matches!(silent, ConnectError::Silent { .. }), "{silent}");

    let speaking = std::thread::spawn(move || {
        // The silent one first, then a web server, then somebody who hangs up.
        let _silent = listener.accept().expect("the first");
        let (mut web, _) = listener.accept().expect("the second");
        web.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").expect("written");
        // Read what it said, or closing would reset the connection under its answer.
        let _ = web.set_read_timeout(Some(Duration::from_millis(100)));
        let _ = web.read(&mut [0; 4096]);
        drop(listener.accept().expect("the third"));
    });
    let foreign = connect(&target(&address, 7), Purpose::New, 1).expect_err("not ours");
    assert!(matches!(foreign, ConnectError::Foreign { .. }), "{foreign}");
    let closed = connect(&target(&address, 7), Purpose::New, 1).expect_err("hung up");
    assert!(matches!(closed, ConnectError::Closed { .. }), "{closed}");
    speaking.join().expect("no panic");

    let nobody = connect(&target(&address, 7), Purpose::New, 1).expect_err("nobody is there");
    assert!(matches!(nobody, ConnectError::Nobody { .. }), "{nobody}");
    assert!(nobody.to_string().contains("switchover destination --listen"), "{nobody}");
    let nowhere = connect(&target("no-such-host.invalid:1", 7), Purpose::New, 1).expect_err("no address");
    assert!(matches!(nowhere, ConnectError::Address { .. }), "{nowhere}");
}

#[test]
fn a_link_that_cannot_be_made_is_down_and_says_why() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").to_string()
    };
    let (mut link, _poll) = source_link(target(&address, 7));
    for _ in 0..2 {
        link.connect();
        link.connect();
        assert!(matches!(next(&mut link), LinkInput::Down));
        assert!(link.receive().is_err(), "once");
        assert!(link.last_error().expect("a reason").to_string().contains("nobody listens"));
    }
}
