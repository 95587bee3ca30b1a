//! `step_cost`: prints the most expensive steps. Started again under valgrind as `step_cost replay FILE`.

use switchover_steps::count::replay;
use switchover_steps::{NoValgrind, measure};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, file] = arguments.as_slice()
        && word == "replay"
    {
        return replay(&std::fs::read_to_string(file).expect("the file of cases"));
    }
    let scratch = std::env::temp_dir().join(format!("switchover-steps-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a scratch folder");
    let program = std::env::current_exe().expect("this program");
    match measure(&program, &scratch) {
        Err(NoValgrind) => println!("skipped: no valgrind"),
        Ok(mut costs) => {
            costs.sort_by_key(|cost| std::cmp::Reverse(cost.instructions));
            println!("{} cases; instructions of the most expensive steps:", costs.len());
            for cost in costs.iter().take(40) {
                println!(
                    "{:>6}  {} ({} vCPU ports, {} devices{}) {} <- {}",
                    cost.instructions,
                    cost.machine,
                    cost.shape.vcpus,
                    cost.shape.devices,
                    if cost.shape.arbiter { ", arbiter" } else { "" },
                    cost.state,
                    cost.event.chars().take(110).collect::<String>()
                );
            }
        }
    }
    let _ = std::fs::remove_dir_all(&scratch);
}
