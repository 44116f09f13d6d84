//! A systemd service and timer that look each day.
//!
//! In: the program, the authority's directory and its owner. Out: the units as text, with how to put them in place. Paths that
//! systemd would read as anything but themselves are refused. It refuses to know whether there is a systemd.

use std::path::Path;

use crate::failure::Failure;

/// What the units are for.
#[derive(Debug)]
pub struct Job<'a> {
    /// relayca, absolute.
    pub program: &'a Path,
    /// The authority's directory, absolute.
    pub directory: &'a Path,
    /// The domain.
    pub domain: &'a str,
    /// The user id of the directory's owner.
    pub owner: u32,
    /// `--within` and `--critical`, where they are not the defaults.
    pub options: &'a [String],
}

/// The units, as a block for a root shell.
pub fn text(job: &Job<'_>) -> Result<String, Failure> {
    let program = word(job.program)?;
    let directory = word(job.directory)?;
    let (domain, owner) = (job.domain, job.owner);
    let unit = format!("relayca-check-{domain}");
    let options: String = job
        .options
        .iter()
        .map(|option| format!(" {option}"))
        .collect();
    Ok(format!(
        "\
# As root: paste this. Then `systemctl start {unit}` looks at once, `journalctl -u {unit}` has what it found.
# A warning (exit code 3) or worse (4) fails the service: `systemctl --failed` lists it. To be told, add
# OnFailure= with a unit that sends a message by another way than this relay.

cat > /etc/systemd/system/{unit}.service <<'END_OF_UNIT'
[Unit]
Description=Look at the mail relay certificates of {domain}

[Service]
Type=oneshot
ExecStart={program} --dir {directory} check{options}
User={owner}
ReadOnlyPaths={directory}
ProtectSystem=strict
ProtectHome=read-only
PrivateDevices=yes
PrivateNetwork=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
CapabilityBoundingSet=
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=none
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
END_OF_UNIT

cat > /etc/systemd/system/{unit}.timer <<'END_OF_UNIT'
[Unit]
Description=Look at the mail relay certificates of {domain} each day

[Timer]
OnCalendar=daily
RandomizedDelaySec=2h
Persistent=true

[Install]
WantedBy=timers.target
END_OF_UNIT

systemctl daemon-reload && systemctl enable --now {unit}.timer
"
    ))
}

/// A path as a word of a unit file, in double quotes. Within them systemd reads `\\` and `\"` (systemd.syntax(7)), `%` everywhere
/// (systemd.unit(5)), and in ExecStart= `$` (systemd.service(5)).
fn word(path: &Path) -> Result<String, Failure> {
    let odd = |letter: char| letter.is_control() || "%$\\\"'".contains(letter);
    match path.to_str() {
        Some(text) if path.is_absolute() && !text.chars().any(odd) => Ok(format!("\"{text}\"")),
        _ => Err(Failure::usage(format!(
            "`{}` has a character that systemd would not take as it is",
            crate::printer::one_line(&path.to_string_lossy())
        ))
        .hint("give it a path without %, $, quotes and backslashes; a symbolic link may do")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_would_expand_is_refused() {
        assert_eq!(word(Path::new("/a b/c")).unwrap(), "\"/a b/c\"");
        for bad in [
            "/a%h", "/a$HOME", "/a\\x20", "/a\"b", "/it's", "/a\nb", "relative",
        ] {
            assert!(word(Path::new(bad)).is_err(), "{bad}");
        }
    }
}
