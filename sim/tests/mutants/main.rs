//! x
mod worlds;
use switchover_core::mutant::Mutant;
use switchover_sim::world::World;

#[test]
fn discover() {
    let seeds: u64 = std::env::var("SEEDS").ok().map_or(500, |s| s.parse().unwrap());
    let worlds: Vec<String> = std::env::var("WORLDS").unwrap_or("chaos chaos-dies chaos-arbiter chaos-datagrams edge edge-arbiter".into()).split(' ').map(String::from).collect();
    let mut ignore = std::collections::BTreeSet::new();
    let only = std::env::var("ONLY").ok();
    for m in std::iter::once(None).chain(Mutant::ALL.iter().copied().map(Some)) {
        if only.as_deref().is_some_and(|o| !o.split(' ').any(|o| m.is_none() || o == m.map_or("none", |m| m.name()))) { continue }
        let mut found = vec![];
        for w in &worlds {
            let mut s = worlds::world(w);
            s.mutant = m;
            let mut world = World::new(&s);
            let t = std::time::Instant::now();
            let mut outcomes = std::collections::BTreeMap::new();
            let mut hit = None; let mut least = u64::MAX;
            for seed in 0..seeds {
                match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run(seed))) {
                    Ok(run) => {
                        if m.is_none() { if let Some(k) = run.slack { least = least.min(k.get()) } }
                        if let Some(v) = run.violations.first() { if m.is_none() { *outcomes.entry(format!("{:?} e.g. #", v.what)).or_insert(0) += 1; if outcomes[&format!("{:?} e.g. #", v.what)] == 1 { println!("   {w} #{seed} {v}") } ignore.insert((w.clone(), v.what)); continue } if ignore.contains(&(w.clone(), v.what)) { continue } hit = Some(format!("{w} #{seed} {v} ({} steps)", run.steps)); break }
                        *outcomes.entry(format!("{:?}/{:?}", run.outcome, run.runs_on)).or_insert(0) += 1;
                    }
                    Err(_) => { hit = Some(format!("{w} #{seed} PANIC")); break }
                }
            }
            if let Some(h) = hit { found.push(h) } else if m.is_none() { println!("  {w}: {outcomes:?} {:?} least slack {} us", t.elapsed(), least / 1000) }
        }
        println!("{:4} {:24} {}", m.map_or("", |m| m.trap()), m.map_or("none", |m| m.name()), found.join(" | "));
    }
}
#[test]
fn trace() {
    let Ok(w) = std::env::var("TRACE") else { return };
    let mut it = w.split('#');
    let mut s = worlds::world(it.next().unwrap());
    let seed = it.next().unwrap().parse().unwrap();
    s.mutant = std::env::var("ONLY").ok().and_then(|o| Mutant::ALL.iter().copied().find(|m| m.name() == o));
    let (run, trace) = World::new(&s).run_traced(seed);
    println!("{}\n{:?}", trace, run);
}
