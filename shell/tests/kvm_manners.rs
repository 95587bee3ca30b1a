//! How the real guest behaves towards its surroundings: heartbeats, an idle CPU, no burst after a blackout, much memory,
//! time that does not go back on another host.
#![cfg(target_arch = "x86_64")]

mod common;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{assert_clean, copy_all, load_and_resume, resume, spec, stop};
use switchover_shell::dirty::{Bitmap, DirtySource, KvmDirtyBitmap};
use switchover_shell::guest::kvm::{DirtyRate, Heartbeats, Hooks, Vmm};
use switchover_shell::words::Side;

const IDLE: DirtyRate = DirtyRate::BytesPerSecond(0);

#[test]
fn every_beat_is_told_in_order_by_the_side_that_runs() {
    let witness = UdpSocket::bind("127.0.0.1:0").unwrap();
    witness.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let hooks = |runner| Hooks {
        heartbeats: Some(Heartbeats { to: witness.local_addr().unwrap(), guest: "g1".into(), runner }),
        ..Hooks::default()
    };
    let spec = spec(32, 8, IDLE, 2);
    let from = Vmm::create(&spec, &hooks(Side::Source)).unwrap();
    let to = Vmm::create_empty(&spec, &hooks(Side::Destination)).unwrap();
    resume(&from);
    sleep(Duration::from_millis(20));
    let (states, _) = stop(&from);
    copy_all(&from, &to);
    load_and_resume(&to, &states);
    sleep(Duration::from_millis(20));
    stop(&to);
    let told: Vec<u64> = to.vcpus().iter().map(|vcpu| vcpu.report().count).collect();
    let (mut last, mut moved) = ([0u64; 2], false);
    let mut buffer = [0u8; 256];
    while let Ok(len) = witness.recv(&mut buffer) {
        let beat: serde_json::Value = serde_json::from_slice(&buffer[..len]).unwrap();
        assert_eq!(beat["guest"], "g1");
        let vcpu = beat["vcpu"].as_u64().unwrap() as usize;
        assert_eq!(
            beat["count"].as_u64().unwrap(),
            last[vcpu] + 1,
            "one by one: loopback loses nothing here"
        );
        last[vcpu] += 1;
        match beat["runner"].as_str().unwrap() {
            "source" => assert!(!moved, "the source beat after the destination"),
            "destination" => moved = true,
            other => panic!("{other}"),
        }
    }
    assert!(moved && last[0] > 20 && last[1] > 20, "{last:?}");
    assert_eq!(last.to_vec(), told);
}

#[test]
fn the_surroundings_are_notified_of_each_answer() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let notify: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let vmm =
        Vmm::create(&spec(32, 8, IDLE, 1), &Hooks { notify: Some(notify), ..Hooks::default() }).unwrap();
    resume(&vmm);
    // The notification follows the answer.
    let at_least = |wanted| {
        let from = Instant::now();
        while calls.load(Ordering::SeqCst) < wanted {
            assert!(from.elapsed() < Duration::from_secs(5));
            std::thread::yield_now();
        }
    };
    at_least(1);
    let answer = vmm.stop().remove(0);
    at_least(2);
    assert!(answer.poll().is_some(), "notified of an answer that is there");
    assert!(answer.poll().is_none(), "and it is given once");
}

/// The CPU time of this process.
fn cpu_time() -> Duration {
    let nanoseconds: u64 = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanoseconds)
}

#[test]
fn an_idle_guest_leaves_the_cpu_alone_and_dirties_next_to_nothing() {
    let vmm = Vmm::create(&spec(64, 32, IDLE, 2), &Hooks::default()).unwrap();
    let mut log = KvmDirtyBitmap::new(&vmm);
    let mut dirty = Bitmap::new(vmm.memory().pages());
    log.start().unwrap();
    log.collect(&mut dirty).unwrap();
    dirty.clear_all();
    resume(&vmm);
    sleep(Duration::from_millis(50));
    let before = cpu_time();
    sleep(Duration::from_millis(500));
    let used = cpu_time() - before;
    log.collect(&mut dirty).unwrap();
    println!("an idle guest of 2 vCPUs used {used:?} of 500 ms, and dirtied {} pages", dirty.count());
    // Blocks and stacks, some pages of each vCPU.
    assert!(dirty.count() <= 16, "{}", dirty.count());
    // Two beats a millisecond at some 50 us each, twice that on a slow host; a spinning guest would use 1000 ms.
    assert!(used < Duration::from_millis(250), "{used:?}");
    assert_clean(&vmm);
}

