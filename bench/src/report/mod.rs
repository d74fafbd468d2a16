//! The output of a run: the figures, the page, and the machine that the figures are of.

pub mod chart;
pub mod figures;
pub mod html;
pub mod machine;
pub mod page;
pub mod ticks;
