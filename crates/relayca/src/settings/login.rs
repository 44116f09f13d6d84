//! How ssh gets to a host: `[USER@]HOST[:PORT]`.
//!
//! In: what an admin wrote. Out: [`Login`], in which nothing can be taken for an option or by a shell. It refuses to know whether
//! there is such a host: HOST may be a name that only the user's ssh configuration knows.

use std::net::Ipv6Addr;

use crate::failure::Failure;

/// Where ssh connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The account; `None` leaves it to the user's ssh configuration.
    pub user: Option<String>,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; `None` leaves it to the user's ssh configuration.
    pub port: Option<u16>,
}

impl Login {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::usage(format!("`{text}` is not [USER@]HOST[:PORT]"))
                .hint("as in admin@192.0.2.7:2222, root@[2001:db8::1], or a name of your ssh configuration")
        };
        let plain = |word: &str| {
            !word.is_empty()
                && word.len() <= 255
                && !word.starts_with(['-', '.'])
                && word
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
        };
        let (user, place) = match text.split_once('@') {
            Some((user, place)) => (
                Some(user).filter(|user| plain(user)).ok_or_else(wrong)?,
                place,
            ),
            None => ("", text),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']').ok_or_else(wrong)?;
                address.parse::<Ipv6Addr>().map_err(|_| wrong())?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':').ok_or_else(wrong)?),
                };
                (address, port)
            }
            None => {
                let (host, port) = match place.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (place, None),
                };
                (
                    Some(host).filter(|host| plain(host)).ok_or_else(wrong)?,
                    port,
                )
            }
        };
        let port = port
            .map(|port| {
                port.parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or_else(wrong)
            })
            .transpose()?;
        Ok(Self {
            user: Some(user)
                .filter(|user| !user.is_empty())
                .map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ssh_or_a_shell_would_read_otherwise_is_taken() {
        for (text, user, host, port) in [
            ("vps_1", None, "vps_1", None),
            (
                "admin@192.0.2.7:2222",
                Some("admin"),
                "192.0.2.7",
                Some(2222),
            ),
            (
                "root@[2001:db8::1]:22",
                Some("root"),
                "2001:db8::1",
                Some(22),
            ),
        ] {
            let login = Login::parse(text).unwrap();
            assert_eq!(
                (login.user.as_deref(), login.host.as_str(), login.port),
                (user, host, port)
            );
        }
        for bad in [
            "",
            "-oProxyCommand=id",
            "a@-x",
            "-l@h",
            "a b",
            "$(id)",
            "a@b@c",
            "h:0",
            "h:x",
            "[::1",
            "[x]:1",
            "a;b",
            "@h",
        ] {
            assert!(Login::parse(bad).is_err(), "{bad}");
        }
    }
}
