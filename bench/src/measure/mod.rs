//! The measurements, one per file. [`parts`] runs them in order.

pub mod app;
pub mod app_bars;
pub mod beside;
pub mod cancel;
pub mod check;
pub mod crowd;
pub mod external;
pub mod fresh;
pub mod internal;
pub mod languages;
pub mod overload;
pub mod parts;
pub mod steady;
