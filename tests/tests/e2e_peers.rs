//! Peers that are not what they should be, against the real command: before an attempt they are refused with a remedy and no
//! guest starts; in the middle of one the guest goes on where it runs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use switchover_core::contract::PeerTerms;
use switchover_core::id::{Incarnation, JournalId};
use switchover_core::limits::FRAME_MAX;
use switchover_core::wire::frame::{Decoded, decode, encode};
use switchover_core::wire::message::{Envelope, Refusal, ToDestination, ToSource, Welcome};
use switchover_core::wire::version::Offer;
use switchover_shell::guest::kvm::GuestDescriptor;
use switchover_shell::link::connector::{ConnectError, Target, connect};
use switchover_shell::link::lobby::{Lobby, LobbySettings};
use switchover_shell::link::preamble::{Answer, Code, Opening, encode_answer, encode_opening};
use switchover_shell::link::session::{Arrival, Purpose, Session};
use switchover_shell::record::Outcome;
use switchover_shell::wake::Wake;
use switchover_shell::words::Side;
use switchover_tests::e2e::play::{BUSY, LONG, destination, read_record, source};
use switchover_tests::e2e::{Process, Scratch, Watch};
use switchover_tests::host::{alone, kvm_or_skip};

/// Within which something that is about to happen has happened; for hosts under load, no measurement.
const SOON: Duration = Duration::from_secs(20);

fn guarded(test: &str, body: impl FnOnce(&Scratch)) {
    if kvm_or_skip(test) {
        let _alone = alone();
        body(&Scratch::new("peers"));
    }
}

/// A source against `address` ends with 1 before its guest starts, and says all of `remedy`.
fn refused(scratch: &Scratch, address: &str, remedy: &[&str]) {
    let watch = Watch::start();
    let mut here = source(scratch, address, &watch.target(), BUSY);
    let exit = here.exit(SOON);
    let said = here.stderr();
    println!("{}", said.lines().last().unwrap_or_default());
    assert_eq!(exit, 1, "{said}");
    for words in remedy {
        assert!(said.contains(words), "no `{words}` in: {said}");
    }
    assert_eq!(watch.seen().beats(), 0, "the guest never started");
    assert!(!scratch.file("source.json").exists(), "there was no run to record");
}

#[test]
fn a_source_whose_peer_is_no_destination_ends_before_its_guest_starts() {
    guarded("a_source_whose_peer_is_no_destination_ends_before_its_guest_starts", |scratch| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let answers: [Vec<u8>; 4] = [
            b"HTTP/1.0 400 Bad Request\r\n\r\n".to_vec(),
            encode_answer(&Answer::refused(Code::Version, "bring the source up to date")).expect("fits"),
            encode_answer(&Answer::Accepted {
                version: 99,
                journal: JournalId(1),
                incarnation: Incarnation(1),
                token: Some([1; 16]),
            })
            .expect("fits"),
            Vec::new(),
        ];
        let peer = std::thread::spawn(move || {
            // Says nothing, and keeps the connection.
            let _silent = listener.accept().expect("the first");
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("another");
                // Its opening is read, or closing would reset the connection under the answer.
                let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                let _ = stream.read(&mut [0; 65536]);
                stream.write_all(&answer).expect("answered");
            }
        });
        let begun = Instant::now();
        refused(scratch, &address, &["said nothing for 2s", "is it a switchover destination"]);
        assert!(begun.elapsed() >= Duration::from_secs(2), "it was given its time");
        refused(scratch, &address, &["is not a switchover destination", "correct --connect"]);
        refused(scratch, &address, &["refused", "bring the source up to date"]);
        refused(scratch, &address, &["chose protocol version 99", "the same version"]);
        refused(scratch, &address, &["closed the connection before it answered"]);
        peer.join().expect("no panic");
        // The listener is gone.
        refused(scratch, &address, &["nobody listens", "switchover destination --listen"]);
        refused(scratch, "no-such-host.invalid:1", &["no-such-host.invalid", "HOST:PORT"]);
    });
}

/// A destination that lets everybody in, and what they said of their guest.
struct Impostor {
    lobby: Lobby,
    arrivals: Receiver<Arrival>,
    descriptors: Receiver<Vec<u8>>,
}

impl Impostor {
    fn open() -> Self {
        let (tell, descriptors) = channel();
        let fits = move |descriptor: &[u8]| tell.send(descriptor.to_vec()).map_err(|_| "closed".to_string());
        let settings = LobbySettings::new(JournalId(5), Incarnation(6), Box::new(fits), Box::new(|_| {}));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (lobby, arrivals) = Lobby::open(listener, settings, Wake::none()).expect("a door");
        Impostor { lobby, arrivals, descriptors }
    }

