//! The processes of a measurement (engines, functions, floors, other servers), the cores that they
//! run on, and the resources that they use.

pub mod background;
pub mod channel;
pub mod compile;
pub mod cpu;
pub mod engine;
pub mod floors;
pub mod functions;
pub mod interrupt;
pub mod memory;
pub mod nginx;
pub mod peers;
pub mod prepared;
pub mod processes;
pub mod settings;
