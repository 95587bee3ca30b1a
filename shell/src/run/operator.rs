//! What the operator says with signals, as something to look for now and then.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::sys::signal::{Signal, Signals};

/// Within which a second signal ends a process that would otherwise stay.
const TWICE: Duration = Duration::from_secs(5);

/// Signals that have come.
pub struct Operator {
    signals: Receiver<Signal>,
    last: Option<Instant>,
}

/// A signal, and whether it is the second within a few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Which.
    pub signal: Signal,
    /// The second within 5 s.
    pub again: bool,
}

impl Operator {
    /// Listens on a thread of its own. `signals` were taken before any other thread was made.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn listen(signals: Signals) -> std::io::Result<Self> {
        let (tell, told) = channel();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            while let Ok(signal) = signals.wait() {
                if tell.send(signal).is_err() {
                    return;
                }
            }
        })?;
        Ok(Operator { signals: told, last: None })
    }

    /// The next signal, if one has come.
    pub fn said(&mut self) -> Option<Said> {
        let signal = self.signals.try_recv().ok()?;
        let again = self.last.replace(Instant::now()).is_some_and(|last| last.elapsed() < TWICE);
        Some(Said { signal, again })
    }
}
