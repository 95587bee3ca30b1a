//! Why a control connection ended, in words for the record and the screen.

use std::fmt;
use std::io;

use switchover_core::wire::frame::FrameError;

use super::connector::ConnectError;

/// What ended a connection, or kept it from being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The peer closed it between two messages.
    Closed,
    /// The peer closed it, or died, in the middle of a message.
    CutShort,
    /// What came is no frame.
    Frame(FrameError),
    /// The socket failed.
    Io(io::ErrorKind, String),
    /// The bulk connection beside it broke, and both go together.
    Bulk(String),
    /// The same source came with a new one.
    Replaced,
    /// Something other than a question in a session that is for questions.
    OutOfPlace,
    /// None could be made.
    Unmade(ConnectError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error.kind(), error.to_string())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Closed => f.write_str("the peer closed the control connection"),
            Trouble::CutShort => f.write_str(
                "the control connection ended in the middle of a message: the peer died or was cut off",
            ),
            Trouble::Frame(error) => {
                let what = match error {
                    FrameError::Length => "a frame of impossible length",
                    FrameError::Checksum => "a frame whose checksum does not match",
                    FrameError::Body => "a frame that holds no message of this version",
                };
                write!(f, "the peer sent {what} on the control connection, which was closed")
            }
            Trouble::Io(io::ErrorKind::TimedOut, _) => f.write_str(
                "the peer acknowledged nothing on the control connection: its host or the network is gone",
            ),
            Trouble::Io(_, what) => write!(f, "the control connection failed: {what}"),
            Trouble::Bulk(what) => f.write_str(what),
            Trouble::Replaced => {
                f.write_str("the source came again; its new connection took the old one's place")
            }
            Trouble::OutOfPlace => f.write_str(
                "a source that may only ask about an attempt in doubt sent something else, and was closed",
            ),
            Trouble::Unmade(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Trouble {}
