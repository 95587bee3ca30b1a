//! Hearing an opening at the door, and parting from whoever is not let in.

use std::fmt;
use std::io;

use switchover_core::wire::version::Offer;

use super::patient::Patient;
use super::preamble::{
    Answer, Code, Malformed, OPENING_HEAD, Opening, encode_answer, opening_body, opening_head,
};

/// Why a connection is not let in.
#[derive(Debug)]
pub(super) enum Unheard {
    /// Nothing came in time, or not all of it: how many bytes of the head.
    Silent,
    /// What came is no opening.
    Malformed(Malformed),
    /// The connection ended, or this side could not go on with it.
    Gone(io::Error),
    /// It was heard and refused.
    Refused(Code, String),
}

impl fmt::Display for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unheard::Silent => f.write_str(
                "it did not introduce itself in time; connect with `switchover source --connect`, and check the network",
            ),
            Unheard::Malformed(what) => {
                write!(f, "{what}; only `switchover source --connect` belongs here")
            }
            Unheard::Gone(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("it closed before it had introduced itself")
            }
            Unheard::Gone(error) => write!(f, "the connection failed: {error}"),
            Unheard::Refused(_, text) => f.write_str(text),
        }
    }
}

/// Reads one opening, within the time that `patient` has.
pub(super) fn hear(patient: &mut Patient<'_>, ours: Offer) -> Result<(Offer, Opening), Unheard> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => Unheard::Silent,
        _ => Unheard::Gone(error),
    };
    let mut head = [0; OPENING_HEAD];
    // The magic first: whoever speaks something else may say less than a head, and need not be waited for.
    patient.read(&mut head[..8]).map_err(failed)?;
    if head[..8] != super::preamble::MAGIC {
        return Err(Unheard::Malformed(Malformed::Magic));
    }
    patient.read(&mut head[8..]).map_err(failed)?;
    let (offer, length) = opening_head(&head).map_err(Unheard::Malformed)?;
    let mut body = vec![0; length];
    patient.read(&mut body).map_err(failed)?;
    match opening_body(&head, &body) {
        Ok(opening) => Ok((offer, opening)),
        // Intact but unknown: another version's words, perhaps; then the versions are the reason to give.
        Err(Malformed::Body) if ours.choose(offer).is_none() => {
            Err(Unheard::Refused(Code::Version, super::preamble::no_version(ours, offer)))
        }
        Err(malformed) => Err(Unheard::Malformed(malformed)),
    }
}

/// Tells the reason, as far as anybody is there to hear it, and closes.
pub(super) fn refuse(mut patient: Patient<'_>, unheard: &Unheard) {
    let code = match unheard {
        Unheard::Silent => Code::Silent,
        Unheard::Malformed(_) => Code::Garbage,
        Unheard::Refused(code, _) => *code,
        Unheard::Gone(_) => return,
    };
    let answer = encode_answer(&Answer::refused(code, &unheard.to_string()));
    if answer.is_ok_and(|answer| patient.write(&answer).is_ok()) {
        patient.part();
    }
}
