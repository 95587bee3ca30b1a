//! Links the program by itself: no startup files, no libc, nothing that is not referenced.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in
        ["-nostdlib", "-nostartfiles", "-static", "-no-pie", "-Wl,--gc-sections", "-Wl,--build-id=none"]
    {
        println!("cargo::rustc-link-arg={argument}");
    }
}
