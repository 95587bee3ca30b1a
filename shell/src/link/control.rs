//! The control link: what the machine's driver sends and receives through.
//!
//! It takes over the sessions that a [`Connector`] or a [`Lobby`](super::lobby::Lobby) has
//! set up, hands their bulk connections to whoever moves memory, and reports `Up` and `Down` for both together. On a
//! destination it also holds the connections of sources that may only ask about an attempt in doubt, and routes each
//! answer by the attempt that it is about.
//!
//! Everything here is on the loop's thread and never waits. Not here: repeating, timing out, deciding.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::Receiver;

use heapless::Vec as Bounded;
use mio::{Registry, Token};
use serde::{Deserialize, Serialize};
use switchover_core::hal::{Link, LinkDown, LinkInput};
use switchover_core::id::JournalId;
use switchover_core::wire::message::{Envelope, ToDestination, ToSource};

use super::bulk::BulkHandle;
use super::connector::Connector;
use super::framed::Framed;
use super::lobby::Served;
use super::session::{Arrival, Peer, Purpose, Session};
use super::trouble::Trouble;

/// Sources that ask about an attempt in doubt at the same time, at most; the oldest gives way.
const ASKING_MAX: usize = 4;

/// The end of the bulk connection that this process has. Its methods are called on the loop's thread and do not wait.
pub trait BulkEnd {
    /// A new connection; an earlier one is of no use any more. One that is over is shut down by the link.
    fn attach(&mut self, stream: TcpStream);
    /// Why the connection is of no use any more, if so.
    fn broken(&mut self) -> Option<String>;
}

impl BulkEnd for BulkHandle {
    fn attach(&mut self, stream: TcpStream) {
        BulkHandle::attach(self, stream);
    }

    fn broken(&mut self) -> Option<String> {
        self.try_broken().map(|broken| broken.to_string())
    }
}

/// A process that moves no memory of its own: for tests.
impl BulkEnd for () {
    fn attach(&mut self, _: TcpStream) {}
    fn broken(&mut self) -> Option<String> {
        None
    }
}

/// Which side this is, and who sets up its sessions.
#[derive(Debug)]
pub enum Caller {
    /// A source calls.
    Source(Connector),
    /// A destination is called.
    Destination(Served),
}

/// A message that this side sends.
pub trait Spoken: Serialize {
    /// What a source that has said this would connect again for.
    fn purpose(&self) -> Option<Purpose>;
}

impl Spoken for ToDestination {
    fn purpose(&self) -> Option<Purpose> {
        match self {
            ToDestination::Go | ToDestination::Query => Some(Purpose::InDoubt),
            ToDestination::Hello(_) => Some(Purpose::Again),
            _ => None,
        }
    }
}

impl Spoken for ToSource {
    fn purpose(&self) -> Option<Purpose> {
        None
    }
}

/// A message that this side receives.
pub trait Heard: for<'de> Deserialize<'de> {
    /// Whether it may come in a session that is for questions.
    fn is_question(&self) -> bool;
}

impl Heard for ToDestination {
    fn is_question(&self) -> bool {
        matches!(self, ToDestination::Query | ToDestination::Fin | ToDestination::Abort { .. })
    }
}

impl Heard for ToSource {
    fn is_question(&self) -> bool {
        true
    }
}

/// A session that was taken over.
#[derive(Debug)]
struct Live {
    framed: Framed,
    peer: Peer,
    number: u64,
    /// The bulk connection beside it: to shut it down, since its threads have the other handle.
    bulk: Option<TcpStream>,
    /// Nothing can be sent any more; what has come is still to be read.
    deaf: Option<Trouble>,
}

/// The control link; see the module.
pub struct ControlLink<Out, In, B> {
    registry: Registry,
    token: Token,
    arrivals: Receiver<Arrival>,
    caller: Caller,
    bulk: B,
    main: Option<Live>,
    asking: Bounded<Live, ASKING_MAX>,
    /// `Up` and `Down` that are to be reported.
    news: VecDeque<LinkInput<In>>,
    connecting: bool,
    purpose: Purpose,
    last_error: Option<Trouble>,
    sends: std::marker::PhantomData<fn(Out)>,
}

impl<Out: Spoken, In: Heard, B: BulkEnd> ControlLink<Out, In, B> {
    /// A link with no session yet. `registry` is the loop's; its sockets are registered under `token`.
    pub fn new(
        registry: Registry,
        token: Token,
        arrivals: Receiver<Arrival>,
        caller: Caller,
        bulk: B,
    ) -> Self {
        ControlLink {
            registry,
            token,
            arrivals,
            caller,
            bulk,
            main: None,
            asking: Bounded::new(),
            news: VecDeque::with_capacity(4),
            connecting: false,
            purpose: Purpose::New,
            last_error: None,
            sends: std::marker::PhantomData,
        }
    }

    /// A source that restarts with an attempt in doubt says so, and is heard by a busy destination.
    pub fn in_doubt(&mut self) {
        self.purpose = Purpose::InDoubt;
    }

    /// The other end of the session there is.
    pub fn peer(&self) -> Option<&Peer> {
        self.main.as_ref().map(|main| &main.peer)
    }

    /// Why the last connection ended, or was not made.
    pub fn last_error(&self) -> Option<&Trouble> {
        self.last_error.as_ref()
    }

    /// The bulk end.
    pub fn bulk(&self) -> &B {
        &self.bulk
    }

