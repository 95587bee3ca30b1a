//! Which operations of which ports are under way.

use crate::port::{Op, PortSet};

/// One set per operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    sets: [PortSet; OPS.len()],
}

/// All operations, in the order in which a driver polls them: undoing comes first.
pub(super) const OPS: [Op; 8] =
    [Op::Rollback, Op::Resume, Op::Stop, Op::Quiesce, Op::Save, Op::Load, Op::Settle, Op::Unload];

impl Pending {
    /// `op` was asked of `ports`. Undoing takes a port away from whatever else it was doing.
    pub(super) fn ask(&mut self, op: Op, ports: PortSet) {
        if matches!(op, Op::Rollback | Op::Unload) {
            for set in &mut self.sets {
                *set = set.without(ports);
            }
        }
        for (slot, set) in OPS.iter().zip(&mut self.sets) {
            if *slot == op {
                *set = set.with(ports);
            }
        }
    }

    /// `op` of `ports` has been answered.
    pub(super) fn done(&mut self, op: Op, ports: PortSet) {
        for (slot, set) in OPS.iter().zip(&mut self.sets) {
            if *slot == op {
                *set = set.without(ports);
            }
        }
    }

    /// What is under way, operation by operation.
    pub(super) fn under_way(&self) -> [(Op, PortSet); OPS.len()] {
        let mut all = [(Op::Rollback, PortSet::EMPTY); OPS.len()];
        for ((slot, op), set) in all.iter_mut().zip(OPS).zip(self.sets) {
            *slot = (op, set);
        }
        all
    }
}
