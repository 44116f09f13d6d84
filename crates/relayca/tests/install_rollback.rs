//! A step that fails: everything is as it was, to the last byte and time, and the old Postfix still runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod install_kit;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use install_kit::{Hosts, done, failed, same, same_bytes, stand};
use xtask::lab::Instance;
use xtask::main_job::{MAIL_HOST, RELAY};

/// Runs a line where another program lies over one of Postfix's: what it does to these arguments, else the real one.
fn with_false(
    instance: &Instance,
    program: &str,
    argument: &str,
    does: &str,
    line: &str,
) -> xtask::lab::Pasted {
    let real = instance.directory().join(format!("real-{program}"));
    fs::copy(format!("/usr/sbin/{program}"), &real).unwrap();
    let fake = instance.directory().join(format!("false-{program}"));
    fs::write(
        &fake,
        format!(
            "#!/bin/sh\ncase \" $* \" in (*' {argument} '*) {does} ;; esac\nexec {} \"$@\"\n",
            real.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!(
        "mount --bind {} /usr/sbin/{program} || exit 99\n{line}\n",
        fake.display()
    );
    instance.paste(&script).unwrap()
}

#[track_caller]
fn still_runs(instance: &Instance, master: Option<u32>) {
    assert!(master.is_some());
    assert_eq!(instance.master(), master, "{}", instance.log());
}

#[test]
fn whatever_program_of_postfix_fails_all_is_as_it_was_and_the_old_postfix_runs() {
    let hosts = Hosts::new();
    let relay = &hosts.relay;
    let before = stand(&relay.config());
    let master = relay.master();
    let line = hosts.install_line(RELAY, &hosts.sealed(RELAY), "--apply");
    let fails = "echo 'no, not today' >&2; exit 1";
    for (program, argument, does, told) in [
        ("postconf", "-M", fails, "postconf -M"),
        ("postconf", "-P", fails, "postconf -P"),
        // It says that it did, and did not.
        ("postconf", "-P", "exit 0", "did not write"),
        ("postmap", "-c", fails, "postmap"),
        ("postfix", "check", fails, "postfix check"),
        ("postfix", "reload", fails, "postfix reload"),
    ] {
        let said = failed(&with_false(relay, program, argument, does, &line), 1);
        assert!(said.contains(told), "{said}");
        assert!(
            said.contains("not today") || told == "did not write",
            "{said}"
        );
        // The reload of the old files fails by the same fake.
        assert_eq!(
            said.contains("run `postfix reload`, or `postfix start`"),
            argument == "reload",
            "{said}"
        );
        assert!(
            said.contains("everything is as it was")
                || said.contains("nothing was changed")
                || program == "postmap",
            "{said}"
        );
        same(&before, &stand(&relay.config()));
        still_runs(relay, master);
    }
    // And then it goes through, and back, with the same faults in the way.
    done(&hosts.install(RELAY, "--apply"));
    let installed = stand(&relay.config());
    let line = format!(
        "{} uninstall --apply --config-directory {}",
        install_kit::RELAYCA,
        relay.config_inside()
    );
    for (program, argument) in [("postfix", "check"), ("postfix", "reload")] {
        failed(&with_false(relay, program, argument, fails, &line), 1);
        same(&installed, &stand(&relay.config()));
        still_runs(relay, master);
    }
    done(&hosts.uninstall(RELAY, "--apply"));
    same_bytes(&before, &stand(&relay.config()));
}

#[test]
fn a_proof_that_fails_takes_everything_back() {
    let hosts = Hosts::new();
    let relay = &hosts.relay;
    let before = stand(&relay.config());
    // It reloads nothing and says so to nobody: the port stays closed, and the probe finds nobody there.
    let line = hosts.install_line(RELAY, &hosts.sealed(RELAY), "--apply");
    let said = failed(&with_false(relay, "postfix", "reload", "exit 0", &line), 1);
    assert!(
        said.contains("is not as it must be") && said.contains("everything is as it was"),
        "{said}"
    );
    same(&before, &stand(&relay.config()));

    // The mail host asks a relay that does not answer: nothing is changed at all.
    let before = stand(&hosts.mail_host.config());
    let said = failed(&hosts.install(MAIL_HOST, "--apply"), 1);
    assert!(said.contains("no relay takes mail"), "{said}");
    same(&before, &stand(&hosts.mail_host.config()));
    let said = done(&hosts.install(MAIL_HOST, "--apply --no-probe"));
    assert!(said.contains("nothing was probed"), "{said}");
    done(&hosts.install(RELAY, "--apply"));
    done(&hosts.install_public(RELAY, "--apply"));
    hosts.mail_flows();
}

#[test]
fn a_port_that_is_taken_ends_postfix_and_the_old_one_is_started_again() {
    let hosts = Hosts::new();
    let relay = &hosts.relay;
    let before = stand(&relay.config());
    let taken = TcpListener::bind(("127.0.0.1", hosts.port.number())).unwrap();
    let said = failed(&hosts.install(RELAY, "--apply"), 1);
    assert!(said.contains("everything is as it was"), "{said}");
    same(&before, &stand(&relay.config()));
    assert!(relay.run("postfix", &["status"]).unwrap().ok());
    drop(taken);
    done(&hosts.install(RELAY, "--apply"));
}

#[test]
fn a_stopped_postfix_is_told_and_stays_stopped() {
    let hosts = Hosts::new();
    hosts.relay.stop().unwrap();
    let said = done(&hosts.install(RELAY, "--apply"));
    assert!(said.contains("does not run and was not started"), "{said}");
    assert_eq!(hosts.relay.master(), None);
    done(&hosts.install_public(RELAY, "--apply"));
    hosts.relay.start().unwrap();
    done(&hosts.install(MAIL_HOST, "--apply"));
    hosts.mail_flows();
}

#[test]
fn killed_while_postfix_has_the_new_files_the_next_run_gives_it_the_old_ones_back() {
    let hosts = Hosts::new();
    let relay = &hosts.relay;
    let before = stand(&relay.config());
    let line = hosts.install_line(RELAY, &hosts.sealed(RELAY), "--apply");
    // When Postfix is told to reload, relayca dies behind it: the new service is there.
    let real = relay.directory().join("real-postfix");
    let kill = format!("{} \"$@\"; kill -9 $PPID; exit 0", real.display());
    let said = with_false(
        relay,
        "postfix",
        "reload",
        &kill,
        &format!("{line}\necho code $?"),
    );
    assert!(
        said.stdout.contains("code 137"),
        "{} {}",
        said.stdout,
        said.stderr
    );
    assert_ne!(stand(&relay.config()), before);
    let said = hosts.uninstall(RELAY, "--apply");
    assert!(
        said.stderr
            .contains("an earlier run was stopped in the middle: it was taken back"),
        "{}",
        said.stderr
    );
    same(&before, &stand(&relay.config()));
    assert!(relay.run("postfix", &["status"]).unwrap().ok());
    let closed = || std::net::TcpStream::connect(("127.0.0.1", hosts.port.number())).is_err();
    xtask::lab::wait_for("the service to go", xtask::main_job::SOON, closed).unwrap();

    // Somebody edits main.cf between the kill and the next run: that stays, and what was there before is named.
    let said = with_false(
        relay,
        "postfix",
        "reload",
        &kill,
        &format!("{line}\necho code $?"),
    );
    assert!(
        said.stdout.contains("code 137"),
        "{} {}",
        said.stdout,
        said.stderr
    );
    let master = relay.config().join("master.cf");
    let edited = fs::read_to_string(&master).unwrap() + "# by hand\n";
    fs::write(&master, &edited).unwrap();
    let said = hosts.uninstall(RELAY, "--apply");
    assert!(
        said.stderr.contains("was changed by somebody meanwhile"),
        "{}",
        said.stderr
    );
    assert_eq!(fs::read_to_string(&master).unwrap(), edited);
    assert!(relay.config().join(".master.cf.relayca-old").exists());
}

#[test]
fn killed_before_postfix_has_its_old_files_back_the_next_run_gives_them() {
    let hosts = Hosts::new();
    let relay = &hosts.relay;
    let before = stand(&relay.config());
    let real = relay.directory().join("real-postfix");
    let mark = relay.directory().join("reloaded");
    // The first reload goes through, the service is there, and it says that it is not; at the second, on the way back, relayca
    // dies before Postfix is told.
    let does = format!(
        "if [ -e {1} ]; then kill -9 $PPID; exit 0; fi; touch {1}; {0} \"$@\"; until grep -q ':{2:04X} 00000000:0000 0A' /proc/net/tcp; do sleep 0.1; done; exit 1",
        real.display(),
        mark.display(),
        hosts.port.number()
    );
    let line = hosts.install_line(RELAY, &hosts.sealed(RELAY), "--apply");
    let said = with_false(
        relay,
        "postfix",
        "reload",
        &does,
        &format!("{line}\necho code $?"),
    );
    assert!(said.stdout.contains("code 137"), "{said:?}");
    let open = || std::net::TcpStream::connect(("127.0.0.1", hosts.port.number())).is_ok();
    assert!(open());
    let said = hosts.uninstall(RELAY, "--apply");
    assert!(said.stderr.contains("it was taken back"), "{said:?}");
    same(&before, &stand(&relay.config()));
    xtask::lab::wait_for("it to go", xtask::main_job::SOON, || !open()).unwrap();
}

#[test]
fn ctrl_c_reaches_relayca_alone_and_everything_goes_back() {
    let hosts = Hosts::new();
    let relay = &hosts.relay;
    let before = stand(&relay.config());
    let master = relay.master();
    let real = relay.directory().join("real-postfix");
    // As a terminal does: to all of the group in the foreground, at the reload and again at the one on the way back.
    let does = format!(
        "kill -INT -$(cut -d ' ' -f 5 /proc/$PPID/stat); sleep 0.3; {} \"$@\"; exit",
        real.display()
    );
    let line = hosts.install_line(RELAY, &hosts.sealed(RELAY), "--apply");
    let said = with_false(
        relay,
        "postfix",
        "reload",
        &does,
        &format!("setsid -w {line}\necho code $?"),
    );
    assert!(said.stdout.contains("code 130"), "{said:?}");
    assert!(
        said.stderr
            .contains("relayca: warning: interrupted; everything is as it was\n"),
        "{said:?}"
    );
    same(&before, &stand(&relay.config()));
    still_runs(relay, master);
    let open = || std::net::TcpStream::connect(("127.0.0.1", hosts.port.number())).is_ok();
    xtask::lab::wait_for("the service to go", xtask::main_job::SOON, || !open()).unwrap();
}

#[test]
fn what_somebody_writes_meanwhile_is_kept_at_whatever_step() {
    let hosts = Hosts::new();
    let relay = &hosts.relay;
    let before = stand(&relay.config());
    let master_cf = relay.config().join("master.cf");
    let text = || fs::read_to_string(&master_cf).unwrap();
    let was = text();
    let line = hosts.install_line(RELAY, &hosts.sealed(RELAY), "--apply");
    let kept = relay.directory().join("kept").display().to_string();
    relay
        .paste(&format!("cp -p {} {kept}", master_cf.display()))
        .unwrap();
    let write = format!("echo '# meanwhile' >> {}", master_cf.display());
    // When it is thought out: nothing is put in place.
    let said = with_false(relay, "postfix", "status", &write, &line);
    let told = failed(&said, 1);
    assert!(
        told.contains("master.cf` was changed by somebody meanwhile; everything is as it was"),
        "{told}"
    );
    assert_eq!(text(), format!("{was}# meanwhile\n"));
    relay
        .paste(&format!("cp -p {kept} {}", master_cf.display()))
        .unwrap();
    same(&before, &stand(&relay.config()));
    // When it is in place, and a later step fails: theirs stays, and it is told where the old one is.
    let said = with_false(
        relay,
        "postfix",
        "check",
        &format!("{write}; exit 1"),
        &line,
    );
    let told = failed(&said, 1);
    assert!(
        told.contains("master.cf` was changed by somebody meanwhile and stays"),
        "{told}"
    );
    let old = relay.config().join(".master.cf.relayca-old");
    assert_eq!(fs::read_to_string(&old).unwrap(), was);
    assert!(text().ends_with("# meanwhile\n") && text().contains("relay_clientcerts"));
    // Nobody is kept from going on, and the old one from being looked at.
    done(&hosts.install(RELAY, "--apply"));
    assert_eq!(fs::read_to_string(&old).unwrap(), was);
}
