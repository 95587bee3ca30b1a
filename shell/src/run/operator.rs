//! What the operator says with signals, as something to look for now and then.

use std::sync::mpsc::{Receiver, channel};

use crate::sys::signal::{Signal, Signals};

/// Signals that have come.
pub struct Operator {
    signals: Receiver<Signal>,
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
        Ok(Operator { signals: told })
    }

    /// The next signal, if one has come.
    pub fn said(&self) -> Option<Signal> {
        self.signals.try_recv().ok()
    }
}
