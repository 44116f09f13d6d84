//! What certbot runs after a renewal (`renewal-hooks/deploy`): whoever holds the old certificate in memory reads the new one.
//!
//! Enters: which program is to be told. Leaves: a file, and the shell that puts it in place. Refuses to know the certificate:
//! a reload is right after any renewal, and harmless.

use super::ServerCertificate;
use crate::script;

/// An executable file for certbot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Where it goes.
    pub path: String,
    /// A `sh` script; mode 0755.
    pub text: String,
}

/// The hook that reloads Postfix.
pub(super) fn postfix(certificate: &ServerCertificate, config_directory: &str) -> Option<Hook> {
    Some(Hook {
        path: path(certificate, "relayca-postfix")?,
        text: format!(
            "\
#!/bin/sh
# relayca: certbot runs this after a renewal. Processes of Postfix that run keep the old certificate until they are told.
PATH=$PATH:/usr/sbin:/usr/local/sbin; export PATH
if postfix -c {config_directory} status > /dev/null 2>&1; then exec postfix -c {config_directory} reload; fi
"
        ),
    })
}

/// The hook that reloads Dovecot.
pub(super) fn dovecot(certificate: &ServerCertificate, dovecot_directory: &str) -> Option<Hook> {
    Some(Hook {
        path: path(certificate, "relayca-dovecot")?,
        text: format!(
            "\
#!/bin/sh
# relayca: certbot runs this after a renewal. Dovecot reads certificates when it starts and when it is told.
PATH=$PATH:/usr/sbin:/usr/local/bin:/usr/local/sbin; export PATH
conf={dovecot_directory}/dovecot.conf
if doveadm -c \"$conf\" service status > /dev/null 2>&1; then exec doveadm -c \"$conf\" reload; fi
"
        ),
    })
}

fn path(certificate: &ServerCertificate, name: &str) -> Option<String> {
    match certificate {
        ServerCertificate::LetsEncrypt { directory, .. } => {
            Some(format!("{directory}/renewal-hooks/deploy/{name}"))
        }
        ServerCertificate::Authority { .. } => None,
    }
}

/// Writes the hook, unless it is there. `$work` and `restore` are those of the script around.
pub(super) fn install(hook: &Hook) -> String {
    format!(
        "
# What certbot runs after each renewal.
{}\
chmod 755 \"$work/hook\"
if [ -x \"$hook\" ] && cmp -s \"$work/hook\" \"$hook\"; then :; else
  mkdir -p \"${{hook%/*}}\"
  if [ -f \"$hook\" ]; then cp -p \"$hook\" \"$work/hook.old\"; fi
  changed=yes
  hooked=yes
  mv \"$work/hook\" \"$hook\"
fi
",
        script::here(&hook.text, "\"$work/hook\"")
    )
}
