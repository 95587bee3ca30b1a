//! The parts of the benchmark, each of which adds lines to the report.

use std::io;
use std::time::Duration;

use serde_json::json;
use switchover_benches::abort::{decided_late, timer_late};
use switchover_benches::floor::{Bench, Waits};
use switchover_benches::plot;
use switchover_benches::raw::Raw;
use switchover_benches::report::{Report, Row, Target};
use switchover_benches::stats::{fit, fit_robust, median, percentile};
use switchover_benches::switch::{Run, Switchover};
use switchover_core::destination::Destination;
use switchover_core::source::Source;
use switchover_shell::dirty::{Bitmap, DirtySource, KvmDirtyBitmap};
use switchover_shell::guest::kvm::{DirtyRate, Hooks, KvmSpec, Vmm};
use switchover_steps::{NoValgrind, measure};

type Part = fn(bool, &mut Report) -> io::Result<()>;

/// By the names that the command line knows them by.
pub const ALL: [(&str, Part); 7] = [
    ("downtime", downtime),
    ("slope", slope),
    ("precopy", precopy),
    ("machine", machine),
    ("abort", abort),
    ("sim", crate::sim::sim),
    ("explore", crate::sim::walk),
];

const MIB: f64 = (1 << 20) as f64;

fn us(seconds: f64) -> String {
    format!("{:.0} us", seconds * 1e6)
}

fn rate(bytes_per_second: f64) -> String {
    format!("{:.2} GiB/s", bytes_per_second / MIB / 1024.0)
}

/// A run that commits. One that does not says nothing about speed: it is told and made again, twice at most.
fn committed(command: &Switchover, options: &str) -> io::Result<Run> {
    let mut said = String::new();
    for _ in 0..3 {
        let run = command.run(options)?;
        if run.committed() {
            return Ok(run);
        }
        said = run.ending();
        eprintln!("a run did not commit: {said}");
    }
    Err(io::Error::other(format!("no run commits: {said}; is this host overloaded?")))
}

/// An idle guest of 1 GiB against the sum of what cannot be left out.
fn downtime(quick: bool, report: &mut Report) -> io::Result<()> {
    let command = Switchover::find()?;
    let mut bench = Bench::new(2)?;
    let mut times = Vec::new();
    let mut phases = Vec::new();
    for _ in 0..if quick { 8 } else { 30 } {
        bench.rounds(6)?;
        let run = committed(&command, "--memory 1GiB --dirty-rate 0 --vcpus 2")?;
        times.push(run.downtime());
        phases
            .push(["stop", "save", "transfer", "seal", "ready", "go"].map(|name| run.phase("source", name)));
    }
    let floor = &bench.floor;
    for (waits, name) in [(Waits::Asleep, "asleep"), (Waits::Awake, "awake")] {
        let sum = floor.sum(waits);
        report.row(Row {
            what: format!("downtime, idle 1 GiB guest: median of {}", times.len()),
            measured: us(median(&times)),
            against: format!("{} (floor, messages to a peer {name})", us(sum)),
            ratio: median(&times) / sum,
            // A loop that waits for its deadlines sleeps; spinning for a whole pre-copy is not what is promised.
            target: if waits == Waits::Asleep { Target::AtMost(2.0) } else { Target::Told },
        });
    }
    report.row(Row {
        what: "downtime, idle 1 GiB guest: p99".into(),
        measured: us(percentile(&times, 0.99)),
        against: us(floor.sum(Waits::Asleep)),
        ratio: percentile(&times, 0.99) / floor.sum(Waits::Asleep),
        target: Target::Told,
    });
    let parts = [
        ("stop and save", &floor.stop),
        ("message, asleep", &floor.asleep),
        ("message, awake", &floor.awake),
        ("load", &floor.load),
        ("resume", &floor.resume),
    ];
    let of: Vec<_> = parts
        .iter()
        .map(|(name, all)| json!({ "part": name, "median_s": median(all), "p99_s": percentile(all, 0.99) }))
        .collect();
    let column = |at: usize| median(&phases.iter().map(|phases| phases[at]).collect::<Vec<_>>());
    report.detail(
        "downtime",
        json!({
            "downtimes_s": times,
            "floor": of,
            "phases_median_s": {
                "stop": column(0), "save": column(1), "transfer": column(2), "seal": column(3), "ready": column(4),
                "go": column(5),
            },
        }),
    );
    Ok(())
}