    fn arrived(&mut self, session: Session) {
        let answers_only = session.bulk.is_none() && matches!(self.caller, Caller::Destination(_));
        let framed = match Framed::new(session.control, &self.registry, self.token) {
            Ok(framed) => framed,
            Err(error) => {
                self.ended(session.number, error.into());
                return;
            }
        };
        // Without a second handle it is closed all the same, once its threads have noticed.
        let bulk = session.bulk.as_ref().and_then(|bulk| bulk.try_clone().ok());
        let live = Live { framed, peer: session.peer, number: session.number, bulk, deaf: None };
        if answers_only {
            // The same source asking anew replaces itself, and a crowd its eldest.
            let same = self.asking.iter().position(|asks| asks.peer.journal == live.peer.journal);
            if let Some(place) = same.or(self.asking.is_full().then_some(0)) {
                self.asking.remove(place);
            }
            let _ = self.asking.push(live);
            return;
        }
        if self.main.is_some() {
            self.down(Trouble::Replaced);
        }
        if let Some(bulk) = session.bulk {
            self.bulk.attach(bulk);
        }
        self.main = Some(live);
        self.connecting = false;
        self.news.push_back(LinkInput::Up);
    }

    /// Both connections are over.
    fn down(&mut self, why: Trouble) {
        if let Some(main) = self.main.take() {
            if let Some(bulk) = main.bulk {
                // Fails if the peer was faster.
                let _ = bulk.shutdown(Shutdown::Both);
            }
            self.ended(main.number, why);
            self.news.push_back(LinkInput::Down);
        }
    }

    fn ended(&mut self, number: u64, why: Trouble) {
        if let Caller::Destination(served) = &self.caller {
            served.ended(number);
        }
        self.last_error = Some(why);
    }

    /// The next message of the main session.
    fn heard_from_main(&mut self) -> Option<(Envelope, In)> {
        let main = self.main.as_mut()?;
        if main.deaf.is_none() {
            main.deaf = main.framed.flush().err();
        }
        match main.framed.next() {
            Ok(Some(message)) => return Some(message),
            Ok(None) => {
                if let Some(trouble) = main.deaf.take().or_else(|| self.bulk.broken().map(Trouble::Bulk)) {
                    self.down(trouble);
                }
            }
            Err(trouble) => self.down(trouble),
        }
        None
    }

    /// The next question of those that may only ask.
    fn heard_from_asking(&mut self) -> Option<(Envelope, In)> {
        let mut place = 0;
        while let Some(asks) = self.asking.get_mut(place) {
            let flushed = asks.framed.flush();
            match flushed.and_then(|()| asks.framed.next::<In>()) {
                Ok(Some((envelope, message))) if message.is_question() && is_of(&envelope, &asks.peer) => {
                    return Some((envelope, message));
                }
                Ok(Some(_)) => {
                    self.asking.remove(place);
                    self.last_error = Some(Trouble::OutOfPlace);
                }
                Ok(None) => place += 1,
                Err(_) => {
                    self.asking.remove(place);
                }
            }
        }
        None
    }

    /// The session in which a message about that attempt is sent.
    fn session_of(&mut self, attempt_of: JournalId) -> Option<&mut Live> {
        if matches!(self.caller, Caller::Source(_)) {
            return self.main.as_mut();
        }
        let main = self.main.as_mut().filter(|main| main.peer.journal == attempt_of);
        main.or_else(|| self.asking.iter_mut().find(|asks| asks.peer.journal == attempt_of))
    }
}

/// Whether a source speaks of its own attempt.
fn is_of(envelope: &Envelope, peer: &Peer) -> bool {
    envelope.attempt.journal == peer.journal
}

impl<Out: Spoken, In: Heard, B: BulkEnd> Link for ControlLink<Out, In, B> {
    type Out = Out;
    type In = In;

    fn connect(&mut self) {
        let Caller::Source(connector) = &self.caller else { return };
        if self.main.is_some() {
            self.news.push_back(LinkInput::Up);
        } else if !self.connecting {
            self.connecting = true;
            connector.call(self.purpose);
        }
    }

    fn send(&mut self, envelope: &Envelope, message: &Out) -> nb::Result<(), LinkDown> {
        if let Some(purpose) = message.purpose() {
            self.purpose = purpose;
        }
        let session = self.session_of(envelope.attempt.journal);
        let Some(live) = session.filter(|live| live.deaf.is_none()) else {
            return Err(nb::Error::Other(LinkDown));
        };
        match live.framed.send(envelope, message) {
            Ok(true) => Ok(()),
            Ok(false) => Err(nb::Error::WouldBlock),
            Err(trouble) => {
                // Reported as `Down` once all that has come is read: it may be the very answer.
                live.deaf = Some(trouble);
                Err(nb::Error::Other(LinkDown))
            }
        }
    }

    fn receive(&mut self) -> nb::Result<LinkInput<In>, Infallible> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Ok(news);
            }
            if let Some((envelope, message)) = self.heard_from_main() {
                return Ok(LinkInput::Message(envelope, message));
            }
            if !self.news.is_empty() {
                continue;
            }
            match self.arrivals.try_recv() {
                Ok(Arrival::Session(session)) => self.arrived(session),
                Ok(Arrival::Failed(error)) => {
                    self.connecting = false;
                    self.last_error = Some(Trouble::Unmade(error));
                    self.news.push_back(LinkInput::Down);
                }
                // No more, or nobody left to make any: the machine waits by its own patience.
                Err(_) => {
                    let asked = self.heard_from_asking();
                    let message = asked.map(|(envelope, message)| LinkInput::Message(envelope, message));
                    return message.ok_or(nb::Error::WouldBlock);
                }
            }
        }
    }
}
