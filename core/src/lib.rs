//! The machines that switch a running guest over within a hard limit.
#![no_std]
#![forbid(unsafe_code)]
