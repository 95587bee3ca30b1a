//! Why a bulk connection is of no use any more.

use std::fmt;
use std::io;

use switchover_core::wire::chunk::ChunkError;

/// What ended a bulk connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// There has been none yet.
    Absent,
    /// The peer closed it, or is gone.
    Closed,
    /// The socket failed.
    Io(io::ErrorKind, String),
    /// What came is no chunk.
    Chunk(ChunkError),
    /// A chunk that nobody is waiting for: before an attempt was taken up, or after its seal.
    Unasked,
    /// State of a port that this side does not have.
    Port,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof => Self::Closed,
            kind => Self::Io(kind, error.to_string()),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no bulk connection"),
            Self::Closed => f.write_str("the peer closed the bulk connection"),
            Self::Io(_, what) => write!(f, "the bulk connection failed: {what}"),
            Self::Chunk(error) => {
                let what = match error {
                    ChunkError::Magic => "bytes that are no chunk",
                    ChunkError::Checksum => "a chunk header whose checksum does not match",
                    ChunkError::Unknown => "a chunk of unknown kind, port or flag",
                    ChunkError::Bounds => "a chunk whose sizes are out of bounds or do not agree",
                    ChunkError::Run => "pages outside guest memory",
                };
                write!(
                    f,
                    "the peer sent {what} on the bulk connection; is it a switchover source of this version?"
                )
            }
            Self::Unasked => f.write_str("the peer sent memory or state that no attempt here is waiting for"),
            Self::Port => f.write_str("the peer sent the state of a vCPU port or device that is not here"),
        }
    }
}

impl std::error::Error for Broken {}
