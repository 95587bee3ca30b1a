//! What the VMM refuses, and how it says so; and that the guest itself notices what nobody else does.
#![cfg(target_arch = "x86_64")]

mod common;

use std::thread::sleep;
use std::time::Duration;

use common::{assert_clean, copy_all, load_and_resume, resume, spec, stop};
use switchover_shell::guest::kvm::{DirtyRate, Hooks, KvmSpec, StateError, VcpuError, Vmm};
use switchover_shell::guest::memory::PAGE;

const RATE: DirtyRate = DirtyRate::BytesPerSecond(100 << 20);

#[test]
fn impossible_guests_are_refused_with_the_remedy() {
    let refused = |change: fn(&mut KvmSpec)| {
        let mut spec = spec(32, 8, RATE, 1);
        change(&mut spec);
        Vmm::create(&spec, &Hooks::default()).unwrap_err().to_string()
    };
    assert!(
        refused(|spec| spec.working_set = 32 << 20)
            .contains("make the memory larger or the working set smaller")
    );
    assert!(refused(|spec| spec.vcpus = 0).contains("1 to 4"));
    assert!(refused(|spec| spec.vcpus = 5).contains("1 to 4"));
    assert!(refused(|spec| spec.memory += 1).contains("multiples"));
    assert!(refused(|spec| spec.memory = 256 << 30).contains("less memory"));
    assert!(refused(|spec| spec.memory = 1 << 50).contains("512 GiB"));
}

#[test]
fn garbage_is_no_state_and_leaves_the_vcpu_unable_to_run() {
    let spec = spec(32, 8, RATE, 2);
    let from = Vmm::create(&spec, &Hooks::default()).unwrap();
    let to = Vmm::create_empty(&spec, &Hooks::default()).unwrap();
    resume(&from);
    sleep(Duration::from_millis(5));
    let (states, _) = stop(&from);
    let good = &states[0];
    let vcpu = &to.vcpus()[0];
    let refusal = |bytes: Vec<u8>| match vcpu.load(bytes).wait().unwrap_err() {
        VcpuError::State { vcpu: 0, error } => error,
        other => panic!("{other}"),
    };
    assert!(matches!(refusal(Vec::new()), StateError::Length { .. }));
    assert!(matches!(refusal(good[..good.len() - 1].to_vec()), StateError::Length { .. }));
    assert!(matches!(refusal([good.as_slice(), &[0]].concat()), StateError::Length { .. }));
    assert_eq!(refusal(vec![0; 8192]), StateError::Magic);
    assert_eq!(refusal(states[1].clone()), StateError::OtherVcpu { found: 1 });
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        bytes
    };
    assert_eq!(refusal(with(4, 3)), StateError::Version { found: 2 });
    assert_eq!(refusal(with(11, 0x80)), StateError::Value("number of MSRs"));
    assert!(matches!(refusal(with(12, 1)), StateError::TscRate { .. }));
    // The last MSR: its number 16 bytes before the end, its value 8 bytes before. Unset, it is not missed.
    let mut other_msr = with(good.len() - 16, 0xff);
    let value = other_msr.len() - 8;
    other_msr[value..].fill(1);
    assert!(matches!(refusal(other_msr.clone()), StateError::UnknownMsr(_)));
    other_msr[value..].fill(0);
    vcpu.load(other_msr).wait().unwrap();
    // Bytes in any place: an answer, whatever it is, and no panic.
    for at in (0..good.len()).step_by(37) {
        if let Err(error) = vcpu.load(with(at, 0xff)).wait() {
            assert!(!error.to_string().is_empty());
        }
    }
    // CR4 with a reserved bit (header 56 bytes, regs 144, then segments and tables: 224; cr0, cr2, cr3, cr4).
    let cr4 = 56 + 144 + 224 + 24;
    let refused = vcpu.load(with(cr4 + 7, 0x80)).wait().unwrap_err();
    assert!(matches!(refused, VcpuError::Call { .. }), "{refused}");
    assert_eq!(vcpu.resume().wait().unwrap_err(), VcpuError::NotLoaded(0));
    assert!(!to.entered(), "nothing was executed");
    // And a good one still is one.
    copy_all(&from, &to);
    load_and_resume(&to, &states);
    assert_eq!(vcpu.load(good.clone()).wait().unwrap_err(), VcpuError::Running(0));
    sleep(Duration::from_millis(10));
    assert!(to.entered());
    assert_clean(&to);
}

