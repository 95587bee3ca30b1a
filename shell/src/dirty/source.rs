//! What a memory port asks of a dirty source.

use std::io;

use super::Bitmap;

/// Notices which pages of one guest are written.
///
/// Reading the log clears it: whoever collects owes the pages to somebody. The bulk sender keeps them in its
/// *pending* set until they are on the wire, over attempts. All calls come from that one helper thread; they may block
/// as long as the kernel's call does.
pub trait DirtySource: Send {
    /// Begins to log. From the return on, every write is noticed; what was written before is not. Starting a source
    /// that runs already does nothing and loses nothing.
    ///
    /// # Errors
    /// The kernel's refusal: nothing is logged then, and no attempt may begin.
    fn start(&mut self) -> io::Result<()>;

    /// Adds to `into` every page written since the start or the last call, and forgets them. A page written during
    /// the call is reported by this call or by the next one. `into` has a bit for every page of the guest.
    ///
    /// # Errors
    /// The log could not be read: from now on it is unknown what is dirty. What was added to `into` is right.
    fn collect(&mut self, into: &mut Bitmap) -> io::Result<()>;

    /// As [`DirtySource::collect`], while the guest is stopped and every microsecond counts: the source need not
    /// prepare to notice the same pages again. Should the guest run on after an abort, the next call may report
    /// them once more.
    ///
    /// # Errors
    /// As for [`DirtySource::collect`].
    fn collect_stopped(&mut self, into: &mut Bitmap) -> io::Result<()> {
        self.collect(into)
    }

    /// Ends logging, so that the guest's writes cost nothing again. Stopping a stopped source does nothing.
    ///
    /// # Errors
    /// The kernel's refusal; the guest goes on, only slower.
    fn stop(&mut self) -> io::Result<()>;
}