    fn address(&self) -> String {
        self.lobby.address().to_string()
    }

    fn session(&self) -> Session {
        match self.arrivals.recv_timeout(SOON) {
            Ok(Arrival::Session(session)) => session,
            other => panic!("{other:?}"),
        }
    }
}

/// Reads the source's `Hello`; what it speaks of.
fn hello(session: &mut Session) -> Envelope {
    session.control.set_read_timeout(Some(SOON)).expect("a timeout");
    let (mut bytes, mut one) = (Vec::new(), [0]);
    loop {
        session.control.read_exact(&mut one).expect("its hello");
        bytes.push(one[0]);
        match decode(&bytes).expect("a frame") {
            Decoded::Whole(envelope, ToDestination::Hello(_), _) => return envelope,
            Decoded::Whole(_, other, _) => panic!("{other:?}"),
            Decoded::Partial(_) => {}
        }
    }
}

/// Answers as the [`Impostor`].
fn say(session: &mut Session, to: Envelope, message: ToSource) {
    let from = Envelope { peer: JournalId(5), incarnation: Incarnation(6), ..to };
    let mut frame = [0; FRAME_MAX];
    session.control.write_all(encode(&from, &message, &mut frame).expect("fits")).expect("written");
}

/// Takes the source's attempt up.
fn welcome(session: &mut Session) {
    let attempt = hello(session);
    say(session, attempt, ToSource::Welcome(Welcome { terms: PeerTerms::default(), warm: false }));
}

#[test]
fn a_source_that_is_let_in_and_not_welcome_ends_before_its_guest_starts() {
    guarded("a_source_that_is_let_in_and_not_welcome_ends_before_its_guest_starts", |scratch| {
        type Way = fn(&mut Session);
        let ways: [(&str, Way, &[&str]); 4] = [
            ("silence", |_| {}, &["said nothing for 2s", "alive?"]),
            (
                "the end of the connection",
                |session| {
                    let _ = hello(session);
                    let _ = session.control.shutdown(std::net::Shutdown::Both);
                },
                &["closed the connection before its Welcome"],
            ),
            (
                "garbage",
                |session| session.control.write_all(&[0xa5; 4096]).expect("written"),
                &["closed the connection before its Welcome"],
            ),
            (
                "a refusal",
                |session| {
                    let attempt = hello(session);
                    say(session, attempt, ToSource::Refused { reason: Refusal::Busy, offender: None });
                },
                &["busy", "take another destination"],
            ),
        ];
        for (what, way, remedy) in ways {
            println!("{what}");
            let impostor = Impostor::open();
            let address = impostor.address();
            let peer = std::thread::spawn(move || {
                let mut session = impostor.session();
                way(&mut session);
                // Kept open, with its bulk connection, until the source is gone.
                (impostor, session)
            });
            let remedy = [remedy, &["the guest was not started"]].concat();
            refused(scratch, &address, &remedy);
            drop(peer.join().expect("no panic"));
        }
    });
}

#[test]
fn a_source_told_to_end_before_its_welcome_starts_no_guest() {
    guarded("a_source_told_to_end_before_its_welcome_starts_no_guest", |scratch| {
        let impostor = Impostor::open();
        let watch = Watch::start();
        let mut here = source(scratch, &impostor.address(), &watch.target(), BUSY);
        let mut session = impostor.session();
        hello(&mut session);
        here.signal("INT");
        assert_eq!(here.exit(SOON), 1, "{}", here.stderr());
        assert!(here.stderr().contains("told to end before an attempt began"), "{}", here.stderr());
        assert_eq!(watch.seen().beats(), 0, "the guest never started");
        assert!(!scratch.file("source.json").exists(), "there was no run to record");
    });
}

/// What a source says of a guest like [`BUSY`], taken from a real one.
fn descriptor(scratch: &Scratch) -> Vec<u8> {
    let impostor = Impostor::open();
    let mut here = source(scratch, &impostor.address(), "udp:127.0.0.1:9", BUSY);
    let session = impostor.session();
    let bytes = impostor.descriptors.recv_timeout(SOON).expect("a descriptor");
    drop(session);
    here.signal("TERM");
    here.exit(SOON);
    bytes
}

