//! Control frames: length, checksum, postcard bytes.
//!
//! ```text
//!  0        4         8                  8 + length
//!  | length | CRC-32C | envelope, message |      both little-endian u32
//! ```
//!
//! The length is bounded before anything is read, the checksum covers length and body,
//! and a body must be used up to its last byte. Nothing allocates.

use serde::{Deserialize, Serialize};

use crate::limits::{FRAME_HEADER, FRAME_MAX, MESSAGE_MAX};
use crate::wire::crc::Crc32c;
use crate::wire::message::Envelope;

/// What a reader makes of the bytes it has.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Decoded<M> {
    /// Not a whole frame yet; this many bytes more at the least.
    Partial(usize),
    /// A frame, and how many bytes it took.
    Whole(Envelope, M, usize),
}

/// Bytes that are no frame. The connection cannot be trusted any further.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum FrameError {
    /// A length of zero or beyond [`MESSAGE_MAX`].
    Length,
    /// The checksum does not match.
    Checksum,
    /// The body is no message of this direction and version.
    Body,
}

/// Encodes one message. The answer is the used part of `out`.
///
/// # Errors
/// [`FrameError::Length`] if it does not fit; a test shows that the largest message does.
pub fn encode<'a, M: Serialize>(
    envelope: &Envelope,
    message: &M,
    out: &'a mut [u8; FRAME_MAX],
) -> Result<&'a [u8], FrameError> {
    let (head, body) = out.split_at_mut(FRAME_HEADER);
    let length = postcard::to_slice(&(envelope, message), body).map_err(|_| FrameError::Length)?.len();
    let length_bytes = u32::try_from(length).map_err(|_| FrameError::Length)?.to_le_bytes();
    let mut checksum = Crc32c::new();
    checksum.update(&length_bytes);
    checksum.update(body.get(..length).ok_or(FrameError::Length)?);
    let (length_slot, checksum_slot) = head.split_at_mut(4);
    length_slot.copy_from_slice(&length_bytes);
    checksum_slot.copy_from_slice(&checksum.value().to_le_bytes());
    out.get(..FRAME_HEADER + length).ok_or(FrameError::Length)
}

/// Decodes the first frame in `bytes`.
///
/// # Errors
/// See [`FrameError`]: none of them mends itself by reading on.
pub fn decode<M: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<Decoded<M>, FrameError> {
    let Some((length_bytes, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(Decoded::Partial(FRAME_HEADER.saturating_sub(bytes.len())));
    };
    let length = u32::from_le_bytes(*length_bytes) as usize;
    if length == 0 || length > MESSAGE_MAX {
        return Err(FrameError::Length);
    }
    let whole = FRAME_HEADER + length;
    let Some((checksum_bytes, rest)) = rest.split_first_chunk::<4>() else {
        return Ok(Decoded::Partial(whole.saturating_sub(bytes.len())));
    };
    let Some(body) = rest.get(..length) else {
        return Ok(Decoded::Partial(whole.saturating_sub(bytes.len())));
    };
    let mut checksum = Crc32c::new();
    checksum.update(length_bytes);
    checksum.update(body);
    if checksum.value() != u32::from_le_bytes(*checksum_bytes) {
        return Err(FrameError::Checksum);
    }
    match postcard::take_from_bytes::<(Envelope, M)>(body) {
        Ok(((envelope, message), [])) => Ok(Decoded::Whole(envelope, message, whole)),
        Ok(_) | Err(_) => Err(FrameError::Body),
    }
}
