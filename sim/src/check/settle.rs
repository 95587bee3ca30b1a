//! Liveness: once faults stop, the guest runs on exactly one side, and the source knows which.

use switchover_core::source::Standing;
use switchover_core::time::At;

use super::{Broken, Checker};

/// What the source says of the guest, or what is known of a source that says nothing.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Knows {
    /// That it runs here.
    Here,
    /// That it runs on the destination.
    There,
    /// That it cannot say, or is still at it.
    Not,
    /// That it runs nowhere: held for an operator.
    Held,
}

impl From<Standing> for Knows {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Rests | Standing::Waits | Standing::Migrating => Self::Here,
            Standing::Moved => Self::There,
            Standing::Stopped | Standing::InDoubt => Self::Not,
            Standing::Held => Self::Held,
        }
    }
}

impl Checker {
    /// Whether the guest runs on exactly one side and the source says so.
    #[must_use]
    pub fn is_settled(&self, knows: Knows) -> bool {
        match knows {
            Knows::Here => self.runs_on_source() && !self.any_on_destination(),
            Knows::There => self.runs_on_destination() && self.source.runs.vcpus().is_empty(),
            Knows::Not => false,
            // The protocol's own case: the destination's guest died after it was recorded.
            Knows::Held => !self.runs_on_source() && !self.any_on_destination(),
        }
    }

    /// Faults are long over. Not to be asked where the protocol names a case that stays open: see its section on limits.
    pub fn judge_settled(&mut self, knows: Knows, now: At) {
        let (here, there) = (self.runs_on_source(), self.runs_on_destination());
        let one = here != there && (there || !self.any_on_destination());
        self.check(one || knows == Knows::Held, Broken::RunsNowhere, now);
        if one {
            self.check(self.is_settled(knows), Broken::SourceDoesNotKnow, now);
        }
    }
}
