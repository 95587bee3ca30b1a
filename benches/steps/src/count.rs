//! Replays the cases under callgrind and reads what it counted.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::explore::{Case, Walker, cases};
use crate::machine::{D, Machine, S, SHAPES, Shape};

/// What one step took.
#[derive(Clone, Debug)]
pub struct Cost {
    /// `source` or `destination`.
    pub machine: &'static str,
    /// Its ports.
    pub shape: Shape,
    /// The state that the event met.
    pub state: String,
    /// The event.
    pub event: String,
    /// Instructions, those of the call included.
    pub instructions: u64,
}

/// There is no valgrind on this machine.
#[derive(Debug)]
pub struct NoValgrind;

/// A case with the machine it is for: a line of the file that the replay reads.
struct Line {
    machine: &'static str,
    shape: usize,
    case: Case,
}

fn all_cases() -> Vec<Line> {
    let mut lines = Vec::new();
    for (shape, of) in SHAPES.into_iter().enumerate() {
        lines.extend(cases::<S>(of).into_iter().map(|case| Line { machine: "source", shape, case }));
        lines.extend(cases::<D>(of).into_iter().map(|case| Line { machine: "destination", shape, case }));
    }
    lines
}

fn write(lines: &[Line]) -> String {
    let mut text = String::new();
    for Line { machine, shape, case } in lines {
        let _ = write!(text, "{machine} {shape}");
        for (event, moment) in case.path.iter().chain([&case.last]) {
            let _ = write!(text, " {event} {moment}");
        }
        text.push('\n');
    }
    text
}

/// Replays every line of `text`, each last move through the counted function. Runs under valgrind.
///
/// # Panics
/// On text that [`measure`] did not write.
pub fn replay(text: &str) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let machine = words.next().expect("a machine");
        let numbers: Vec<usize> = words.map(|word| word.parse().expect("a number")).collect();
        let (shape, moves) = numbers.split_first().expect("a shape");
        let shape = SHAPES[*shape];
        if machine == "source" { replay_one::<S>(shape, moves) } else { replay_one::<D>(shape, moves) }
    }
}

fn replay_one<M: Machine>(shape: Shape, moves: &[usize]) {
    let mut walker = Walker::<M>::new(shape);
    let (path, last) = moves.split_at(moves.len() - 2);
    for step in path.chunks_exact(2) {
        walker.advance((step[0], step[1]));
    }
    walker.go_counted((last[0], last[1]));
}

/// Explores, then counts with `program` (the `step_cost` binary of the profile in question); files go to `scratch`.
///
/// # Errors
/// [`NoValgrind`].
///
/// # Panics
/// When the count fails for any other reason: valgrind's output does not have one total for each case.
pub fn measure(program: &Path, scratch: &Path) -> Result<Vec<Cost>, NoValgrind> {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Err(NoValgrind);
    }
    let lines = all_cases();
    let (file, out) = (scratch.join("cases"), scratch.join("callgrind.out"));
    std::fs::write(&file, write(&lines)).expect("the scratch folder can be written");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--combine-dumps=yes", "--dump-line=no"])
        // Two spellings of one function: callgrind keeps one option for each pattern.
        .args(["--toggle-collect=*machine::counted*", "--dump-before=*::counted*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .arg("replay")
        .arg(&file)
        .output()
        .expect("valgrind runs");
    assert!(output.status.success(), "valgrind: {}", String::from_utf8_lossy(&output.stderr));
    let profile = std::fs::read_to_string(&out).expect("callgrind wrote its profile");
    let totals: Vec<u64> = profile
        .lines()
        .filter_map(|line| line.strip_prefix("totals: ")?.split_whitespace().next()?.parse().ok())
        .collect();
    // The first part is what came before the first counted call.
    assert_eq!(
        totals.len(),
        lines.len() + 1,
        "one total for each case\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(lines.iter().zip(&totals[1..]).map(|(line, total)| cost(line, *total)).collect())
}

fn cost(line: &Line, instructions: u64) -> Cost {
    let shape = SHAPES[line.shape];
    let (state, event) = match line.machine {
        "source" => place::<S>(shape, &line.case),
        _ => place::<D>(shape, &line.case),
    };
    Cost { machine: line.machine, shape, state, event, instructions }
}

fn place<M: Machine>(shape: Shape, case: &Case) -> (String, String) {
    let mut walker = Walker::<M>::new(shape);
    for step in &case.path {
        walker.advance(*step);
    }
    (walker.state(), walker.describe(case.last))
}
