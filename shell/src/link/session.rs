//! What a set-up connection is, for whoever takes it over: both streams, and who is at the other end.

use std::net::TcpStream;

use switchover_core::id::{Incarnation, JournalId};

use super::connector::ConnectError;

/// Who is at the other end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its journal.
    pub journal: JournalId,
    /// A destination's incarnation; zero for a source, which has none.
    pub incarnation: Incarnation,
    /// The protocol version that was chosen.
    pub version: u16,
}

/// A session that both sides have agreed on: the control connection, and the bulk connection beside it.
#[derive(Debug)]
pub struct Session {
    /// The other end.
    pub peer: Peer,
    /// Control: blocking still, whoever takes it over makes it non-blocking.
    pub control: TcpStream,
    /// Bulk; none in a session that is for questions about an attempt in doubt only.
    pub bulk: Option<TcpStream>,
    /// Numbers the sessions of one process, from 1.
    pub number: u64,
}

/// What a helper thread hands to the link.
#[derive(Debug)]
pub enum Arrival {
    /// A session.
    Session(Session),
    /// There is none to be had.
    Failed(ConnectError),
}

/// Why a source opens a session. It decides whether a busy destination hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Purpose {
    /// To begin attempts.
    New,
    /// To go on after a broken connection.
    Again,
    /// To ask what became of an attempt that is in doubt: answered even by a destination that serves another source,
    /// since a guest stands still until it is.
    InDoubt,
}
