//! The output of a run: the figures, the page, and a description of the measured machine.

pub mod chart;
pub mod figures;
pub mod html;
pub mod machine;
pub mod page;
pub mod ticks;