#[test]
fn a_source_whose_peer_misbehaves_before_go_goes_on_running_its_guest() {
    guarded("a_source_whose_peer_misbehaves_before_go_goes_on_running_its_guest", |scratch| {
        type Misbehaviour = fn(&mut Session);
        let ways: [(&str, Misbehaviour); 5] = [
            ("garbage on the control connection", |session| {
                session.control.write_all(&[0xa5; 4096]).expect("written");
            }),
            ("half a frame, then the end", |session| {
                session.control.write_all(&[12, 0, 0]).expect("written");
                let _ = session.control.shutdown(std::net::Shutdown::Both);
            }),
            ("garbage on the bulk connection", |session| {
                let bulk = session.bulk.as_mut().expect("a bulk connection");
                bulk.write_all(&[0x5a; 4096]).expect("written");
            }),
            ("both connections closed", |session| {
                let _ = session.control.shutdown(std::net::Shutdown::Both);
                let _ = session.bulk.as_ref().expect("bulk").shutdown(std::net::Shutdown::Both);
            }),
            ("nothing at all", |_| {}),
        ];
        for (what, misbehave) in ways {
            let impostor = Impostor::open();
            let watch = Watch::start();
            let args = [BUSY, &["--attempts", "1", "--precopy-limit", "5s"]].concat();
            let mut here = source(scratch, &impostor.address(), &watch.target(), &args);
            let mut session = impostor.session();
            // The guest runs from here on, and there is an attempt to be disturbed.
            welcome(&mut session);
            let seen = watch.until("the guest runs", SOON, |seen| seen.beats() > 0);
            misbehave(&mut session);
            here.says("aborted:", SOON);
            watch.until("it goes on", SOON, |later| later.beats() > seen.beats() + 500);
            here.signal("TERM");
            assert_eq!(here.exit(SOON), 3, "{what}: {}", here.stderr());
            let record = read_record(&scratch.file("source.json"));
            let reason = record.attempts.last().and_then(|last| last.reason.clone());
            println!("{what}: {reason:?}");
            assert_eq!(
                (record.outcome, record.downtime_ns),
                (Outcome::Aborted, Some(0)),
                "{what}: {record:#?}"
            );
            watch.seen().assert_one_runner();
            let _ = std::fs::remove_file(scratch.file("source.json"));
        }
    });
}

fn knock(address: &str, says: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    // The door may close before the last of it is written.
    let _ = stream.write_all(says);
    stream
}