/// Downtime against final dirty bytes, and the same bytes by `writev` alone.
fn slope(quick: bool, report: &mut Report) -> io::Result<()> {
    let command = Switchover::find()?;
    let mut raw = Raw::filled(256 << 20)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut at_size = [const { Vec::new() }; 4];
    for _ in 0..if quick { 5 } else { 9 } {
        for (size, mib) in [0_u64, 16, 64, 256].into_iter().enumerate() {
            // A capped first round gives the guest the time to write all of its working set once more.
            let (set, cap) = (mib.max(1), (2 * mib).max(64));
            let dirties = if mib == 0 { "0" } else { "max" };
            let run = committed(
                &command,
                &format!(
                    "--memory 1GiB --vcpus 2 --working-set {set}MiB --dirty-rate {dirties} --max-bandwidth {cap}MiB/s --downtime-limit 3s"
                ),
            )?;
            let bytes = run.attempt("stop_copy_bytes");
            ours.push((bytes, run.downtime()));
            at_size[size].push((bytes, run.downtime()));
            // As many bytes as it was; whole pages.
            let bytes = ((bytes as u64) >> 12 << 12).clamp(4096, 256 << 20);
            bare.push((bytes as f64, raw.send(bytes)?));
        }
    }
    let (line, raw_line) = (fit_robust(&ours), fit_robust(&bare));
    report.row(Row {
        what: "stop-copy: bytes a second, by the line through downtimes".into(),
        measured: rate(1.0 / line.slope),
        against: format!("{} (writev, same bytes)", rate(1.0 / raw_line.slope)),
        ratio: raw_line.slope / line.slope,
        target: Target::AtLeast(0.8),
    });
    // Straight is judged by the median at each size: a single run may have met a busy host.
    let middle = at_size.map(|points: Vec<(f64, f64)>| {
        let of = |of: fn(&(f64, f64)) -> f64| median(&points.iter().map(of).collect::<Vec<_>>());
        (of(|point| point.0), of(|point| point.1))
    });
    let straight = fit(&middle);
    let most = middle.iter().map(|point| point.1).fold(0.0, f64::max);
    report.row(Row {
        what: "stop-copy: worst distance of a size's median from a line".into(),
        measured: us(straight.residual),
        against: format!("{} (longest)", us(most)),
        ratio: straight.residual / most,
        target: Target::AtMost(0.1),
    });
    report.detail(
        "slope",
        json!({
            "points": ours, "raw_points": bare,
            "start_s": line.start, "bytes_per_second": 1.0 / line.slope, "residual_s": line.residual,
            "raw_bytes_per_second": 1.0 / raw_line.slope,
        }),
    );
    let path = std::env::current_exe()?.with_file_name("downtime.svg");
    std::fs::write(&path, plot::svg(&ours, line, raw_line))?;
    eprintln!("drawn in {}", path.display());
    Ok(())
}

