//! What goes wrong with tables: relay_clientcerts above all.

use crate::log::meaning::{Kind, Meaning, Place, Side, Wording};

const fn at(place: Place, text: &'static str) -> Wording {
    Wording { place, text }
}

pub(super) const MEANINGS: &[Meaning] = &[
    Meaning {
        id: "table-missing",
        kind: Kind::Cause,
        side: Side::Either,
        title: "a table is not there",
        says: "Postfix cannot open the database file of a table that its configuration names.",
        why: "postmap was not run, wrote another type of database than the one named, or the path is wrong. Everybody is told to come later meanwhile.",
        remedy: "Put the map on the host again: the block runs postmap.",
        commands: &["relayca map --format paste | ssh root@{relay} sh"],
        versions: "",
        sources: &[
            "DATABASE_README",
            "postconf(5) default_database_type",
            "src/util/dict_surrogate.c",
        ],
        wordings: &[
            at(
                Place::Words,
                "open database {file}: No such file or directory",
            ),
            at(Place::Words, "open {file}: No such file or directory"),
            at(
                Place::Subject,
                "is unavailable. open *: No such file or directory",
            ),
        ],
    },
    Meaning {
        id: "table-unreadable",
        kind: Kind::Cause,
        side: Side::Either,
        title: "a table may not be read",
        says: "Postfix is not permitted to open a table.",
        why: "Tables are opened before privileges are dropped, so mostly a directory above it is closed even to root by AppArmor or SELinux, or it is on a network file system.",
        remedy: "Look at the modes of the directories, and at the log of AppArmor or SELinux.",
        commands: &["namei -l {file}"],
        versions: "",
        sources: &["src/util/dict_surrogate.c"],
        wordings: &[
            at(Place::Words, "open database {file}: Permission denied"),
            at(Place::Words, "open {file}: Permission denied"),
            at(Place::Subject, "is unavailable. open *: Permission denied"),
        ],
    },
    Meaning {
        id: "table-type-unknown",
        kind: Kind::Cause,
        side: Side::Either,
        title: "this Postfix does not have the type of table",
        says: "The type before the colon is not built in, and no package with it is installed.",
        why: "hash and btree are missing on Alpine, openSUSE, Fedora and from Debian's 3.11 on; lmdb is a package of its own on Debian. Everybody is told to come later meanwhile.",
        remedy: "Use a type that `postconf -m` lists; `${default_database_type}` is always one.",
        commands: &["postconf -m", "relayca snippet {relay}"],
        versions: "",
        sources: &[
            "DATABASE_README",
            "NON_BERKELEYDB_README",
            "src/global/dynamicmaps.c",
        ],
        wordings: &[
            at(Place::Words, "unsupported dictionary type: "),
            at(
                Place::Subject,
                "is unavailable. unsupported dictionary type: ",
            ),
        ],
    },
    Meaning {
        id: "table-older-than-its-text",
        kind: Kind::Note,
        side: Side::Either,
        title: "a table's text is newer than its database",
        says: "The text was changed, and postmap was not run since.",
        why: "Postfix reads the database alone. The line comes only when the text has been newer for a minute or two, and only when a process starts.",
        remedy: "Run postmap on the text.",
        commands: &["relayca map --format paste | ssh root@{relay} sh"],
        versions: "",
        sources: &["postmap(1)", "src/util/dict_db.c"],
        wordings: &[at(
            Place::Words,
            "database {file} is older than source file ",
        )],
    },
    Meaning {
        id: "table-changed",
        kind: Kind::Good,
        side: Side::Either,
        title: "a table was made anew, and the process starts again to read it",
        says: "Postfix noticed that a table changed.",
        why: "So it is with hash, btree and cdb after postmap; lmdb and sqlite need no restart, texthash and inline need `postfix reload`.",
        remedy: "Nothing is to be done.",
        commands: &[],
        versions: "",
        sources: &["DATABASE_README", "src/smtpd/smtpd.c"],
        wordings: &[at(Place::Words, "table {table} has changed -- restarting")],
    },
    Meaning {
        id: "tables-deprecated",
        kind: Kind::Note,
        side: Side::Either,
        title: "hash and btree tables will go",
        says: "A table is of a type that Berkeley DB makes, and this Postfix warns of it.",
        why: "Distributions drop Berkeley DB.",
        remedy: "Use lmdb or cdb; what relayca prints names `${default_database_type}` and follows by itself.",
        commands: &["postconf default_database_type default_cache_db_type"],
        versions: "From 3.11.",
        sources: &["NON_BERKELEYDB_README"],
        wordings: &[at(Place::Subject, "hash/btree support is deprecated.")],
    },
    Meaning {
        id: "fingerprint-lookup-failed",
        kind: Kind::Effect,
        side: Side::Relay,
        title: "relay_clientcerts could not be asked",
        says: "The look-up of a fingerprint failed, so nobody can relay, and everybody is told to come later (451 4.3.0).",
        why: "The table is missing, of an unknown type, or the server behind it does not answer; an earlier line of the process says which.",
        remedy: "Mend the table.",
        commands: &[
            "relayca map --format paste | ssh root@{relay} sh",
            "postconf -P | grep relay_clientcerts  # on {relay}",
        ],
        versions: "Up to 3.8 the first fingerprint in the line is the certificate's and the one behind `pkey fingerprint` the key's; from 3.9 it is the other way round.",
        sources: &["postconf(5) relay_clientcerts", "src/smtpd/smtpd_check.c"],
        wordings: &[at(
            Place::Words,
            "relay_clientcerts: lookup error for fingerprint ",
        )],
    },
    Meaning {
        id: "table-lookup-failed",
        kind: Kind::Effect,
        side: Side::Either,
        title: "a table could not be asked",
        says: "A look-up failed, and the client is told to come later.",
        why: "The table is missing, of an unknown type, or the server behind it does not answer; an earlier line of the process says which.",
        remedy: "Mend the table that the warning names.",
        commands: &["postmap -q test {file}"],
        versions: "",
        sources: &["src/global/maps.c", "src/smtpd/smtpd_check.c"],
        wordings: &[
            at(Place::Subject, "lookup error for "),
            at(Place::Reply, "<*>: Temporary lookup failure"),
        ],
    },
];
