//! The parts of `xtask` that tests use too: the Postfix lab.

pub mod lab;