#[test]
fn after_a_blackout_it_does_not_burst() {
    let rate = 200u64 << 20;
    let vmm = Vmm::create(&spec(64, 32, DirtyRate::BytesPerSecond(rate), 2), &Hooks::default()).unwrap();
    resume(&vmm);
    sleep(Duration::from_millis(100));
    stop(&vmm);
    sleep(Duration::from_millis(300));
    let sum = || {
        vmm.vcpus()
            .iter()
            .map(|vcpu| vcpu.report())
            .fold((0, 0), |(pages, beats), report| (pages + report.pages_written, beats + report.beats_here))
    };
    let before = sum();
    let from = Instant::now();
    resume(&vmm);
    sleep(Duration::from_millis(100));
    let took = from.elapsed().as_secs_f64();
    let after = sum();
    let usual = rate as f64 / 4096.0 * took;
    let pages = (after.0 - before.0) as f64;
    let beats = (after.1 - before.1) as f64;
    println!("after a blackout of 300 ms: {pages} pages in {took:.3} s, usual {usual:.0}; {beats} beats");
    // What may be made up is 20 ms of dirtying and 2 beats; the blackout itself would have been 300 ms of both.
    assert!(pages < usual + rate as f64 / 4096.0 * 0.03, "{pages} of {usual}");
    assert!(beats < 2.0 * 1250.0 * took + 20.0, "{beats}");
    assert_clean(&vmm);
}

#[test]
fn a_guest_of_many_gib_reaches_all_of_its_memory() {
    // More than half of this host's memory, next to none of it touched; the working set lies at the end.
    let gib = switchover_shell::guest::memory::host_memory().unwrap_or(4 << 30) >> 30;
    let gib = (gib * 3 / 4).clamp(2, 40);
    let vmm = Vmm::create(&spec(gib << 10, 16, DirtyRate::Max, 4), &Hooks::default()).unwrap();
    let mut log = KvmDirtyBitmap::new(&vmm);
    log.start().unwrap();
    let mut dirty = Bitmap::new(vmm.memory().pages());
    let from = Instant::now();
    log.collect(&mut dirty).unwrap();
    println!("first collect of {gib} GiB: {:?}", from.elapsed());
    assert_eq!(dirty.count(), vmm.memory().pages(), "nothing was known before");
    dirty.clear_all();
    resume(&vmm);
    sleep(Duration::from_millis(300));
    stop(&vmm);
    let from = Instant::now();
    log.collect_stopped(&mut dirty).unwrap();
    println!("last collect of {gib} GiB: {:?}, {} pages", from.elapsed(), dirty.count());
    assert!((4096..4160).contains(&dirty.count()), "{}", dirty.count());
    assert!(dirty.get(vmm.memory().pages() - 1));
    assert_clean(&vmm);
    assert!(vmm.vcpus().iter().all(|vcpu| vcpu.report().count > 50));
}

#[test]
fn on_another_host_time_does_not_go_back() {
    let spec = spec(32, 8, IDLE, 2);
    let from = Vmm::create(&spec, &Hooks::default()).unwrap();
    let to = Vmm::create_empty(&spec, &Hooks::default()).unwrap();
    resume(&from);
    sleep(Duration::from_millis(10));
    let (mut states, _) = stop(&from);
    for state in &mut states {
        // The boot id in the header: these states were not saved here.
        state[16..32].fill(0xaa);
    }
    copy_all(&from, &to);
    load_and_resume(&to, &states);
    sleep(Duration::from_millis(20));
    assert_clean(&to);
}
