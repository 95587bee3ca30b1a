//! Faults that the sender acts out, for tests and `--fault`; none of it is in `core` (\[SW-80\]).

use std::time::Duration;

/// What is to go wrong from now on. Each strikes once; [`SenderFaults::default`] is nothing, and costs nothing.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderFaults {
    /// One bit of the next page that is sent with its contents flips, after the digest was taken.
    pub corrupt_page: bool,
    /// One bit of the next slice of state flips, after the digest was taken.
    pub corrupt_state: bool,
    /// Nothing leaves for so long, from the first byte of the next stop-copy (page or state) on; an abort ends it.
    pub stall: Option<Duration>,
}
