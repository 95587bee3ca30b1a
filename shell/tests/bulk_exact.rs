//! What the source's memory port sends is what the destination's has, byte for byte, while the guest writes.

mod bulk_pair;

use bulk_pair::{Pair, done};
use switchover_core::hal::source::Memory as _;
use switchover_core::port::Port;
use switchover_shell::guest::memory::PAGE;

/// [SW-72], [SW-73]: rounds beside a writer, then the stop.
#[test]
fn a_guest_that_writes_all_the_time_arrives_exactly() {
    let mut pair = Pair::new(32 << 20, true);
    let pages = pair.there.pages();
    for page in 0..pages / 2 {
        pair.guest.fill(page, 1);
    }
    pair.destination_expects(1, false);
    let busy = pair.guest.busy(pages);
    let first = pair.round(1, true);
    assert!(first.sent.get() > (pages / 4) * PAGE as u64, "{first:?}");
    for _ in 0..10 {
        pair.round(1, false);
    }
    let writes = busy.stop();
    assert!(writes > 1000, "the writer wrote {writes} times: nothing was tested");
    let (sealed, arrived) = pair.finish().expect("the end");
    assert_eq!(sealed, arrived);
    assert!(sealed.verify.is_some());
    pair.assert_exact();
    assert_eq!(pair.destination.inbox().take(Port::Vcpus(0)), Some((b"vcpus".to_vec(), true)));
    assert_eq!(pair.destination.inbox().take(Port::Vcpus(0)), None);
    done(|| pair.source.release()).expect("release");
    assert!((0..pages).all(|page| pair.guest.memory.is_zero(page)), "the copy is destroyed");
}
