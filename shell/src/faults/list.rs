//! All the faults of a run, and what a port asks of them.

use std::time::Duration;

use crate::words::{Phase, Side};
use switchover_text::faults::{Copies, Corruptible, Droppable, Fault, Kind, Stall};

/// Two faults that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "faults `{0}` and `{1}` are about the same thing in the same attempt; leave one out, or give them different `#N`"
)]
pub struct FaultConflict(pub Fault, pub Fault);

/// Everything that a run is to suffer. At most one fault about each thing in each attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// These faults.
    ///
    /// # Errors
    /// Two of them are about the same thing in the same attempt.
    pub fn new(faults: Vec<Fault>) -> Result<Self, FaultConflict> {
        for (index, fault) in faults.iter().enumerate() {
            if let Some(earlier) = faults[..index].iter().find(|earlier| earlier.collides(fault)) {
                return Err(FaultConflict(*earlier, *fault));
            }
        }
        Ok(Faults(faults))
    }

    /// Those that the process of `side` acts out.
    #[must_use]
    pub fn on_side(&self, side: Side) -> Faults {
        Faults(self.0.iter().copied().filter(|fault| fault.side() == side).collect())
    }

    /// How much longer `place` is to take in this attempt (counted from 1).
    #[must_use]
    pub fn stall(&self, place: Stall, attempt: u32) -> Option<Duration> {
        self.find(attempt, |kind| match kind {
            Kind::Stall(at, duration) if at == place => Some(duration),
            _ => None,
        })
    }

    /// Which copies of `message` are lost in this attempt (counted from 1).
    #[must_use]
    pub fn drops(&self, message: Droppable, attempt: u32) -> Option<Copies> {
        self.find(attempt, |kind| match kind {
            Kind::Drop(what, copies) if what == message => Some(copies),
            _ => None,
        })
    }

    /// Whether the process of `side` dies on entry to `phase` in this attempt (counted from 1).
    #[must_use]
    pub fn kills(&self, side: Side, phase: Phase, attempt: u32) -> bool {
        self.find(attempt, |kind| (kind == Kind::Kill(side, phase)).then_some(())).is_some()
    }

    /// Whether a bit of `what` flips in this attempt (counted from 1).
    #[must_use]
    pub fn corrupts(&self, what: Corruptible, attempt: u32) -> bool {
        self.find(attempt, |kind| (kind == Kind::Corrupt(what)).then_some(())).is_some()
    }

    /// All of them, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// Those that strike this attempt (counted from 1), for the record.
    pub fn in_attempt(&self, attempt: u32) -> impl Iterator<Item = &Fault> {
        self.0.iter().filter(move |fault| fault.when.strikes(attempt))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find<T>(&self, attempt: u32, pick: impl Fn(Kind) -> Option<T>) -> Option<T> {
        self.in_attempt(attempt).find_map(|fault| pick(fault.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn faults(texts: &[&str]) -> Faults {
        Faults::new(texts.iter().map(|text| fault(text)).collect()).expect("no conflict")
    }

    #[test]
    fn the_default_is_the_first_attempt_only() {
        let faults = faults(&["stall:save:2s", "drop:go:once#2", "corrupt:page#all"]);
        assert_eq!(faults.stall(Stall::Save, 1), Some(Duration::from_secs(2)));
        assert_eq!(faults.stall(Stall::Save, 2), None);
        assert_eq!(faults.stall(Stall::Load, 1), None);
        assert_eq!(faults.drops(Droppable::Go, 1), None);
        assert_eq!(faults.drops(Droppable::Go, 2), Some(Copies::First));
        assert!(faults.corrupts(Corruptible::Page, 1) && faults.corrupts(Corruptible::Page, 7));
        assert!(!faults.corrupts(Corruptible::Device, 1));
        assert_eq!(
            faults.in_attempt(2).map(Fault::to_string).collect::<Vec<_>>(),
            ["drop:go:once#2", "corrupt:page#all"]
        );
    }

    #[test]
    fn a_process_dies_where_it_is_told_to_and_nowhere_else() {
        let faults = faults(&["kill:source@go", "kill:destination@load#2"]);
        assert!(faults.kills(Side::Source, Phase::Go, 1));
        assert!(!faults.kills(Side::Destination, Phase::Go, 1));
        assert!(!faults.kills(Side::Source, Phase::Seal, 1));
        assert!(faults.kills(Side::Destination, Phase::Load, 2));
    }

    #[test]
    fn each_fault_is_acted_out_by_one_side() {
        for text in [
            "stall:stop:1",
            "stall:save:1",
            "stall:link:1",
            "stall:rollback:1",
            "drop:go",
            "kill:source@hello",
        ] {
            assert_eq!(fault(text).side(), Side::Source, "{text}");
        }
        for text in ["stall:load:1", "stall:seal:1", "stall:resume:1", "drop:ready", "drop:running"] {
            assert_eq!(fault(text).side(), Side::Destination, "{text}");
        }
        let both = faults(&["corrupt:device", "kill:destination@go", "stall:seal:1"]);
        assert_eq!(both.on_side(Side::Source), faults(&["corrupt:device"]));
        assert_eq!(both.on_side(Side::Destination), faults(&["kill:destination@go", "stall:seal:1"]));
    }

    #[test]
    fn two_faults_about_one_thing_in_one_attempt_are_a_contradiction() {
        let parse = |texts: &[&str]| Faults::new(texts.iter().map(|text| fault(text)).collect());
        assert!(parse(&["stall:save:1s", "stall:save:2s"]).is_err());
        assert!(parse(&["stall:save:1s", "stall:save:2s#all"]).is_err());
        assert!(parse(&["kill:source@go", "kill:source@seal"]).is_err());
        assert!(parse(&["drop:go", "drop:go:once"]).is_err());
        assert!(parse(&["stall:save:1s", "stall:save:2s#2"]).is_ok());
        assert!(parse(&["stall:save:1s", "stall:rollback:2s", "corrupt:page", "corrupt:device"]).is_ok());
    }
}
