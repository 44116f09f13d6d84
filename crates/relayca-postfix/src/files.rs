//! Certificates that are replaced on a host: the script that puts them beside its key.
//!
//! Enters: the PEM text of the CA certificates, and of the host's own where that is new. Leaves: a script for a root shell.
//! Refuses to know how certificates are made, and any key: the key stays where it is.

use std::fmt::Write as _;

use crate::script::{NOT_RUNNING, head, here};
use crate::{SnippetError, authority_file, certificate_file, key_file, validate};

/// Public files of a host that are new.
#[derive(Debug, Clone, Copy)]
pub struct NewFiles<'a> {
    /// The mail domain.
    pub domain: &'a str,
    /// The host that the script is for.
    pub host: &'a str,
    /// Postfix's configuration directory there.
    pub config_directory: &'a str,
    /// The CA certificates that it is to trust, PEM, the newest first.
    pub trust: &'a str,
    /// Its own certificate, PEM, where that is new.
    pub certificate: Option<&'a str>,
}

/// The script that writes `CONFIG/relayca/DOMAIN-ca.crt.pem`, and `CONFIG/relayca/HOST.crt.pem` where it is new, and reloads
/// Postfix. A certificate that does not belong to the key that lies there is refused, where openssl is at hand to tell.
///
/// # Errors
/// [`SnippetError`] where a name or the directory is not plain, or the text is not PEM certificates.
pub fn files_script(files: &NewFiles<'_>) -> Result<String, SnippetError> {
    let title = format!("new certificates for {}", validate::host(files.host)?);
    let head = head(&title, validate::directory(files.config_directory)?);
    files_script_between(files, &head, &format!("{RELOAD}{NOT_RUNNING}"))
}

/// Likewise for a host with another mail server: `head` says what must be so there, defines `say` and `stop`, and sets `files`
/// to the directory; `end` has the new files used, and says `changed=no` where all went well.
///
/// # Errors
/// Like [`files_script`].
pub fn files_script_between(
    files: &NewFiles<'_>,
    head: &str,
    end: &str,
) -> Result<String, SnippetError> {
    let domain = validate::domain(files.domain)?;
    let host = validate::host(files.host)?;
    validate::directory(files.config_directory)?;
    let mut written = vec![(authority_file(domain), certificates(files.trust)?)];
    if let Some(certificate) = files.certificate {
        written.push((certificate_file(host), certificates(certificate)?));
    }
    let key = files.certificate.map(|_| key_file(host));
    let mut text = head.to_owned();
    let trust = authority_file(domain);
    let refusal = if files.trust.matches("BEGIN").count() > 1 {
        brings_back_no_authority(&trust)
    } else {
        String::new()
    };
    text.push_str(&write_files(host, &written, key.as_deref(), &refusal));
    text.push_str(end);
    Ok(text)
}

const RELOAD: &str = "\
if postfix status > /dev/null 2>&1; then
  postfix reload
";

/// PEM certificates and nothing else.
fn certificates(text: &str) -> Result<&str, SnippetError> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    // Lines of the block that is open.
    let mut inside = None;
    let mut any = false;
    // Not by `lines`, which takes a carriage return away that the shell would see.
    for (index, line) in text.split_terminator('\n').enumerate() {
        let fits = match (line, inside) {
            (BEGIN, None) => {
                inside = Some(0_usize);
                true
            }
            (END, Some(1..)) => {
                inside = None;
                true
            }
            (_, Some(lines)) => {
                inside = Some(lines + 1);
                !line.is_empty() && line.len() <= 64 && line.bytes().all(base64)
            }
            _ => false,
        };
        if !fits {
            return Err(SnippetError::NoCertificate { line: index + 1 });
        }
        any = true;
    }
    if inside.is_some() || !any || !text.ends_with('\n') {
        return Err(SnippetError::NoCertificate {
            line: text.lines().count(),
        });
    }
    Ok(text)
}

