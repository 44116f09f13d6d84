//! `cargo xtask bench`: under construction.

/// Runs the command.
pub fn run(_arguments: &[String]) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
