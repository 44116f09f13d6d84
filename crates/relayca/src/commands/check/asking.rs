//! Asking the hosts themselves, for `check --ask`.
//!
//! In: the authority, ssh. Out: findings on hosts that lag, do not run, or cannot be reached. Nothing is changed on any.

use crate::checking::{Finding, Look};
use crate::cli::SshOptions;
use crate::deploying::carrying::{self, Way};
use crate::deploying::ssh::Ssh;
use crate::deploying::target;
use crate::failure::Failure;
use crate::home::{Home, SETTINGS};
use crate::pieces;
use crate::run::Run;

/// Asks all relays, and all mail hosts with a live certificate.
pub fn ask(
    run: &Run,
    home: &Home,
    options: &SshOptions,
    look: &Look,
) -> Result<Vec<Finding>, Failure> {
    let asked = target::all(home, true).and_then(|mut all| {
        let others = target::others(&home.settings, &mut all);
        Ok((target::targets(run, home, &all)?, others))
    });
    let (targets, others) = match asked {
        Ok(asked) => asked,
        // What is wrong with the authority is found without asking; this says why nobody was asked.
        Err(failure) => {
            return Ok(vec![Finding::warning(
                "host-unreached",
                SETTINGS,
                format!("no host was asked; {}", failure.message),
                failure.hint.unwrap_or_default(),
            )]);
        }
    };
    let ssh = Ssh::of(options, targets.len())?;
    let way = Way {
        run,
        home,
        ssh: &ssh,
        jobs: usize::from(options.jobs),
    };
    let mut found: Vec<Finding> = others
        .into_iter()
        .map(|other| {
            Finding::warning(
                "host-unreached",
                other.host.as_str(),
                format!("it could not be asked; {}", other.why),
                "look there by hand whether it has today's files",
            )
        })
        .collect();
    let all = carrying::look_at(&way, &targets)?;
    // Somebody else may have issued and deployed meanwhile: then a later list is as it should be.
    let progress = pieces::progress(&home.inventory_read_only()?, run.now)?;
    for (target, looked) in targets.iter().zip(all) {
        let host = target.host.as_str();
        let deploy = format!("{} deploy {host}", look.relayca);
        let list = looked.answer.as_ref().ok().and_then(|answer| answer.list);
        match looked.answer {
            Err(why) => found.push(Finding::warning(
                "host-unreached",
                host,
                format!("it could not be asked; {why}"),
                format!("{} deploy --status {host}", look.relayca),
            )),
            Ok(answer) if !answer.running => found.push(Finding::critical(
                "host-stopped",
                host,
                "Postfix does not run there",
                "start it there, and look at its log if it ends",
            )),
            Ok(_) => {}
        }
        found.extend(
            looked
                .lags
                .into_iter()
                .filter(|lag| lag.id != "postfix")
                .filter(|lag| lag.id != "later" || list > Some(progress))
                .map(|lag| match lag.id {
                    // To bring it would let in again who was revoked since.
                    "later" => Finding::critical(
                        "host-later",
                        host,
                        lag.told,
                        "this authority was made anew or restored from a backup, or is a forgotten copy: use the one of today, or look it through and `deploy --older`",
                    ),
                    _ => Finding::warning(
                        "host-lags",
                        host,
                        lag.told,
                        lag.hint.unwrap_or_else(|| deploy.clone()),
                    ),
                }),
        );
    }
    Ok(found)
}
