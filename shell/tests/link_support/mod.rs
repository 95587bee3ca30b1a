//! A door, and sources that knock at it.
#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::{Poll, Token};
use switchover_core::hal::{Link, LinkInput};
use switchover_core::id::{AttemptId, Incarnation, JournalId};
use switchover_core::wire::message::{Envelope, ToDestination, ToSource};
use switchover_core::wire::version::Offer;
use switchover_shell::link::connector::{Connector, Target, connect};
use switchover_shell::link::control::{Caller, ControlLink};
use switchover_shell::link::lobby::{Lobby, LobbySettings};
use switchover_shell::link::session::{Arrival, Purpose, Session};
use switchover_shell::wake::Wake;

/// Short, so that tests of silence do not take seconds.
pub const PATIENCE: Duration = Duration::from_millis(300);

/// Every wait in these tests ends by then.
pub const LONG: Duration = Duration::from_secs(10);

pub type SourceLink = ControlLink<ToDestination, ToSource, ()>;
pub type DestinationLink = ControlLink<ToSource, ToDestination, ()>;

/// A destination's door.
pub struct Door {
    pub lobby: Lobby,
    pub arrivals: Option<Receiver<Arrival>>,
    pub notices: Arc<Mutex<Vec<String>>>,
}

pub fn door() -> Door {
    door_with(|_| {})
}

pub fn door_with(change: impl FnOnce(&mut LobbySettings)) -> Door {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&notices);
    let fits = |descriptor: &[u8]| match descriptor {
        b"too big" => {
            Err("page size 65536 is not this host's 4096; take a host with 64 KiB pages".to_string())
        }
        _ => Ok(()),
    };
    let notice = move |text: &str| heard.lock().expect("no panic").push(text.to_string());
    let mut settings =
        LobbySettings::new(JournalId(0xd), Incarnation(0x1c), Box::new(fits), Box::new(notice));
    settings.patience = PATIENCE;
    change(&mut settings);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (lobby, arrivals) = Lobby::open(listener, settings, Wake::none()).expect("a door");
    Door { lobby, arrivals: Some(arrivals), notices }
}

impl Door {
    /// The source of that journal, here.
    pub fn target(&self, journal: u64) -> Target {
        target(&self.lobby.address().to_string(), journal)
    }

    pub fn knock(&self) -> TcpStream {
        let stream = TcpStream::connect(self.lobby.address()).expect("it listens");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        stream
    }

    /// The destination's link; once.
    pub fn link(&mut self) -> (DestinationLink, Poll) {
        let poll = Poll::new().expect("epoll");
        let registry = poll.registry().try_clone().expect("a registry");
        let arrivals = self.arrivals.take().expect("one link a door");
        let caller = Caller::Destination(self.lobby.served());
        (ControlLink::new(registry, Token(2), arrivals, caller, ()), poll)
    }
}

pub fn target(address: &str, journal: u64) -> Target {
    Target {
        address: address.into(),
        journal: JournalId(journal),
        descriptor: b"a guest".to_vec(),
        offer: Offer::OURS,
        patience: PATIENCE,
        dead_after: Duration::from_secs(1),
    }
}

/// A session whose source end is in the test's hands.
pub fn session(door: &Door, journal: u64) -> Session {
    connect(&door.target(journal), Purpose::New, 1).expect("a session")
}

pub fn source_link(target: Target) -> (SourceLink, Poll) {
    let poll = Poll::new().expect("epoll");
    let registry = poll.registry().try_clone().expect("a registry");
    let (connector, arrivals) = Connector::start(target, None, Wake::none()).expect("a helper");
    (ControlLink::new(registry, Token(2), arrivals, Caller::Source(connector), ()), poll)
}

/// What comes next.
pub fn next<L: Link>(link: &mut L) -> LinkInput<L::In> {
    let began = Instant::now();
    loop {
        match link.receive() {
            Ok(input) => return input,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
        assert!(began.elapsed() < LONG, "nothing came");
    }
}

/// Nothing comes for a while.
pub fn quiet<L: Link>(link: &mut L) {
    for _ in 0..30 {
        assert!(link.receive().is_err(), "something came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn envelope(journal: u64) -> Envelope {
    Envelope {
        attempt: AttemptId { journal: JournalId(journal), counter: 1 },
        peer: JournalId(0xd),
        incarnation: Incarnation(0x1c),
    }
}
