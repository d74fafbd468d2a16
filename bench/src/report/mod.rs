//! What a run prints and writes: the figures, the page, and what machine they are of.

pub mod chart;
pub mod figures;
pub mod html;
pub mod machine;
pub mod page;
pub mod ticks;
