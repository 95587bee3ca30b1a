//! Control messages: their names, and those that are under way.

use switchover_core::port::Side;
use switchover_core::wire::message::{Envelope, ToDestination, ToSource};

use crate::scenario::words::{to_destination, to_source};

/// A message to one side or the other.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Letter {
    /// From the destination.
    ToSource(Envelope, ToSource),
    /// From the source.
    ToDestination(Envelope, ToDestination),
}

/// One that is under way.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    pub letter: Letter,
    /// Which connection carries it.
    pub wire: u32,
    /// When it was handed over, in true time.
    pub at: u64,
    /// A later one may overtake it, and another copy may follow.
    pub datagram: bool,
}

impl Letter {
    /// Who said it.
    pub(super) const fn from(&self) -> Side {
        match self {
            Self::ToSource(..) => Side::Destination,
            Self::ToDestination(..) => Side::Source,
        }
    }

    /// Its word, as scenarios write it.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::ToDestination(_, message) => to_destination(message),
            Self::ToSource(_, message) => to_source(message),
        }
    }

    /// Whether the answer to `Go`, and so P2 after it, depends on it.
    pub(super) const fn decides(&self) -> bool {
        matches!(self, Self::ToSource(_, ToSource::Refused { .. }))
    }
}

/// Those that are under way, each at a place that an event names.
#[derive(Clone, Debug, Default)]
pub(super) struct Letters {
    places: Vec<Option<Sent>>,
    free: Vec<u32>,
}

impl Letters {
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.free.clear();
    }

    pub(super) fn put(&mut self, sent: Sent) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = Some(sent);
                place
            }
            None => {
                self.places.push(Some(sent));
                (self.places.len() - 1) as u32
            }
        }
    }

    pub(super) fn take(&mut self, place: u32) -> Option<Sent> {
        let sent = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(sent)
    }

    /// Who is to read it.
    pub(super) fn to(&self, place: u32) -> Option<Side> {
        let sent = self.places.get(place as usize)?.as_ref()?;
        Some(match sent.letter.from() {
            Side::Source => Side::Destination,
            Side::Destination => Side::Source,
        })
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
