//! Log lines: `defmt` behind a feature, nothing otherwise.
//!
//! A machine tells through [`Watch`], once a step, how its state changed (`info`) and what it noted for the record
//! (`debug`; `warn` for an abort, a doubt, a lost device or an alarm). A driver adds what it had to drop. Without the
//! feature a watch is empty and nothing that it is handed is evaluated.
//!
//! Which lines a firmware keeps is decided when it is compiled, by `DEFMT_LOG`.

use crate::action::Note;

/// A line that somebody should look at.
macro_rules! warning {
    ($($arg:tt)*) => {{
        #[cfg(feature = "defmt")]
        defmt::warn!($($arg)*);
    }};
}

pub(crate) use warning;

/// Over one step of one machine.
pub(crate) struct Watch {
    #[cfg(feature = "defmt")]
    side: &'static str,
    #[cfg(feature = "defmt")]
    before: &'static str,
}

#[cfg(feature = "defmt")]
impl Watch {
    /// Before the step; `state` names the state.
    pub(crate) fn begin(side: &'static str, state: impl FnOnce() -> &'static str) -> Self {
        Self { side, before: state() }
    }

    /// After it.
    pub(crate) fn end<'a>(self, state: impl FnOnce() -> &'static str, notes: impl Iterator<Item = &'a Note>) {
        let after = state();
        if self.before != after {
            defmt::info!("{=str}: {=str} -> {=str}", self.side, self.before, after);
        }
        notes.for_each(|note| tell(self.side, note));
    }
}

#[cfg(not(feature = "defmt"))]
impl Watch {
    /// Nothing.
    pub(crate) fn begin(_: &'static str, _: impl FnOnce() -> &'static str) -> Self {
        Self {}
    }

    /// Nothing.
    pub(crate) fn end<'a>(self, _: impl FnOnce() -> &'static str, _: impl Iterator<Item = &'a Note>) {}
}

/// A note, as loud as it deserves.
#[cfg(feature = "defmt")]
fn tell(side: &str, note: &Note) {
    match note {
        Note::Aborting { .. } | Note::InDoubt | Note::DeviceLost(_) | Note::Alarm(_) => {
            defmt::warn!("{=str}: {}", side, note);
        }
        Note::Began(_)
        | Note::Verdict(_)
        | Note::Round { .. }
        | Note::Stopping
        | Note::Phase { .. }
        | Note::CutShort { .. }
        | Note::Sent(_)
        | Note::Go
        | Note::PeerDecides
        | Note::Runs
        | Note::Ended(_)
        | Note::Finished => defmt::debug!("{=str}: {}", side, note),
    }
}
