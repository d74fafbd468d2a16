//! Makes calls and times them: by clients over HTTP, and by functions themselves.

pub mod http;
pub mod load;
pub mod load_rounds;
pub mod pairs;
pub mod segments;
pub mod self_timed;
