//! The first bytes on either connection: who is there, which version, and whether the guest would fit.
//!
//! ```text
//!  opening:  magic 8 | oldest u16 | newest u16 | length u32 | CRC-32C u32 | body      source to destination
//!  answer:   magic 8 |                           length u32 | CRC-32C u32 | body      destination to source
//! ```
//!
//! All little-endian; the checksum covers everything before it, and the body, which is postcard. Magic, versions and the
//! form of an answer are the same in every version: a peer of any version can be refused with a reason. Lengths are
//! bounded before anything is read.
//!
//! Not here: sockets. This turns bytes into meaning and back.

use serde::{Deserialize, Serialize};
use switchover_core::id::{Incarnation, JournalId};
use switchover_core::wire::crc::Crc32c;
use switchover_core::wire::version::Offer;

use super::session::Purpose;

/// The first bytes of both.
pub const MAGIC: [u8; 8] = *b"SWOVER\x1a\n";
/// Bytes of an opening before its body.
pub const OPENING_HEAD: usize = 20;
/// Bytes of an answer before its body.
pub const ANSWER_HEAD: usize = 16;
/// The longest description of a guest.
pub const DESCRIPTOR_MAX: usize = 64 << 10;
/// The longest body of an opening: a description, and what stands beside it.
pub const OPENING_MAX: usize = DESCRIPTOR_MAX + 64;
/// The longest reason of a refusal, in bytes.
pub const REASON_MAX: usize = 200;
/// The longest body of an answer.
pub const ANSWER_MAX: usize = REASON_MAX + 64;

/// Ties a bulk connection to the control connection that it belongs to.
pub type Token = [u8; 16];

/// What a connection wants to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opening {
    /// A source's control connection.
    Control {
        /// Its journal.
        journal: JournalId,
        /// Why it comes.
        purpose: Purpose,
        /// The guest, in its own words: compared by whoever would run it.
        descriptor: Vec<u8>,
    },
    /// The bulk connection of the session whose control connection was given this token.
    Bulk {
        /// The token.
        token: Token,
    },
}

/// What the destination says to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Go on.
    Accepted {
        /// The version chosen.
        version: u16,
        /// The destination's journal.
        journal: JournalId,
        /// The destination's incarnation.
        incarnation: Incarnation,
        /// What to open the bulk connection with; none for a session that may only ask.
        token: Option<Token>,
    },
    /// Not this connection, not now.
    Refused {
        /// What kind of reason.
        code: Code,
        /// The reason, for a person, at most [`REASON_MAX`] bytes.
        text: String,
    },
}

/// Kinds of reasons for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Code {
    /// No version in common.
    Version,
    /// Another source is being served.
    Busy,
    /// The guest cannot run here: page size, memory layout, CPU.
    Misfit,
    /// What came is no opening.
    Garbage,
    /// Nothing came.
    Silent,
    /// Too many connections are being set up.
    Crowded,
    /// No session has that token.
    NoSession,
}

/// Bytes that are no opening, or no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first bytes are those of something else.
    #[error("it does not speak this protocol")]
    Magic,
    /// A length beyond what is allowed.
    #[error("it announced {0} bytes, which is more than a preamble has")]
    Length(usize),
    /// Damaged on the way.
    #[error("the preamble's checksum does not match")]
    Checksum,
    /// Intact, and still nothing that this version knows.
    #[error("the preamble holds nothing that this version knows")]
    Body,
    /// An answer that goes by a version which was not offered.
    #[error("it chose protocol version {0}, which was not offered; bring both hosts to the same version")]
    Version(u16),
}

impl Answer {
    /// A refusal; the text is cut to what an answer holds.
    #[must_use]
    pub fn refused(code: Code, text: &str) -> Self {
        let mut end = text.len().min(REASON_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Answer::Refused { code, text: text[..end].into() }
    }
}

/// The bytes of an opening.
///
/// # Errors
/// A descriptor longer than [`DESCRIPTOR_MAX`].
pub fn encode_opening(offer: Offer, opening: &Opening) -> Result<Vec<u8>, Malformed> {
    let mut head = MAGIC.to_vec();
    head.extend(offer.oldest.to_le_bytes());
    head.extend(offer.newest.to_le_bytes());
    encode(head, opening, OPENING_MAX)
}

/// The bytes of an answer.
///
/// # Errors
/// A reason longer than [`REASON_MAX`]; [`Answer::refused`] makes none.
pub fn encode_answer(answer: &Answer) -> Result<Vec<u8>, Malformed> {
    encode(MAGIC.to_vec(), answer, ANSWER_MAX)
}

fn encode(mut bytes: Vec<u8>, body: &impl Serialize, max: usize) -> Result<Vec<u8>, Malformed> {
    let body = postcard::to_extend(body, Vec::new()).map_err(|_| Malformed::Body)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= max);
    bytes.extend(length.ok_or(Malformed::Length(body.len()))?.to_le_bytes());
    let checksum = checksum(&bytes, &body);
    bytes.extend(checksum.to_le_bytes());
    bytes.extend(body);
    Ok(bytes)
}

fn checksum(before: &[u8], body: &[u8]) -> u32 {
    let mut sum = Crc32c::new();
    sum.update(before);
    sum.update(body);
    sum.value()
}

