//! The parts of `xtask` that tests use too: the Postfix lab, and the main job played through in it.

pub mod lab;
pub mod main_job;
pub mod pasting;