/// Stops where the newest CA of the block is trusted and another of it is not: they came together, so that one was retired since.
/// Texts are compared, as there may be no openssl.
fn brings_back_no_authority(trust: &str) -> String {
    format!(
        "
# An old block, of before a CA was retired, would have it trusted again.
each_ca() {{
  awk '/^-----BEGIN CERTIFICATE-----/ {{ text = \"\"; next }}
    /^-----END CERTIFICATE-----/ {{ if (text != \"\") print text; text = \"\"; next }}
    {{ gsub(/[^A-Za-z0-9+\\/=]/, \"\"); text = text $0 }}' \"$1\"
}}
if [ -e \"$files/{trust}\" ]; then
  known=$(each_ca \"$files/{trust}\") || stop \"$files/{trust} cannot be read; nothing was changed\"
  given=$(each_ca \"$work/{trust}\") || stop 'the new CA certificates cannot be read; nothing was changed'
  newest=$(echo \"$given\" | sed 1q) || stop 'the new CA certificates cannot be read; nothing was changed'
  case $known in
  (*\"$newest\"*)
    for ca in $given; do
      case $known in
      (*\"$ca\"*) ;;
      (*) stop \"a CA in this block is not trusted here any more: it is an old block, of before that CA was retired; nothing was changed. \\`relayca bundle\\` makes the files of today. If the authority was restored from a backup, move $files/{trust} away first\" ;;
      esac
    done
  ;;
  esac
fi
"
    )
}

/// Writes public files into the subdirectory: all of them, or the old ones stay. `key` is the file that the last one must
/// belong to.
fn write_files(host: &str, files: &[(String, &str)], key: Option<&str>, refusal: &str) -> String {
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(" ");
    let mut text = format!(
        "\
[ -d \"$files\" ] || stop \"$files is missing: unpack the bundle of {host} there first; nothing was changed\"

# Written beside the old ones and moved over them; the old ones come back unless all went well.
work=$(mktemp -d \"$files/work.XXXXXX\")
changed=no
leave() {{
  result=$?
  trap - 0
  set +e
  back=yes
  if [ $changed = yes ]; then
    for file in {names}; do
      if [ -f \"$work/old/$file\" ]; then mv \"$work/old/$file\" \"$files/$file\" || back=no; else rm -f \"$files/$file\"; fi
    done
    if [ $back = yes ]; then say 'this did not go well; the old files are back'; fi
  fi
  if [ $back = yes ]; then rm -rf \"$work\"; else say \"this did not go well; the old files lie in $work/old\"; fi
  exit \"$result\"
}}
trap leave 0
trap 'exit 1' 1 2 15
mkdir \"$work/old\"
"
    );
    for (name, content) in files {
        text.push_str(&here(content, &format!("\"$work/{name}\"")));
    }
    text.push_str(refusal);
    if let (Some(key), Some((certificate, _))) = (key, files.last()) {
        let _ = write!(
            text,
            "
# A certificate without its key would stop the mail.
[ -s \"$files/{key}\" ] || stop \"$files/{key} is missing: unpack the bundle of {host} there first; nothing was changed\"
if command -v openssl > /dev/null; then
  of_key=$(openssl pkey -in \"$files/{key}\" -pubout) || stop \"$files/{key} does not open; nothing was changed\"
  of_certificate=$(openssl x509 -in \"$work/{certificate}\" -noout -pubkey) || stop 'the new certificate does not open; nothing was changed'
  [ \"$of_key\" = \"$of_certificate\" ] || stop \"the new certificate is not for the key in $files/{key}; nothing was changed\"
fi
"
        );
    }
    let _ = write!(
        text,
        "
for file in {names}; do
  chmod 644 \"$work/$file\"
  if [ -f \"$files/$file\" ]; then cp -p \"$files/$file\" \"$work/old/$file\"; fi
done
changed=yes
for file in {names}; do mv \"$work/$file\" \"$files/$file\"; done
"
    );
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn only_pem_certificates_are_pasted() {
        let good = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(certificates(good).is_ok());
        assert!(certificates(&good.repeat(2)).is_ok());
        for bad in [
            "",
            "\n",
            good.trim_end(),
            "-----BEGIN CERTIFICATE-----\nAAAA\n",
            "-----BEGIN CERTIFICATE-----\n$(id)\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nRELAYCA_END \n-----END CERTIFICATE-----\n",
            "-----END CERTIFICATE-----\n",
        ] {
            assert!(certificates(bad).is_err(), "{bad:?}");
        }
    }
}