/// Reads an opening's head: the versions offered, and the body's length.
///
/// # Errors
/// It is not ours, or too long.
pub fn opening_head(head: &[u8; OPENING_HEAD]) -> Result<(Offer, usize), Malformed> {
    let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let length = length_in(head, 12, OPENING_MAX)?;
    Ok((Offer { oldest: half(8), newest: half(10) }, length))
}

/// Reads an answer's head: the body's length.
///
/// # Errors
/// It is not ours, or too long.
pub fn answer_head(head: &[u8; ANSWER_HEAD]) -> Result<usize, Malformed> {
    length_in(head, 8, ANSWER_MAX)
}

fn length_in(head: &[u8], at: usize, max: usize) -> Result<usize, Malformed> {
    if head[..8] != MAGIC {
        return Err(Malformed::Magic);
    }
    let length = word(head, at) as usize;
    if length <= max { Ok(length) } else { Err(Malformed::Length(length)) }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads an opening's body.
///
/// # Errors
/// Damaged, or unknown.
pub fn opening_body(head: &[u8; OPENING_HEAD], body: &[u8]) -> Result<Opening, Malformed> {
    let opening = body_of(head, body)?;
    match &opening {
        Opening::Control { descriptor, .. } if descriptor.len() > DESCRIPTOR_MAX => {
            Err(Malformed::Length(descriptor.len()))
        }
        _ => Ok(opening),
    }
}

/// Reads an answer's body.
///
/// # Errors
/// Damaged, or unknown.
pub fn answer_body(head: &[u8; ANSWER_HEAD], body: &[u8]) -> Result<Answer, Malformed> {
    body_of(head, body)
}

fn body_of<T: for<'de> Deserialize<'de>>(head: &[u8], body: &[u8]) -> Result<T, Malformed> {
    let (before, stated) = head.split_at(head.len() - 4);
    if checksum(before, body) != word(stated, 0) {
        return Err(Malformed::Checksum);
    }
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(Malformed::Body),
    }
}

/// The reason why two peers have no version in common.
#[must_use]
pub fn no_version(ours: Offer, theirs: Offer) -> String {
    let newer = if ours.newest < theirs.oldest { "destination" } else { "source" };
    format!(
        "no version in common: the destination speaks {}, the source {}; bring the {newer} up to date",
        range(ours),
        range(theirs)
    )
}

fn range(offer: Offer) -> String {
    if offer.oldest == offer.newest {
        format!("version {}", offer.newest)
    } else {
        format!("versions {} to {}", offer.oldest, offer.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(descriptor: Vec<u8>) -> Opening {
        Opening::Control { journal: JournalId(7), purpose: Purpose::New, descriptor }
    }

    fn read(bytes: &[u8]) -> Result<(Offer, Opening), Malformed> {
        let (head, body) = bytes.split_first_chunk::<OPENING_HEAD>().expect("a head");
        let (offer, length) = opening_head(head)?;
        assert_eq!(length, body.len());
        Ok((offer, opening_body(head, body)?))
    }

    #[test]
    fn an_opening_is_read_back() {
        for opening in [control(vec![1; DESCRIPTOR_MAX]), control(vec![]), Opening::Bulk { token: [9; 16] }] {
            let bytes = encode_opening(Offer::OURS, &opening).expect("it fits");
            assert_eq!(read(&bytes), Ok((Offer::OURS, opening)));
        }
        let long = control(vec![1; DESCRIPTOR_MAX + 1]);
        let bytes = encode_opening(Offer::OURS, &long);
        assert!(bytes.is_err() || read(&bytes.expect("bytes")).is_err());
    }

    #[test]
    fn literal_bytes() {
        let bytes = encode_opening(Offer { oldest: 1, newest: 2 }, &Opening::Bulk { token: [0xaa; 16] })
            .expect("fits");
        assert_eq!(&bytes[..16], b"SWOVER\x1a\n\x01\0\x02\0\x11\0\0\0");
        assert_eq!(bytes[20..], [&[1][..], &[0xaa; 16]].concat());
        let answer = encode_answer(&Answer::refused(Code::Busy, "no")).expect("fits");
        assert_eq!(&answer[..12], b"SWOVER\x1a\n\x05\0\0\0");
        assert_eq!(&answer[16..], b"\x01\x01\x02no");
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let bytes = encode_opening(Offer::OURS, &control(b"guest".to_vec())).expect("it fits");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (head, body) = damaged.split_first_chunk::<OPENING_HEAD>().expect("a head");
            let read = opening_head(head).and_then(|_| opening_body(head, body));
            assert!(read.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let Answer::Refused { text, .. } = Answer::refused(Code::Misfit, &"ü".repeat(150)) else { panic!() };
        assert_eq!(text.len(), REASON_MAX);
        let Answer::Refused { text, .. } = Answer::refused(Code::Misfit, &format!("a{}", "ü".repeat(150)))
        else {
            panic!()
        };
        assert_eq!(text.len(), REASON_MAX - 1);
        assert!(encode_answer(&Answer::refused(Code::Misfit, &"x".repeat(5000))).is_ok());
    }
}
