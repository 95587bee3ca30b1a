//! `step_cost`: prints the most expensive steps. Started again under valgrind as `step_cost replay FILE`.

fn main() {
    switchover_steps::count_and_print(40);
}