/// Pre-copy of a guest that writes meanwhile, and the same bytes by `writev` beside such a guest.
fn precopy(quick: bool, report: &mut Report) -> io::Result<()> {
    const SET: u64 = 512 << 20;
    const RATE: u64 = 512 << 20;
    let command = Switchover::find()?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..if quick { 3 } else { 7 } {
        let run = committed(
            &command,
            "--memory 1GiB --vcpus 2 --working-set 512MiB --dirty-rate 512MiB/s --downtime-limit 1s",
        )?;
        let bytes = run.attempt("bytes") - run.attempt("stop_copy_bytes");
        ours.push(bytes / run.phase("source", "precopy"));

        let spec = KvmSpec {
            working_set: SET,
            dirty_rate: DirtyRate::BytesPerSecond(RATE),
            ..KvmSpec::new(1 << 30, 2)
        };
        let vmm = Vmm::create(&spec, &Hooks::default()).map_err(io::Error::other)?;
        let mut raw = Raw::beside(vmm.memory().clone())?;
        // The same guest in the same state: its writes are logged, which slows guest and host.
        let (mut log, mut written) = (KvmDirtyBitmap::new(&vmm), Bitmap::new(vmm.memory().pages()));
        log.start()?;
        vmm.vcpus().iter().for_each(|vcpu| drop(vcpu.resume()));
        std::thread::sleep(Duration::from_secs(1));
        log.collect(&mut written)?;
        // The working set lies at the end of memory.
        bare.push(SET as f64 / raw.send(SET)?);
    }
    report.row(Row {
        what: "pre-copy, beside a guest that writes 512 MiB/s".into(),
        measured: rate(median(&ours)),
        against: format!("{} (writev beside the same guest, logged)", rate(median(&bare))),
        ratio: median(&ours) / median(&bare),
        target: Target::AtLeast(0.7),
    });
    report.detail("precopy", json!({ "bytes_per_second": ours, "raw_bytes_per_second": bare }));
    Ok(())
}

/// What a machine takes of memory, and its worst step of instructions: absolute promises, counted, not timed.
fn machine(_: bool, report: &mut Report) -> io::Result<()> {
    let mut bound = |what: String, measured: f64, most: f64, unit: &str| {
        report.row(Row {
            what,
            measured: format!("{measured} {unit}"),
            against: format!("{most} {unit}"),
            ratio: measured / most,
            target: Target::AtMost(1.0),
        });
    };
    for (name, size) in [("Source", size_of::<Source>()), ("Destination", size_of::<Destination>())] {
        bound(format!("size of {name}"), size as f64, 8192.0, "B");
    }
    let program = std::env::current_exe()?.with_file_name("step_cost");
    let scratch = std::env::temp_dir().join(format!("switchover-bench-steps-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let costs = measure(&program, &scratch);
    // Left behind it is litter, and nothing worse.
    let _ = std::fs::remove_dir_all(&scratch);
    match costs {
        Err(NoValgrind) => eprintln!("machine: the instructions of a step are not counted: no valgrind"),
        Ok(costs) => {
            for machine in ["source", "destination"] {
                let of = costs.iter().filter(|cost| cost.machine == machine);
                let worst = of.map(|cost| cost.instructions).max().unwrap_or(0);
                bound(format!("worst step of the {machine}"), worst as f64, 2000.0, "instructions");
            }
        }
    }
    Ok(())
}

/// How late an abort is decided, and a bare timer calls.
fn abort(quick: bool, report: &mut Report) -> io::Result<()> {
    let command = Switchover::find()?;
    let log = command.file("events");
    let path = log.to_str().ok_or_else(|| io::Error::other("the folder for temporary files is not UTF-8"))?;
    let (mut decided, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..if quick { 5 } else { 20 } {
        command.run(&format!("--memory 256MiB --attempts 1 --fault stall:save:2s --events {path}"))?;
        decided.extend(decided_late(&log)?);
        bare.extend(timer_late(Duration::from_millis(100), 3)?);
    }
    if decided.is_empty() {
        return Err(io::Error::other("no abort was decided by a deadline"));
    }
    for (part, name) in [(0.5, "median"), (0.99, "p99")] {
        report.row(Row {
            what: format!("abort decided late: {name} of {}", decided.len()),
            measured: us(percentile(&decided, part)),
            against: format!("{} (bare timerfd, same thread class)", us(percentile(&bare, part))),
            ratio: percentile(&decided, part) / percentile(&bare, part),
            target: Target::Told,
        });
    }
    report.detail("abort", json!({ "decided_late_s": decided, "timer_late_s": bare }));
    Ok(())
}
