//! Entries of the journal as `journalctl -o json` prints them, one a line.
//!
//! Enters: a line that begins with `{`. Leaves: the fields that a line of syslog has ([`Entry`]). Refuses to know all other fields.
//! Source: systemd's "Journal JSON Format" and systemd.journal-fields(7). A field of the journal may be text, a list of bytes where
//! it is no clean text, or null where it is too long.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::stamp::Stamp;

/// What is needed of an entry.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub when: Option<Stamp>,
    pub machine: Cow<'a, str>,
    pub identifier: Cow<'a, str>,
    pub process: Option<u32>,
    pub message: Vec<u8>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "__REALTIME_TIMESTAMP", default)]
    realtime: Field<'a>,
    #[serde(borrow, rename = "_HOSTNAME", default)]
    hostname: Field<'a>,
    #[serde(borrow, rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Field<'a>,
    #[serde(borrow, rename = "SYSLOG_PID", default)]
    syslog_pid: Field<'a>,
    #[serde(borrow, rename = "_PID", default)]
    pid: Field<'a>,
    #[serde(borrow, rename = "MESSAGE", default)]
    message: Field<'a>,
}

/// Reads one; `None` if it is no entry of that form, or says nothing.
pub(super) fn entry(line: &[u8]) -> Option<Entry<'_>> {
    let fields: Fields<'_> = serde_json::from_slice(line).ok()?;
    let message = fields.message.0?.into_owned();
    // microseconds since 1970
    let when = fields
        .realtime
        .text()
        .and_then(|text| text.parse::<i64>().ok())
        .map(|micros| micros.div_euclid(1_000_000))
        .filter(|seconds| (0..253_402_300_800).contains(seconds))
        .map(Stamp::utc);
    let process = fields
        .syslog_pid
        .text()
        .or_else(|| fields.pid.text())
        .and_then(|text| text.parse().ok());
    Some(Entry {
        when,
        process,
        machine: fields.hostname.into_text(),
        identifier: fields.identifier.into_text(),
        message,
    })
}

/// Bytes, however they are written.
#[derive(Default)]
struct Field<'a>(Option<Cow<'a, [u8]>>);

impl<'a> Field<'a> {
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.0.as_deref()?).ok()
    }

    fn into_text(self) -> Cow<'a, str> {
        match self.0 {
            Some(Cow::Borrowed(bytes)) => {
                std::str::from_utf8(bytes).map_or(Cow::Borrowed(""), Cow::Borrowed)
            }
            Some(Cow::Owned(bytes)) => {
                String::from_utf8(bytes).map_or(Cow::Borrowed(""), Cow::Owned)
            }
            None => Cow::Borrowed(""),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Field<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field of the journal")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Field(Some(Cow::Borrowed(text.as_bytes()))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Field(Some(Cow::Owned(text.as_bytes().to_vec()))))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Field(Some(Cow::Owned(number.to_string().into_bytes()))))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Field(None))
            }
            /// Bytes; or several values of a field that was set more than once, of which none is taken.
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut bytes = Vec::new();
                while let Some(item) = items.next_element::<Item>()? {
                    match item.0 {
                        Some(byte) => bytes.push(byte),
                        None => {
                            while items.next_element::<IgnoredAny>()?.is_some() {}
                            return Ok(Field(None));
                        }
                    }
                }
                Ok(Field(Some(Cow::Owned(bytes))))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A byte, or something else.
struct Item(Option<u8>);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Byte;
        impl<'de> Visitor<'de> for Byte {
            type Value = Item;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Item, E> {
                Ok(Item(u8::try_from(number).ok()))
            }
            fn visit_str<E>(self, _: &str) -> Result<Item, E> {
                Ok(Item(None))
            }
            fn visit_unit<E>(self) -> Result<Item, E> {
                Ok(Item(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Item, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Item(None))
            }
        }
        deserializer.deserialize_any(Byte)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_what_a_line_has() {
        let line = br#"{"_HOSTNAME":"relay","__REALTIME_TIMESTAMP":"1795251601123456","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"123","_CMDLINE":"smtpd \"x\"","MESSAGE":"connect from unknown[192.0.2.1]","PRIORITY":"6"}"#;
        let entry = entry(line).unwrap();
        assert_eq!(entry.when.unwrap().rfc3339(), "2026-11-21T09:00:01Z");
        assert_eq!(
            (&*entry.machine, &*entry.identifier, entry.process),
            ("relay", "postfix/smtpd", Some(123))
        );
        assert_eq!(entry.message, b"connect from unknown[192.0.2.1]");
    }

    #[test]
    fn a_message_may_be_bytes_or_nothing() {
        let bytes = br#"{"MESSAGE":[99,27,200]}"#;
        assert_eq!(entry(bytes).unwrap().message, [99, 27, 200]);
        for odd in [
            &br#"{"MESSAGE":null}"#[..],
            br#"{"PRIORITY":"6"}"#,
            br#"{"MESSAGE":["one","two"]}"#,
            br#"{"MESSAGE":[1,300]}"#,
            b"{",
            b"[]",
            br#"{"MESSAGE":{"a":1}}"#,
        ] {
            assert!(entry(odd).is_none());
        }
    }

    #[test]
    fn the_process_that_syslog_was_told_of_comes_first() {
        let line = br#"{"MESSAGE":"x","_PID":"1","SYSLOG_PID":"77"}"#;
        assert_eq!(entry(line).unwrap().process, Some(77));
    }
}