/// What a refusal says: all that is sent until the connection ends.
fn answer(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn strangers_at_the_door_are_told_why_and_disturb_nobody() {
    guarded("strangers_at_the_door_are_told_why_and_disturb_nobody", |scratch| {
        let watch = Watch::start();
        let (mut there, address) = destination(scratch, &watch.target(), &[]);
        // Slow enough for everybody to knock meanwhile.
        let guest = [
            "--memory",
            "256MiB",
            "--working-set",
            "32MiB",
            "--dirty-rate",
            "32MiB/s",
            "--downtime-limit",
            "1s",
        ];
        let args = [&guest[..], &["--max-bandwidth", "8MiB/s"]].concat();
        let mut here = source(scratch, &address, &watch.target(), &args);
        watch.until("the guest runs", SOON, |seen| seen.beats() > 0);

        let bulk = encode_opening(Offer::OURS, &Opening::Bulk { token: [7; 16] }).expect("fits");
        let mut damaged = bulk.clone();
        damaged[25] ^= 1;
        let silent = knock(&address, b"");
        let truncated = knock(&address, &bulk[..13]);
        for (what, says, words) in [
            ("HTTP", &b"GET / HTTP/1.0\r\n\r\n"[..], "only `switchover source --connect`"),
            ("noise", &[0x5a; 50_000], "only `switchover source --connect`"),
            ("a damaged opening", &damaged, "only `switchover source --connect`"),
            ("a bulk connection of no session", &bulk, "session"),
        ] {
            let said = answer(knock(&address, says));
            assert!(said.contains(words), "{what}: no reason: {said}");
        }
        for stream in [silent, truncated] {
            let said = answer(stream);
            assert!(said.contains("switchover source --connect"), "silence: no reason: {said}");
        }
        for offer in [Offer { oldest: 9, newest: 12 }, Offer { oldest: 0, newest: 0 }] {
            let error =
                connect(&target(&address, offer, Vec::new()), Purpose::New, 1).expect_err("no version");
            assert!(matches!(error, ConnectError::Refused { code: Code::Version, .. }), "{error}");
            assert!(error.to_string().contains("up to date"), "{error}");
        }

        assert_eq!(here.exit(LONG), 0, "{}\n-- destination:\n{}", here.stderr(), there.stderr());
        watch
            .until("it runs there", SOON, |seen| seen.runner() == Some(Side::Destination))
            .assert_one_runner();
        there.signal("TERM");
        assert_eq!(there.exit(SOON), 0);
        let record = read_record(&scratch.file("source.json"));
        assert_eq!(record.attempts.len(), 1, "nobody was disturbed: {record:#?}");
        assert!(record.within_limit);
    });
}

fn target(address: &str, offer: Offer, descriptor: Vec<u8>) -> Target {
    Target {
        address: address.into(),
        journal: JournalId(77),
        descriptor,
        offer,
        patience: Duration::from_secs(5),
        dead_after: Duration::from_secs(5),
    }
}

/// What a source says of itself and its guest: the same form as `run` has.
#[derive(Serialize, Deserialize)]
struct Introduction {
    name: u64,
    hard_limit_ns: u64,
    verify: bool,
    kvm: GuestDescriptor,
}

#[test]
fn a_guest_that_cannot_run_here_is_refused_by_name() {
    guarded("a_guest_that_cannot_run_here_is_refused_by_name", |scratch| {
        let bytes = descriptor(scratch);
        let (mut there, address) = destination(scratch, "udp:127.0.0.1:9", &[]);
        type Change = fn(&mut GuestDescriptor);
        let changes: [(&str, Change); 4] = [
            ("page", |guest| guest.page_size = 65_536),
            ("memory layout", |guest| guest.slots[0].first_page = 256),
            ("TSC", |guest| guest.tsc_khz /= 2),
            ("CPU", |guest| guest.cpuid.iter_mut().for_each(|entry| entry.registers[2] = u32::MAX)),
        ];
        for (words, change) in changes {
            let mut introduction: Introduction = postcard::from_bytes(&bytes).expect("a known form");
            change(&mut introduction.kvm);
            let changed = postcard::to_extend(&introduction, Vec::new()).expect("plain data");
            let error =
                connect(&target(&address, Offer::OURS, changed), Purpose::New, 1).expect_err("a misfit");
            println!("{error}");
            assert!(matches!(error, ConnectError::Refused { code: Code::Misfit, .. }), "{words}: {error}");
            assert!(error.to_string().contains(words), "{words} is named: {error}");
        }
        let garbage =
            connect(&target(&address, Offer::OURS, vec![0xff; 40]), Purpose::New, 1).expect_err("garbage");
        assert!(garbage.to_string().contains("same version on both hosts"), "{garbage}");
        still_serves(scratch, &mut there, &address);
    });
}

#[test]
fn a_source_that_misbehaves_is_let_go_and_the_next_one_is_served() {
    guarded("a_source_that_misbehaves_is_let_go_and_the_next_one_is_served", |scratch| {
        let bytes = descriptor(scratch);
        let (mut there, address) = destination(scratch, "udp:127.0.0.1:9", &[]);
        type Misbehaviour = fn(&mut Session);
        let ways: [(&str, Misbehaviour); 4] = [
            ("garbage on the control connection", |session| {
                session.control.write_all(&[0xa5; 4096]).expect("written");
            }),
            ("half a frame", |session| session.control.write_all(&[9, 0]).expect("written")),
            ("garbage on the bulk connection", |session| {
                session.bulk.as_mut().expect("bulk").write_all(&[0x5a; 65_536]).expect("written");
            }),
            ("nothing at all", |_| {}),
        ];
        for (what, misbehave) in ways {
            println!("{what}");
            let came = |error: &ConnectError| {
                matches!(error, ConnectError::Refused { code: Code::Busy | Code::Misfit, .. })
            };
            // The one before may not have been shown out yet.
            let begun = Instant::now();
            let mut session = loop {
                match connect(&target(&address, Offer::OURS, bytes.clone()), Purpose::New, 1) {
                    Ok(session) => break session,
                    Err(error) if came(&error) && begun.elapsed() < SOON => {
                        std::thread::sleep(Duration::from_millis(50))
                    }
                    Err(error) => panic!("{what}: {error}"),
                }
            };
            misbehave(&mut session);
            std::thread::sleep(Duration::from_millis(200));
            assert!(there.runs(), "{what}: {}", there.stderr());
        }
        still_serves(scratch, &mut there, &address);
    });
}

/// A proper source comes, and its guest goes over.
fn still_serves(scratch: &Scratch, there: &mut Process, address: &str) {
    // The last one that came may not have been shown out yet: a source that finds the door taken is told to come again.
    let begun = Instant::now();
    let here = loop {
        let mut here = source(scratch, address, "udp:127.0.0.1:9", BUSY);
        if here.exit(LONG) != 1 || begun.elapsed() > SOON {
            break here;
        }
    };
    assert!(here.stderr().contains("committed"), "{}\n-- destination:\n{}", here.stderr(), there.stderr());
    there.signal("TERM");
    assert_eq!(there.exit(SOON), 0, "{}", there.stderr());
}
