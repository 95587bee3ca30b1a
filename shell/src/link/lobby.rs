//! The destination's door: who may come in, one source at a time, and why somebody may not.
//!
//! Every connection gets a thread of its own for its preamble, at most so many at a time and for so long; what is refused
//! is told the reason (\[SW-62\]). What has passed goes to the loop as a [`Session`] with both connections.
//!
//! - A second source while one is served: refused, busy (\[SW-61\]).
//! - The source that is served, coming again: its new connections take the place of the old ones, also of half-dead ones.
//! - Any source that has an attempt in doubt: heard, since its guest stands still until it is. While another is served
//!   it gets a session without bulk, in which it may only ask.
//!
//! Not here: judging an attempt. A session is not a `Welcome`.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token as Ready, Waker};
use switchover_core::id::{Incarnation, JournalId};
use switchover_core::wire::version::Offer;

use super::greeting::{Unheard, hear, refuse};
use super::patient::{Patient, settle_bulk, settle_control};
use super::preamble::{Answer, Code, Opening, Token, encode_answer, no_version};
use super::session::{Arrival, Peer, Purpose, Session};
use crate::wake::Wake;

/// Says whether a guest so described can run here, or what is in the way and what to do about it.
pub type Fits = Box<dyn Fn(&[u8]) -> Result<(), String> + Send + Sync>;
/// Is told of every connection that was refused, in words.
pub type Notice = Box<dyn Fn(&str) + Send + Sync>;

/// What the door goes by.
pub struct LobbySettings {
    /// The destination's journal.
    pub journal: JournalId,
    /// The destination's incarnation.
    pub incarnation: Incarnation,
    /// The versions spoken here.
    pub offer: Offer,
    /// How long a preamble may take in all: 2 s unless there is a reason.
    pub patience: Duration,
    /// Connections whose preamble is not complete, at most.
    pub half_open_max: usize,
    /// How long unacknowledged data may be under way before the peer counts as dead.
    pub dead_after: Duration,
    /// Whether a guest fits.
    pub fits: Fits,
    /// Who is told of refusals.
    pub notice: Notice,
}

impl LobbySettings {
    /// The usual patience, for a destination of that name.
    #[must_use]
    pub fn new(journal: JournalId, incarnation: Incarnation, fits: Fits, notice: Notice) -> Self {
        let seconds = Duration::from_secs;
        LobbySettings {
            journal,
            incarnation,
            offer: Offer::OURS,
            patience: seconds(2),
            half_open_max: 16,
            dead_after: seconds(2),
            fits,
            notice,
        }
    }
}

/// A control connection that waits for its bulk connection.
struct Waiting {
    token: Token,
    journal: JournalId,
    version: u16,
    control: TcpStream,
    since: Instant,
}

#[derive(Default)]
struct Desk {
    serving: Option<JournalId>,
    waiting: Option<Waiting>,
    sessions: u64,
}

struct Shared {
    settings: LobbySettings,
    desk: Mutex<Desk>,
    served: Served,
    half_open: AtomicUsize,
    closed: AtomicBool,
    arrivals: Sender<Arrival>,
    wake: Wake,
}

/// Which session is alive: the link tells the door when one has ended.
#[derive(Debug, Clone, Default)]
pub struct Served(Arc<AtomicU64>);

impl Served {
    /// The session of that number is over; another source may come. Does not wait.
    pub fn ended(&self, number: u64) {
        // A newer session may have taken its place meanwhile, and stays.
        let _ = self.0.compare_exchange(number, 0, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// The open door. Dropping it closes it: sessions that have passed go on.
pub struct Lobby {
    address: SocketAddr,
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

const KNOCK: Ready = Ready(0);
const CLOSE: Ready = Ready(1);

impl Lobby {
    /// Opens the door at `listener`.
    ///
    /// # Errors
    /// No descriptor or thread left.
    pub fn open(
        listener: TcpListener,
        settings: LobbySettings,
        wake: Wake,
    ) -> io::Result<(Self, Receiver<Arrival>)> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), KNOCK, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), CLOSE)?;
        let (arrivals, receiver) = channel();
        let shared = Arc::new(Shared {
            settings,
            desk: Mutex::default(),
            served: Served::default(),
            half_open: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            arrivals,
            wake,
        });
        let door = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("lobby".into()).spawn(move || attend(&listener, poll, &door))?;
        Ok((Lobby { address, shared, waker, thread: Some(thread) }, receiver))
    }

