//! What every program needs and std would have brought: an entry point, an exit, memory functions, a panic handler.

use core::arch::{asm, global_asm};

// The kernel enters with the stack pointer on `argc`; a call needs it aligned.
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry,
);

extern "C" fn entry() -> ! {
    exit(crate::main())
}

fn exit(code: i32) -> ! {
    const EXIT_GROUP: u64 = 231;
    // SAFETY: exit_group takes one integer, touches no memory of ours and does not return.
    unsafe { asm!("syscall", in("rax") EXIT_GROUP, in("rdi") i64::from(code), options(noreturn, nostack)) }
}

/// Nothing may lead here: the test fails if this symbol is in the image. Kept apart from the handler, so that no
/// inlining can make a panic disappear into its caller.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn a_panic_is_reachable() -> ! {
    exit(101)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    a_panic_is_reachable()
}

/// # Safety
/// As C's: both are valid for `length` bytes and do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: the caller's promise; an instruction, so that no optimiser turns it into a call of itself.
    unsafe {
        asm!("rep movsb", inout("rcx") length => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// # Safety
/// As C's: both are valid for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= length {
        // SAFETY: the caller's promise, and `to` does not lie within what is yet to be read.
        return unsafe { memcpy(to, from, length) };
    }
    // SAFETY: the caller's promise; from the end downwards, so that nothing is overwritten before it is read.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") length => _,
            inout("rdi") to.wrapping_add(length).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(length).wrapping_sub(1) => _, options(nostack));
    }
    to
}

/// # Safety
/// As C's: `to` is valid for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep stosb", inout("rcx") length => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    to
}

/// # Safety
/// As C's: both are valid for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    for at in 0..length {
        // SAFETY: the caller's promise. Volatile, so that no optimiser turns the loop into a call of this function.
        let (a, b) = unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// # Safety
/// As C's: both are valid for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(left, right, length) }
}
