//! The real guest under real KVM: it runs, beats, dirties at its rate, and moves between two VMMs without noticing.
#![cfg(target_arch = "x86_64")]

mod common;

use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{
    assert_clean, assert_same_memory, copy_all, copy_runs, load_and_resume, print_times, resume, spec, stop,
};
use switchover_shell::dirty::{Bitmap, DirtySource, KvmDirtyBitmap};
use switchover_shell::guest::kvm::{DirtyRate, Hooks, Vmm};

#[test]
fn each_vcpu_beats_a_thousand_times_a_second_and_dirties_at_its_rate() {
    let rate = 200u64 << 20;
    let vmm = Vmm::create(&spec(256, 64, DirtyRate::BytesPerSecond(rate), 2), &Hooks::default()).unwrap();
    assert!(!vmm.entered());
    resume(&vmm);
    sleep(Duration::from_millis(200));
    // Others may take the CPU, and then no guest can beat: the best of some seconds is what the guest can do.
    let best = (0..5).map(|_| measure(&vmm)).find(|(beats, _)| *beats >= 1000.0);
    let (beats, dirtied) = best.expect("a second of a thousand beats on each vCPU");
    println!("{beats:.0} beats/s, dirtied {:.1} MiB/s of {} MiB/s", dirtied / f64::from(1 << 20), rate >> 20);
    assert!((0.9..1.1).contains(&(dirtied / rate as f64)), "{dirtied}");
    assert!(vmm.entered());
    assert_clean(&vmm);
}

/// Over half a second: beats a second of the slowest vCPU, and bytes dirtied a second by all.
fn measure(vmm: &Vmm) -> (f64, f64) {
    let before: Vec<_> = vmm.vcpus().iter().map(|vcpu| vcpu.report()).collect();
    let from = Instant::now();
    sleep(Duration::from_millis(500));
    let after: Vec<_> = vmm.vcpus().iter().map(|vcpu| vcpu.report()).collect();
    let took = from.elapsed().as_secs_f64();
    let pages: u64 = before.iter().zip(&after).map(|(b, a)| a.pages_written - b.pages_written).sum();
    let beats = before.iter().zip(&after).map(|(b, a)| a.count - b.count).min().unwrap_or(0);
    (beats as f64 / took, pages as f64 * 4096.0 / took)
}

#[test]
fn it_moves_back_and_forth_and_goes_on_exactly() {
    let spec = spec(32, 8, DirtyRate::BytesPerSecond(100 << 20), 2);
    let vmms = [
        Vmm::create(&spec, &Hooks::default()).unwrap(),
        Vmm::create_empty(&spec, &Hooks::default()).unwrap(),
    ];
    vmms[1].descriptor().covers(vmms[0].descriptor()).unwrap();
    vmms[1].memory().populate(2).unwrap();
    resume(&vmms[0]);
    let (mut kicks, mut stops, mut loads) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts = vec![0; 2];
    for round in 0..100 {
        let (from, to) = (&vmms[round % 2], &vmms[(round + 1) % 2]);
        sleep(Duration::from_millis(3 + round as u64 % 4));
        let asked = Instant::now();
        let stopped: Vec<_> = from.stop().into_iter().map(|answer| answer.wait().unwrap()).collect();
        kicks.extend(stopped.iter().map(|vcpu| vcpu.at - asked));
        stops.push(stopped.iter().map(|vcpu| vcpu.saved_at - asked).max().unwrap());
        let states: Vec<_> = stopped.iter().map(|vcpu| vcpu.state.to_vec()).collect();
        assert!(states.iter().all(|state| state.len() <= switchover_shell::guest::kvm::STATE_MAX));
        let at_stop: Vec<u64> = from.vcpus().iter().map(|vcpu| vcpu.report().count).collect();
        copy_all(from, to);
        loads.push(load_and_resume(to, &states));
        // The side that was left does not go on.
        for (vcpu, count) in from.vcpus().iter().zip(&at_stop) {
            assert_eq!(vcpu.report().count, *count);
            assert!(!vcpu.report().running);
        }
        for (count, now) in counts.iter_mut().zip(at_stop) {
            assert!(now >= *count, "the count went from {count} to {now}");
            *count = now;
        }
        assert_clean(from);
    }
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    assert_clean(&vmms[0]);
    assert_clean(&vmms[1]);
    println!("state: {} bytes", stop(&vmms[0]).0[0].len());
    print_times("kick", kicks);
    print_times("stop and save of 2 vCPUs", stops);
    print_times("load and resume of 2 vCPUs", loads);
}

/// Moves a guest by rounds of dirty pages alone, several times, and compares all of memory at the end of each.
#[test]
fn the_dirty_log_misses_no_page() {
    for (rate, vcpus) in [(DirtyRate::BytesPerSecond(200 << 20), 2), (DirtyRate::Max, 1), (DirtyRate::Max, 2)]
    {
        let spec = spec(64, 24, rate, vcpus);
        let mut from = Vmm::create(&spec, &Hooks::default()).unwrap();
        resume(&from);
        for _ in 0..6 {
            let to = Vmm::create_empty(&spec, &Hooks::default()).unwrap();
            let mut log = KvmDirtyBitmap::new(&from);
            let mut dirty = Bitmap::full(from.memory().pages());
            log.start().unwrap();
            let mut rounds = Vec::new();
            for _ in 0..5 {
                log.collect(&mut dirty).unwrap();
                rounds.push(dirty.count());
                copy_runs(&from, &to, &mut dirty);
            }
            let (states, _) = stop(&from);
            let began = Instant::now();
            log.collect_stopped(&mut dirty).unwrap();
            let took = began.elapsed();
            rounds.push(dirty.count());
            copy_runs(&from, &to, &mut dirty);
            println!("{rate:?} {vcpus} vCPUs: rounds of {rounds:?} pages, last fetch {took:?}");
            assert_same_memory(&from, &to);
            load_and_resume(&to, &states);
            sleep(Duration::from_millis(20));
            assert_clean(&to);
            drop(log);
            from = to;
        }
    }
}

/// Fetched while stopped, then run on, as after an abort: nothing is lost.
#[test]
fn after_an_abort_the_log_goes_on() {
    let spec = spec(32, 8, DirtyRate::Max, 2);
    let from = Vmm::create(&spec, &Hooks::default()).unwrap();
    let to = Vmm::create_empty(&spec, &Hooks::default()).unwrap();
    let mut log = KvmDirtyBitmap::new(&from);
    let mut dirty = Bitmap::full(from.memory().pages());
    log.start().unwrap();
    resume(&from);
    for _ in 0..5 {
        log.collect(&mut dirty).unwrap();
        copy_runs(&from, &to, &mut dirty);
        sleep(Duration::from_millis(5));
        stop(&from);
        log.collect_stopped(&mut dirty).unwrap();
        let run = dirty.take_run(0, 10);
        if let Some(run) = run {
            let mut one = Bitmap::new(dirty.pages());
            one.set_run(run);
            copy_runs(&from, &to, &mut one);
        }
        // Aborted in the middle: what was fetched and not sent is still in `dirty`.
        resume(&from);
    }
    let (states, _) = stop(&from);
    log.collect_stopped(&mut dirty).unwrap();
    copy_runs(&from, &to, &mut dirty);
    assert_same_memory(&from, &to);
    load_and_resume(&to, &states);
    sleep(Duration::from_millis(20));
    assert_clean(&to);
}
