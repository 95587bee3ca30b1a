//! Notes on their way from the real-time thread to whoever records and shows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use switchover_core::action::Note;
use switchover_core::outcome::Ended;
use switchover_core::time::At;

/// More than an attempt makes in the time between two looks.
const ROOM: usize = 4096;
/// Between two looks of [`NoteReceiver::ended`]: a blackout's processor is not taken for more.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A note, and when it was made on the host's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Noted {
    /// When.
    pub at: At,
    /// What.
    pub note: Note,
}

/// The end that tells.
#[derive(Debug, Clone)]
pub struct NoteSender {
    sender: SyncSender<Noted>,
    lost: Arc<AtomicU64>,
}

/// The end that is told. Nobody is woken by a note: look now and then.
#[derive(Debug)]
pub struct NoteReceiver {
    receiver: Receiver<Noted>,
    lost: Arc<AtomicU64>,
}

/// A bounded way for notes.
#[must_use]
pub fn notes() -> (NoteSender, NoteReceiver) {
    let (sender, receiver) = sync_channel(ROOM);
    let lost = Arc::new(AtomicU64::new(0));
    (NoteSender { sender, lost: Arc::clone(&lost) }, NoteReceiver { receiver, lost })
}

impl NoteSender {
    /// Tells. A receiver that is thousands of notes behind, or gone, loses this one, and it is counted.
    pub fn tell(&self, at: At, note: Note) {
        if self.sender.try_send(Noted { at, note }).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl NoteReceiver {
    /// The next note, if there is one. Does not wait, and so does not make the teller wake anybody.
    pub fn next(&self) -> Option<Noted> {
        self.receiver.try_recv().ok()
    }

    /// Waits for the end of the attempt under way, looking every few milliseconds; notes before it are taken and
    /// dropped. `None`: it did not end `within` that time.
    pub fn ended(&self, within: Duration) -> Option<Ended> {
        let until = Instant::now() + within;
        loop {
            while let Some(noted) = self.next() {
                if let Note::Ended(ended) = noted.note {
                    return Some(ended);
                }
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// How many notes were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}
