//! The source's way to a session: connecting, introducing itself, on a helper thread once the loop runs.
//!
//! Each failure says what was wrong and what to do about it.

use std::io;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use switchover_core::id::JournalId;
use switchover_core::wire::version::Offer;

use super::patient::{Patient, settle_bulk, settle_control};
use super::preamble::{
    ANSWER_HEAD, Answer, Code, Malformed, Opening, answer_body, answer_head, encode_opening,
};
use super::resolve::resolve;
use super::session::{Arrival, Peer, Purpose, Session};
use crate::wake::Wake;

/// Where to, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// The source's journal.
    pub journal: JournalId,
    /// The guest, in its own words; at most [`DESCRIPTOR_MAX`](super::preamble::DESCRIPTOR_MAX) bytes.
    pub descriptor: Vec<u8>,
    /// The versions to offer.
    pub offer: Offer,
    /// How long to wait for the name's addresses, for a connection, and for an answer on it: 2 s unless there is a reason.
    pub patience: Duration,
    /// How long unacknowledged data may be under way before the peer counts as dead.
    pub dead_after: Duration,
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("`{address}` is not an address that can be connected to ({what}); write HOST:PORT")]
    Address {
        /// What was given.
        address: String,
        /// What the resolver said.
        what: String,
    },
    /// The host is there; no process listens.
    #[error(
        "nobody listens at {address}; start `switchover destination --listen` there first, or correct --connect"
    )]
    Nobody {
        /// Where.
        address: String,
    },
    /// The host cannot be reached.
    #[error("{address} cannot be reached: {what}; check the network and --connect")]
    Unreachable {
        /// Where.
        address: String,
        /// What the operating system said.
        what: String,
    },
    /// Somebody took the connection and said nothing.
    #[error(
        "{address} took the connection and said nothing for {patience:?}; is it a switchover destination, and alive?"
    )]
    Silent {
        /// Where.
        address: String,
        /// For how long.
        patience: Duration,
    },
    /// Somebody closed the connection before the answer was complete.
    #[error("{address} closed the connection before it answered; is it a switchover destination?")]
    Closed {
        /// Where.
        address: String,
    },
    /// What came is no answer.
    #[error("{address} is not a switchover destination: {what}; correct --connect")]
    Foreign {
        /// Where.
        address: String,
        /// What was wrong with it.
        what: Malformed,
    },
    /// A destination answered, and refused.
    #[error("{address} refused: {text}")]
    Refused {
        /// Where.
        address: String,
        /// What kind of reason.
        code: Code,
        /// The reason and the remedy, in the destination's words.
        text: String,
    },
    /// The guest's description is too long to send.
    #[error("the guest's description cannot be sent: {0}; this is a limit of the protocol")]
    Descriptor(Malformed),
}

/// Opens a session, waiting for it: for a helper thread, or before there is a loop.
///
/// # Errors
/// See [`ConnectError`].
pub fn connect(target: &Target, purpose: Purpose, number: u64) -> Result<Session, ConnectError> {
    let (control, peer, token) = {
        let opening =
            Opening::Control { journal: target.journal, purpose, descriptor: target.descriptor.clone() };
        introduce(target, &opening)?
    };
    let bulk = match token {
        Some(token) => Some(introduce(target, &Opening::Bulk { token })?.0),
        None => None,
    };
    Ok(Session { peer, control, bulk, number })
}

type Introduced = (TcpStream, Peer, Option<super::preamble::Token>);

fn introduce(target: &Target, opening: &Opening) -> Result<Introduced, ConnectError> {
    let address = || target.address.clone();
    let stream = reach(target)?;
    let said = encode_opening(target.offer, opening).map_err(ConnectError::Descriptor)?;
    // Set before the first byte: an opening must not wait for an acknowledgement of its beginning.
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => ConnectError::Silent { address: address(), patience: target.patience },
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => ConnectError::Closed { address: address() },
        _ => ConnectError::Unreachable { address: address(), what: error.to_string() },
    };
    stream.set_nodelay(true).map_err(failed)?;
    let mut patient = Patient::new(&stream, target.patience);
    // A peer that refuses early may have closed already; its reason is still to be read.
    let spoke = patient.write(&said);
    let foreign = |what| ConnectError::Foreign { address: address(), what };
    let mut head = [0; ANSWER_HEAD];
    patient.read(&mut head).map_err(|error| failed(spoke.err().unwrap_or(error)))?;
    let mut body = vec![0; answer_head(&head).map_err(foreign)?];
    patient.read(&mut body).map_err(failed)?;
    match answer_body(&head, &body).map_err(foreign)? {
        Answer::Accepted { version, journal, incarnation, token } => {
            if !(target.offer.oldest..=target.offer.newest).contains(&version) {
                return Err(foreign(Malformed::Version(version)));
            }
            let settled = match opening {
                Opening::Control { .. } => settle_control(&stream, target.dead_after),
                Opening::Bulk { .. } => settle_bulk(&stream),
            };
            settled.map_err(failed)?;
            Ok((stream, Peer { journal, incarnation, version }, token))
        }
        Answer::Refused { code, text } => Err(ConnectError::Refused { address: address(), code, text }),
    }
}

/// Tries every address of the name, and keeps what the last one said.
fn reach(target: &Target) -> Result<TcpStream, ConnectError> {
    let unresolved = |what: String| ConnectError::Address { address: target.address.clone(), what };
    let addresses =
        resolve(target.address.clone(), target.patience).map_err(|error| unresolved(error.to_string()))?;
    let mut last = unresolved("the name has no address".into());
    for address in addresses {
        match TcpStream::connect_timeout(&address, target.patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = unreached(&target.address, target.patience, &error),
        }
    }
    Err(last)
}

fn unreached(address: &str, patience: Duration, error: &io::Error) -> ConnectError {
    let address = address.to_string();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Nobody { address },
        io::ErrorKind::TimedOut => {
            ConnectError::Unreachable { address, what: format!("no answer within {patience:?}") }
        }
        _ => ConnectError::Unreachable { address, what: error.to_string() },
    }
}

/// Opens sessions on a helper thread, one for each call, and hands what came of it to the loop.
#[derive(Debug)]
pub struct Connector {
    calls: Sender<Purpose>,
}

impl Connector {
    /// Starts the helper. `first` is a session that is there already: the first call is answered with it.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(
        target: Target,
        first: Option<Session>,
        wake: Wake,
    ) -> io::Result<(Self, Receiver<Arrival>)> {
        let (calls, called) = channel();
        let (answers, arrivals) = channel();
        std::thread::Builder::new()
            .name("connector".into())
            .spawn(move || serve(&target, first, &called, &answers, &wake))?;
        Ok((Connector { calls }, arrivals))
    }

    /// Asks for a session; an [`Arrival`] follows. Does not wait.
    pub fn call(&self, purpose: Purpose) {
        // A helper that is gone answers nothing, and the machine's own patience ends that.
        let _ = self.calls.send(purpose);
    }
}

fn serve(
    target: &Target,
    mut first: Option<Session>,
    calls: &Receiver<Purpose>,
    answers: &Sender<Arrival>,
    wake: &Wake,
) {
    let mut number = first.as_ref().map_or(0, |session| session.number);
    for purpose in calls {
        let arrival = match first.take() {
            Some(session) => Arrival::Session(session),
            None => {
                number += 1;
                connect(target, purpose, number).map_or_else(Arrival::Failed, Arrival::Session)
            }
        };
        if answers.send(arrival).is_err() {
            return;
        }
        wake.wake();
    }
}
