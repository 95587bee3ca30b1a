//! Instructions of one machine step: the worst cases, counted, not timed. `tests/tests/cost.rs` holds the bound.

fn main() {
    switchover_steps::count_and_print(5);
}
