//! The `switchover` command.
fn main() {}
