//! Messages under way: delayed, lost, doubled, held back for as long as the test likes.
//!
//! Nothing is reordered by itself; a longer delay does it.

use switchover_core::time::Ns;
use switchover_core::wire::message::{Envelope, ToDestination, ToSource};

use super::build::us;

/// The word that a message says, without its contents.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is the message of that name")]
pub enum Word {
    Hello,
    Ping,
    RoundEnd,
    Stopping,
    Sealed,
    Go,
    Query,
    Fin,
    Abort,
    Welcome,
    Pong,
    Ready,
    Running,
    Refused,
    Lost,
    Pending,
    Stranger,
}

/// A message to one side or the other.
#[derive(Copy, Clone, PartialEq, Debug)]
pub enum Letter {
    /// From the destination.
    ToSource(Envelope, ToSource),
    /// From the source.
    ToDestination(Envelope, ToDestination),
}

impl Letter {
    /// What it says.
    pub fn word(&self) -> Word {
        match self {
            Self::ToDestination(_, message) => match message {
                ToDestination::Hello(_) => Word::Hello,
                ToDestination::Ping(_) => Word::Ping,
                ToDestination::RoundEnd { .. } => Word::RoundEnd,
                ToDestination::Stopping { .. } => Word::Stopping,
                ToDestination::Sealed(_) => Word::Sealed,
                ToDestination::Go => Word::Go,
                ToDestination::Query => Word::Query,
                ToDestination::Fin => Word::Fin,
                ToDestination::Abort { .. } => Word::Abort,
            },
            Self::ToSource(_, message) => match message {
                ToSource::Welcome(_) => Word::Welcome,
                ToSource::Pong(_) => Word::Pong,
                ToSource::Ready { .. } => Word::Ready,
                ToSource::Running(_) => Word::Running,
                ToSource::Refused { .. } => Word::Refused,
                ToSource::Lost => Word::Lost,
                ToSource::Pending { .. } => Word::Pending,
                ToSource::Stranger => Word::Stranger,
            },
        }
    }
}

/// What becomes of a message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// It arrives after that time on the source's clock.
    Takes(Ns),
    /// It is lost.
    Lost,
    /// It is kept until the test delivers it.
    Held,
    /// It arrives, and a copy of it that much later.
    Twice(Ns),
}

/// The next `left` messages of that word go that way.
#[derive(Copy, Clone, Debug)]
struct Rule {
    word: Word,
    way: Way,
    left: u32,
}

/// What the network does, and the messages that it holds back.
#[derive(Debug)]
pub struct Network {
    /// Whether connections can be made and messages pass.
    pub up: bool,
    /// How long a message takes that no rule speaks of.
    pub delay: Ns,
    rules: Vec<Rule>,
    /// Held messages, oldest first.
    pub held: Vec<Letter>,
}

impl Default for Network {
    fn default() -> Self {
        Self { up: true, delay: us(500), rules: Vec::new(), held: Vec::new() }
    }
}

impl Network {
    /// From now on, the next `times` messages of that word go this way.
    pub fn rule(&mut self, word: Word, way: Way, times: u32) {
        self.rules.insert(0, Rule { word, way, left: times });
    }

    /// Forgets every rule.
    pub fn calm(&mut self) {
        self.rules.clear();
    }

    /// The way of one message.
    pub fn way(&mut self, letter: &Letter) -> Way {
        let rule = self.rules.iter_mut().find(|rule| rule.left > 0 && rule.word == letter.word());
        match rule {
            Some(rule) => {
                rule.left = rule.left.saturating_sub(1);
                rule.way
            }
            None => Way::Takes(self.delay),
        }
    }
}
