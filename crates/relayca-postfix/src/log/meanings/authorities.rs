//! What either side says of a CA certificate.

use crate::log::meaning::{Kind, Meaning, Place, Side, Wording};

const fn unverified(text: &'static str) -> Wording {
    Wording {
        place: Place::UnverifiedAuthority,
        text,
    }
}

pub(super) const MEANINGS: &[Meaning] = &[
    Meaning {
        id: "ca-expired",
        kind: Kind::Cause,
        side: Side::Either,
        title: "the CA certificate has expired",
        says: "A CA in the chain is past its last day, so nothing that it issued is good any more.",
        why: "The CA was not replaced in time, or the host that complains still has the file of the old CA.",
        remedy: "If the authority has a newer CA, put its certificate on every host; else begin a rollover.",
        commands: &[
            "relayca verify ca",
            "relayca rollover",
            "relayca snippet {host}",
            "relayca snippet {relay}",
        ],
        versions: "",
        sources: &["src/tls/tls_verify.c"],
        wordings: &[unverified("certificate has expired")],
    },
    Meaning {
        id: "ca-not-yet-valid",
        kind: Kind::Cause,
        side: Side::Either,
        title: "the CA certificate is not valid yet",
        says: "A CA in the chain begins later than the clock of the host that complains.",
        why: "That host's clock is behind, or the clock of the machine that made the CA was ahead.",
        remedy: "Look at the clocks; with the right time it mends itself.",
        commands: &[
            "date -u  # on the host that complains, and where the authority is",
            "relayca verify ca",
        ],
        versions: "",
        sources: &["src/tls/tls_verify.c"],
        wordings: &[unverified("certificate not yet valid")],
    },
    Meaning {
        id: "ca-file-lacks-root",
        kind: Kind::Cause,
        side: Side::Either,
        title: "the CA file has an intermediate CA and not the root above it",
        says: "The issuer of a CA in the file is not in the file.",
        why: "Postfix trusts no chain that does not end in a self-signed CA.",
        remedy: "Put the root's certificate into the file, behind the intermediate.",
        commands: &["relayca snippet {host}", "relayca snippet {relay}"],
        versions: "",
        sources: &["postconf(5) smtpd_tls_CAfile", "src/tls/tls_verify.c"],
        wordings: &[
            unverified("num=2:"),
            Wording {
                place: Place::Unverified,
                text: "num=2:",
            },
        ],
    },
    Meaning {
        id: "ca-is-no-ca",
        kind: Kind::Cause,
        side: Side::Either,
        title: "the issuer is not a CA",
        says: "A certificate that signed another one is not designated for that.",
        why: "A host's certificate was used to sign, or the CA was made without basicConstraints CA:TRUE or with a key usage that lacks keyCertSign.",
        remedy: "Use a CA that is one.",
        commands: &["relayca verify ca"],
        versions: "",
        sources: &["RFC 5280 section 4.2.1.9", "src/tls/tls_verify.c"],
        wordings: &[Wording {
            place: Place::Unverified,
            text: "not designated for use as a CA certificate",
        }],
    },
    Meaning {
        id: "ca-not-good",
        kind: Kind::Cause,
        side: Side::Either,
        title: "a CA certificate is not good",
        says: "OpenSSL refused a CA in the chain, with the number and words in the line.",
        why: "Seldom seen: the words are OpenSSL's, see X509_STORE_CTX_get_error(3).",
        remedy: "Judge the CA where the authority is.",
        commands: &["relayca verify ca"],
        versions: "",
        sources: &["X509_STORE_CTX_get_error(3)", "src/tls/tls_verify.c"],
        wordings: &[unverified("num=")],
    },
];
