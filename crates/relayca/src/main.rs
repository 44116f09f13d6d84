//! The program `relayca`: all of it is in the library, where fuzzing can reach what reads from outside.

use std::process::ExitCode;

fn main() -> ExitCode {
    relayca::main()
}
