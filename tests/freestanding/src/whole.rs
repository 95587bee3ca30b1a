//! Keeps the whole of core in the link, at its default capacities.
//!
//! The example uses one vCPU, no device and no arbiter; the optimiser may see that and drop what else could be
//! reached. What is named here could be called with anything, so its panics, were there any, would be in the image.

use core::hint::black_box;

use switchover_core::destination::Destination;
use switchover_core::digest::Digest;
use switchover_core::learn::Learner;
use switchover_core::record::Recorder;
use switchover_core::source::Source;
use switchover_core::wire::chunk::Header;
use switchover_core::wire::frame::{decode, encode};
use switchover_core::wire::message::{ToDestination, ToSource};
use switchover_core::wire::version::Offer;

type S = Source<4, 8, 8>;
type D = Destination<4, 8, 8>;

/// Names every entry point; calls none.
pub fn keep() {
    black_box(S::new as *const ());
    black_box(S::restart as *const ());
    black_box(S::step as *const ());
    black_box(S::deadline as *const ());
    black_box(S::set_contracts as *const ());
    black_box(S::rebase as *const ());
    black_box(S::invariant as *const ());
    black_box(D::new as *const ());
    black_box(D::restart as *const ());
    black_box(D::step as *const ());
    black_box(D::deadline as *const ());
    black_box(D::set_contracts as *const ());
    black_box(D::rebase as *const ());
    black_box(D::invariant as *const ());
    black_box(Recorder::<96>::note as *const ());
    black_box(Learner::<4, 8>::new as *const ());
    black_box(Learner::<4, 8>::note as *const ());
    black_box(Digest::update as *const ());
    black_box(Header::encode as *const ());
    black_box(Header::decode as *const ());
    black_box(Header::check as *const ());
    black_box(encode::<ToSource> as *const ());
    black_box(encode::<ToDestination> as *const ());
    black_box(decode::<ToSource> as *const ());
    black_box(decode::<ToDestination> as *const ());
    black_box(Offer::choose as *const ());
}