    /// Where it listens: with the port that was chosen, if none was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For the link: how it tells that a session has ended.
    #[must_use]
    pub fn served(&self) -> Served {
        self.shared.served.clone()
    }
}

impl Drop for Lobby {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Both fail only if the thread is gone already.
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn attend(listener: &TcpListener, mut poll: Poll, shared: &Arc<Shared>) {
    let mut events = Events::with_capacity(8);
    while !shared.closed.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, from)) => admit(stream, from, shared),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // An error here is an interrupted wait: look again.
                let _ = poll.poll(&mut events, None);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The connection was given up, or there is no descriptor for it; without a pause the latter would spin.
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn admit(stream: TcpStream, from: SocketAddr, shared: &Arc<Shared>) {
    let settings = &shared.settings;
    if shared.half_open.fetch_add(1, Ordering::SeqCst) >= settings.half_open_max {
        shared.half_open.fetch_sub(1, Ordering::SeqCst);
        let text = "too many connections are being set up at once; try again in a moment";
        if let Ok(answer) = encode_answer(&Answer::refused(Code::Crowded, text)) {
            // A fresh socket has room for an answer; if not, the connection just closes.
            let _ = stream.set_nonblocking(true);
            let _ = io::Write::write(&mut &stream, &answer);
        }
        (settings.notice)(&format!("{from}: refused: {text}"));
        return;
    }
    let door = Arc::clone(shared);
    let spawned = std::thread::Builder::new().name("greeting".into()).spawn(move || {
        greet(stream, from, &door);
        door.half_open.fetch_sub(1, Ordering::SeqCst);
    });
    if let Err(error) = spawned {
        shared.half_open.fetch_sub(1, Ordering::SeqCst);
        (settings.notice)(&format!("{from}: no thread for its preamble: {error}"));
    }
}

