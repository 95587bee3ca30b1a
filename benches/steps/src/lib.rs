//! The instructions of one machine step, counted: in every state that a breadth-first walk reaches, for every event.
//!
//! ```text
//!  explore (native)  ->  cases: machine, ports, path of events  ->  replay (callgrind)  ->  instructions of each last step
//! ```
//!
//! The walk runs natively and keeps one case for each behaviour: the shape of the state before, the event, the kinds
//! of the actions, the state after. The replay runs under valgrind, which collects inside [`counted`] alone and dumps
//! at each of its calls. Nothing is timed, so the numbers repeat to the instruction.

pub mod count;
pub mod events;
pub mod explore;
pub mod machine;

pub use count::{Cost, NoValgrind, measure};

/// What a program is that counts: under valgrind it replays, otherwise it measures and prints the `rows` most expensive
/// steps.
///
/// # Panics
/// Without a folder for temporary files, or when the count fails.
pub fn count_and_print(rows: usize) {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, file] = arguments.as_slice()
        && word == "replay"
    {
        return count::replay(&std::fs::read_to_string(file).expect("the file of cases"));
    }
    let scratch = std::env::temp_dir().join(format!("switchover-steps-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a scratch folder");
    let program = std::env::current_exe().expect("this program");
    match measure(&program, &scratch) {
        Err(NoValgrind) => println!("machine step: skipped: no valgrind"),
        Ok(costs) => print(costs, rows),
    }
    let _ = std::fs::remove_dir_all(&scratch);
}

fn print(mut costs: Vec<Cost>, rows: usize) {
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.instructions));
    println!("machine step: instructions of the {rows} most expensive of {} cases", costs.len());
    for Cost { machine, shape, state, event, instructions } in costs.iter().take(rows) {
        let event: String = event.chars().take(110).collect();
        println!("{instructions:>6}  {machine} {shape:?} {state} <- {event}");
    }
}