#[test]
fn an_empty_vcpu_does_not_run() {
    let vmm = Vmm::create_empty(&spec(32, 8, RATE, 1), &Hooks::default()).unwrap();
    let vcpu = &vmm.vcpus()[0];
    assert_eq!(vcpu.resume().wait().unwrap_err(), VcpuError::NotLoaded(0));
    assert_eq!(vcpu.stop().wait().unwrap_err(), VcpuError::NotLoaded(0));
    assert!(!vcpu.entered() && !vcpu.report().running);
}

#[test]
fn a_guest_that_faults_is_dead_and_says_where() {
    let spec = spec(32, 8, RATE, 1);
    let vmm = Vmm::create(&spec, &Hooks::default()).unwrap();
    // The program is gone: the first instruction is undefined.
    vmm.memory().write_pages(0x20, &[0x0f; PAGE]).unwrap();
    resume(&vmm);
    let vcpu = &vmm.vcpus()[0];
    for _ in 0..1000 {
        if vcpu.died().is_some() {
            break;
        }
        sleep(Duration::from_millis(1));
    }
    println!("{}", vcpu.died().expect("it dies"));
    for error in [vcpu.resume().wait().unwrap_err(), vcpu.stop().wait().unwrap_err()] {
        assert!(matches!(error, VcpuError::Died { vcpu: 0, .. }), "{error}");
    }
}

/// The negative control of every "the self-check is clean": one dirty page withheld, one page of another generation,
/// one counter changed; each is noticed by the guest itself.
#[test]
fn the_guest_notices_what_is_done_to_its_memory() {
    let spec = spec(32, 8, DirtyRate::BytesPerSecond(400 << 20), 2);
    let from = Vmm::create(&spec, &Hooks::default()).unwrap();
    resume(&from);
    // Every page of the working set has been written by then.
    sleep(Duration::from_millis(100));
    let (states, _) = stop(&from);
    let pages = from.memory().pages();
    let half = pages - 1024;
    for (what, page) in [("withheld", half + 5), ("stale", half + 6), ("counter", 9)] {
        let to = Vmm::create_empty(&spec, &Hooks::default()).unwrap();
        copy_all(&from, &to);
        match what {
            "withheld" => to.memory().write_pages(page, &[0; PAGE]).unwrap(),
            "stale" => {
                let mut other = [0; PAGE];
                from.memory().copy_pages_to(page - 1, &mut other).unwrap();
                to.memory().write_pages(page, &other).unwrap();
            }
            _ => {
                let count = to.memory().load_u64(page * 4096).unwrap();
                assert!(to.memory().store_u64(page * 4096, count - 1));
            }
        }
        load_and_resume(&to, &states);
        sleep(Duration::from_millis(100));
        let failures: Vec<_> = to.vcpus().iter().filter_map(|vcpu| vcpu.report().first_failure).collect();
        println!("{what}: {failures:x?}");
        assert!(failures.iter().any(|failure| failure.page == page), "{what} went unnoticed: {failures:?}");
    }
}

#[test]
fn what_a_destination_lacks_is_named() {
    let spec = spec(32, 8, RATE, 2);
    let source = Vmm::describe(&spec).unwrap();
    source.covers(&source).unwrap();
    let mut buffer = vec![0; switchover_shell::guest::kvm::DESCRIPTOR_MAX];
    let bytes = postcard::to_slice(&source, &mut buffer).unwrap();
    println!("descriptor: {} entries, {} bytes", source.cpuid.len(), bytes.len());
    let mut poorer = source.clone();
    let leaf = poorer.cpuid.iter_mut().find(|entry| entry.function == 1).unwrap();
    leaf.registers[3] &= !(1 << 26);
    let refusal = poorer.covers(&source).unwrap_err().to_string();
    assert!(refusal.contains("CPUID leaf 0x1 edx: sse2"), "{refusal}");
    // The same host with another guest memory.
    let other = Vmm::describe(&KvmSpec { memory: 64 << 20, ..spec }).unwrap();
    assert!(other.covers(&source).unwrap_err().to_string().starts_with("memory layout"));
}