fn greet(stream: TcpStream, from: SocketAddr, shared: &Shared) {
    let settings = &shared.settings;
    let mut patient = Patient::new(&stream, settings.patience);
    let heard = match hear(&mut patient, settings.offer) {
        Ok((offer, opening)) => match settings.offer.choose(offer) {
            Some(version) => Ok((version, opening)),
            None => Err(Unheard::Refused(Code::Version, no_version(settings.offer, offer))),
        },
        Err(unheard) => Err(unheard),
    };
    let refused = match heard {
        Ok((version, Opening::Control { journal, purpose, descriptor })) => {
            shared.control(&stream, version, journal, purpose, &descriptor)
        }
        Ok((_, Opening::Bulk { token })) => shared.bulk(&stream, &token),
        Err(unheard) => Err(unheard),
    };
    if let Err(unheard) = refused {
        (settings.notice)(&format!("{from}: refused: {unheard}"));
        refuse(Patient::new(&stream, settings.patience), &unheard);
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nobody panics with the desk in their hands; what it says holds in any case.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom somebody of `journal` would disturb.
    fn other(&self, desk: &mut Desk, journal: JournalId) -> Option<JournalId> {
        if desk.waiting.as_ref().is_some_and(|waiting| waiting.since.elapsed() > self.settings.patience) {
            desk.waiting = None;
        }
        if self.served.0.load(Ordering::SeqCst) == 0 {
            desk.serving = None;
        }
        let waiting = desk.waiting.as_ref().map(|waiting| waiting.journal);
        desk.serving.or(waiting).filter(|other| *other != journal)
    }

    fn accepted(&self, version: u16, token: Option<Token>) -> Answer {
        let LobbySettings { journal, incarnation, .. } = self.settings;
        Answer::Accepted { version, journal, incarnation, token }
    }

    /// Answers.
    fn answer(&self, stream: &TcpStream, answer: &Answer) -> Result<(), Unheard> {
        let bytes = encode_answer(answer).map_err(Unheard::Malformed)?;
        Patient::new(stream, self.settings.patience).write(&bytes).map_err(Unheard::Gone)
    }

    fn control(
        &self,
        stream: &TcpStream,
        version: u16,
        journal: JournalId,
        purpose: Purpose,
        descriptor: &[u8],
    ) -> Result<(), Unheard> {
        // Whoever asks about an attempt in doubt is heard, whatever guest it has, and whoever is served.
        let may_be_turned_away = purpose != Purpose::InDoubt;
        if may_be_turned_away {
            // Before anything is looked into or made for it; and again afterwards, since that takes its time.
            if let Some(other) = self.other(&mut self.desk(), journal) {
                return Err(busy(other));
            }
            (self.settings.fits)(descriptor).map_err(|why| Unheard::Refused(Code::Misfit, why))?;
        }
        let mut desk = self.desk();
        if let Some(other) = self.other(&mut desk, journal) {
            if may_be_turned_away {
                return Err(busy(other));
            }
            let number = desk.next();
            drop(desk);
            self.answer(stream, &self.accepted(version, None))?;
            settle_control(stream, self.settings.dead_after).map_err(Unheard::Gone)?;
            let control = stream.try_clone().map_err(Unheard::Gone)?;
            return self.deliver(Session { peer: peer(journal, version), control, bulk: None, number });
        }
        let mut token = Token::default();
        getrandom::fill(&mut token).map_err(|error| Unheard::Gone(io::Error::other(error)))?;
        let control = stream.try_clone().map_err(Unheard::Gone)?;
        // On the desk before the answer is out: the bulk connection comes as soon as the token is known.
        desk.waiting = Some(Waiting { token, journal, version, control, since: Instant::now() });
        drop(desk);
        settle_control(stream, self.settings.dead_after).map_err(Unheard::Gone)?;
        self.answer(stream, &self.accepted(version, Some(token)))
    }

    fn bulk(&self, stream: &TcpStream, token: &Token) -> Result<(), Unheard> {
        let (waiting, number) = {
            let mut desk = self.desk();
            let Some(waiting) = desk.waiting.take_if(|waiting| waiting.token == *token) else {
                let text = "no session waits for this bulk connection; connect again from the beginning";
                return Err(Unheard::Refused(Code::NoSession, text.into()));
            };
            let number = desk.next();
            desk.serving = Some(waiting.journal);
            self.served.0.store(number, Ordering::SeqCst);
            (waiting, number)
        };
        let delivered = self.answer(stream, &self.accepted(waiting.version, None)).and_then(|()| {
            settle_bulk(stream).map_err(Unheard::Gone)?;
            let bulk = Some(stream.try_clone().map_err(Unheard::Gone)?);
            let peer = peer(waiting.journal, waiting.version);
            self.deliver(Session { peer, control: waiting.control, bulk, number })
        });
        if delivered.is_err() {
            self.served.ended(number);
        }
        delivered
    }

    fn deliver(&self, session: Session) -> Result<(), Unheard> {
        let gone = |_| Unheard::Gone(io::ErrorKind::NotConnected.into());
        self.arrivals.send(Arrival::Session(session)).map_err(gone)?;
        self.wake.wake();
        Ok(())
    }
}

impl Desk {
    fn next(&mut self) -> u64 {
        self.sessions += 1;
        self.sessions
    }
}

fn busy(other: JournalId) -> Unheard {
    let who = format!("another source (journal {:016x}) is being served", other.0);
    let text = format!("busy: {who}; try again when it is done, or take another destination");
    Unheard::Refused(Code::Busy, text)
}

/// A source has no incarnation.
fn peer(journal: JournalId, version: u16) -> Peer {
    Peer { journal, incarnation: Incarnation::default(), version }
}
