//! What is replaced on a host later: certificates, and a relay's list.
//!
//! Enters: PEM text, or the text of the list. Leaves: scripts for a root shell. Refuses to know how either is made, and any key.

use relayca_postfix::{
    LOCK, NewFiles, SnippetError, files_script_between, from_archive, is_no_directory,
    refuse_older_list, validate,
};

use crate::{EXIM_LIST, Mta, MtaError, exim, exim_relay, opensmtpd, script};

/// The script that writes `DIRECTORY/relayca/DOMAIN-ca.crt.pem`, and `HOST.crt.pem` where it is new, and has them used. `relay` says
/// whether the host is one.
///
/// # Errors
/// [`MtaError`] where a name or the directory is not plain, or the text is not PEM certificates.
pub fn files_script(mta: Mta, relay: bool, files: &NewFiles<'_>) -> Result<String, MtaError> {
    let title = format!(
        "new certificates for {} ({})",
        validate::host(files.host)?,
        mta.name()
    );
    let mut head = script::head(&title, validate::directory(files.config_directory)?);
    let used = match mta {
        Mta::Postfix => return Err(MtaError::NotHere),
        Mta::Exim if relay => {
            head.push_str(exim::FIND);
            // Its daemon may have them loaded.
            format!("{}begin\n", exim_relay::BEGIN)
        }
        Mta::OpenSmtpd => opensmtpd::RESTART.to_owned(),
        // These read them for each delivery.
        Mta::Exim | Mta::Msmtp | Mta::Nullmailer => String::new(),
    };
    Ok(files_script_between(
        files,
        &head,
        &format!("{used}changed=no\nsay 'done'\n)\n"),
    )?)
}

/// The script that writes a relay's list whole, unless the one in place is of a later change of the authority than `as_of`. Exim
/// opens it for each look-up.
///
/// # Errors
/// [`MtaError`] where the directory is not plain, the list holds what does not survive being pasted, or the mail server has none.
pub fn map_script(
    mta: Mta,
    directory: &str,
    list: &str,
    as_of: Option<u64>,
) -> Result<String, MtaError> {
    match mta {
        Mta::Exim => {}
        Mta::Postfix => return Err(MtaError::NotHere),
        other => return Err(MtaError::NoRelay(other)),
    }
    let directory = validate::directory(directory)?;
    for (index, line) in list.split('\n').enumerate() {
        let what = if line == script::DELIMITER {
            "the word that ends the list"
        } else if !line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            "a character beyond plain ASCII, or a tab"
        } else {
            continue;
        };
        return Err(SnippetError::MapText {
            line: index + 1,
            what,
        }
        .into());
    }
    let mut text = script::head(&format!("the list {EXIM_LIST}"), directory);
    text.push_str(
        "[ -d \"$files\" ] || stop \"$files is missing: unpack the bundle there first; nothing was changed\"\n",
    );
    text.push_str(&is_no_directory(EXIM_LIST));
    text.push_str(
        "new=$(mktemp \"$files/list.XXXXXX\")\n\
         trap 'rm -f \"$new\"' 0\n",
    );
    text.push_str(&script::here(list, "\"$new\""));
    text.push_str(LOCK);
    if let Some(as_of) = as_of {
        text.push_str(&refuse_older_list(EXIM_LIST, as_of));
    }
    text.push_str(&format!(
        "chmod 644 \"$new\"\n\
         mv \"$new\" \"$files/{EXIM_LIST}\"\n\
         say 'done'\n\
         )\n"
    ));
    Ok(text)
}

/// The script that takes the list out of `RELAY.public.tar`, which lies where it is run, as [`map_script`] puts it in place.
///
/// # Errors
/// [`MtaError`] where a name or the directory is not plain.
pub fn archived_map_script(directory: &str, relay: &str, as_of: u64) -> Result<String, MtaError> {
    let head = script::head(
        &format!("the list in {relay}.public.tar"),
        validate::directory(directory)?,
    );
    Ok(format!(
        "\
{}\
cat \"$work/archive/{EXIM_LIST}\" > \"$work/new\"
chmod 644 \"$work/new\"
mv \"$work/new\" \"$files/{EXIM_LIST}\"
say 'done'
)
",
        from_archive(&head, relay, &[EXIM_LIST], as_of)?
    ))
}
