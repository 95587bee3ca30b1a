//! Log lines: `defmt` behind a feature, nothing otherwise.

#![allow(unused_macros, unused_imports)] // Which of them is used depends on features.

macro_rules! warning {
    ($($arg:tt)*) => {{
        #[cfg(feature = "defmt")]
        defmt::warn!($($arg)*);
    }};
}

macro_rules! debug {
    ($($arg:tt)*) => {{
        #[cfg(feature = "defmt")]
        defmt::debug!($($arg)*);
    }};
}

pub(crate) use debug;
pub(crate) use warning;
