//! When a line was logged.
//!
//! Enters: the beginning of a line, and about when the log was written. Leaves: a [`Stamp`], and how many bytes it took. Refuses to know
//! clocks and time zones: a time is kept as it is written, with its offset from UTC where the log says one.
//!
//! Forms: `Nov 21 09:00:01` (RFC 3164 section 4.1.2, Postfix's own maillog_file, `journalctl -o short`; also with a fraction),
//! RFC 3339 and ISO 8601 (`2026-11-21T09:00:01.123456+01:00`, rsyslog on Debian 12 and later, `-o short-iso`), seconds since 1970
//! (`-o short-unix`), and `Sat 2026-11-21 09:00:01 UTC` (`-o short-full`).

use std::fmt;

const DAY: i64 = 86_400;

/// A point in time as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Seconds since 1970 on the clock on the wall.
    wall: i64,
    /// How far that clock is ahead of UTC, in seconds; `None` where the log does not say.
    offset: Option<i32>,
}

impl Stamp {
    /// Of seconds since 1970, UTC.
    pub(super) fn utc(seconds: i64) -> Self {
        Self::local(seconds, 0)
    }

    /// Of a clock on the wall that nobody said the zone of.
    fn wall(seconds: i64) -> Self {
        Self {
            wall: seconds,
            offset: None,
        }
    }

    /// Of seconds since 1970, where clocks are `offset` seconds ahead of UTC.
    #[must_use]
    pub fn local(seconds: i64, offset: i32) -> Self {
        Self {
            wall: seconds + i64::from(offset),
            offset: Some(offset),
        }
    }

    /// Whether it lies before `other`. Where one of them has no zone, the clocks on the wall are compared.
    #[must_use]
    pub fn before(&self, other: &Self) -> bool {
        match (self.offset, other.offset) {
            (Some(one), Some(two)) => self.wall - i64::from(one) < other.wall - i64::from(two),
            _ => self.wall < other.wall,
        }
    }

    /// What a person writes: `2026-11-21`, `2026-11-21 09:00`, `2026-11-21T09:00:01`, each also with `Z` or `+01:00`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = text.trim().as_bytes().to_vec();
        if bytes.len() == 10 {
            bytes.extend_from_slice(b"T00:00:00");
        }
        if let Some(between) = bytes.get_mut(10)
            && *between == b' '
        {
            *between = b'T';
        }
        if bytes.len() >= 16 && bytes.get(16).is_none_or(|byte| *byte != b':') {
            bytes.splice(16..16, *b":00");
        }
        let (stamp, taken) = iso(&bytes)?;
        (taken == bytes.len()).then_some(stamp)
    }

    /// RFC 3339: in UTC with `Z` where the log says the zone, else as written and without one.
    #[must_use]
    pub fn rfc3339(&self) -> String {
        match self.offset {
            Some(offset) => {
                let utc = Self::wall(self.wall - i64::from(offset)).to_string();
                format!("{}Z", utc.replace(' ', "T"))
            }
            None => self.to_string().replace(' ', "T"),
        }
    }
}

/// As the clock on the wall showed it: `2026-11-21 09:00:01`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.wall.div_euclid(DAY));
        let second = self.wall.rem_euclid(DAY);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

/// Around when a log was written: a traditional stamp has no year.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    wall: i64,
    year: i64,
}

impl Around {
    /// Written until about this time, in seconds since 1970: now, or when the file was last changed. A line of a day more is
    /// still taken for this year's, because clocks and zones differ.
    #[must_use]
    pub fn until(seconds: i64) -> Self {
        Self {
            wall: seconds,
            year: civil(seconds.div_euclid(DAY)).0,
        }
    }

    /// The latest such day that is not in the future.
    fn date(&self, month: i64, day: i64, second: i64) -> Option<Stamp> {
        // The 29th of February was in some of the last eight years (1900 was none).
        (0..9)
            .map(|ago| self.year + 1 - ago)
            .filter(|year| day <= month_length(*year, month))
            .map(|year| Stamp::wall(days(year, month, day) * DAY + second))
            .find(|stamp| stamp.wall <= self.wall + DAY)
    }
}

/// The stamp that a line begins with, and its length without the space behind it.
pub(super) fn stamp(line: &[u8], around: &Around) -> Option<(Stamp, usize)> {
    match line.first()? {
        b'0'..=b'9' => iso(line).or_else(|| unix(line)),
        _ => traditional(line, around).or_else(|| full(line)),
    }
}

/// How long the stamp is that a line begins with, without reading it.
pub(super) fn length(line: &[u8]) -> Option<usize> {
    match line {
        [b'0'..=b'9', ..] => {
            let end = line
                .iter()
                .take(40)
                .position(|byte| *byte == b' ')
                .unwrap_or(line.len().min(40));
            let written = line.get(..end)?;
            let iso = written.get(4) == Some(&b'-')
                && written.iter().all(|byte| {
                    matches!(
                        byte,
                        b'0'..=b'9' | b'-' | b':' | b'.' | b',' | b'+' | b'T' | b'Z'
                    )
                });
            let unix = written
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
                == 10
                && written
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || *byte == b'.');
            (iso || unix).then_some(end)
        }
        [b'A'..=b'Z', b'a'..=b'z', b'a'..=b'z', b' ', a, b, b' ', ..]
            if (a.is_ascii_digit() || *a == b' ') && b.is_ascii_digit() =>
        {
            let clock = line.get(7..15)?;
            let fine = clock.get(2) == Some(&b':') && clock.get(5) == Some(&b':');
            let fraction = match line.get(15) {
                Some(b'.') => {
                    line.get(16..)?
                        .iter()
                        .take_while(|b| b.is_ascii_digit())
                        .count()
                        + 1
                }
                _ => 0,
            };
            fine.then_some(15 + fraction)
        }
        [b'A'..=b'Z', b'a'..=b'z', b'a'..=b'z', b' ', b'0'..=b'9', ..] => {
            // Sat 2026-11-21 09:00:01 UTC
            let mut blanks = line
                .iter()
                .take(48)
                .enumerate()
                .filter(|(_, b)| **b == b' ');
            let end = blanks.nth(3).map_or(line.len().min(48), |(at, _)| at);
            (line.get(8) == Some(&b'-')).then_some(end)
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 12 {
        return None;
    }
    digits.iter().try_fold(0_i64, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// `09:00:01`.
fn clock(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else {
        return None;
    };
    let (hour, minute, second) = (
        number(&[*h1, *h2])?,
        number(&[*m1, *m2])?,
        number(&[*s1, *s2])?,
    );
    // A leap second is the last one of its minute once more.
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second.min(59))
}

fn traditional(line: &[u8], around: &Around) -> Option<(Stamp, usize)> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let name = line.get(..3)?;
    let month = MONTHS.chunks(3).position(|month| month == name)?;
    let month = i64::try_from(month).ok()? + 1;
    let day = match line.get(3..7)? {
        [b' ', b' ', one, b' '] => number(&[*one])?,
        [b' ', ten, one, b' '] => number(&[*ten, *one])?,
        _ => return None,
    };
    let second = clock(line.get(7..15)?)?;
    if day < 1 {
        return None;
    }
    Some((around.date(month, day, second)?, length(line)?))
}

/// ISO 8601 with a `T`, as `-o short-iso` and RFC 3339 have it; a comma or a point before the fraction.
fn iso(line: &[u8]) -> Option<(Stamp, usize)> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', rest @ ..] = line else {
        return None;
    };
    let (year, month) = (number(&[*y1, *y2, *y3, *y4])?, number(&[*m1, *m2])?);
    let day = number(&[*d1, *d2])?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if !(1..=month_length(year, month)).contains(&day) {
        return None;
    }
    let second = clock(rest.get(..8)?)?;
    let mut taken = 19;
    if let Some(b'.' | b',') = line.get(taken) {
        taken += 1 + line
            .get(20..)?
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
    }
    let (offset, more) = offset(line.get(taken..)?)?;
    let stamp = Stamp {
        wall: days(year, month, day) * DAY + second,
        offset,
    };
    Some((stamp, taken + more))
}

/// `Z`, `+01:00`, `+0100`, or nothing.
fn offset(text: &[u8]) -> Option<(Option<i32>, usize)> {
    let (sign, h1, h2, m1, m2, taken) = match text {
        [] | [b' ', ..] => return Some((None, 0)),
        [b'Z', ..] => return Some((Some(0), 1)),
        [sign, h1, h2, b':', m1, m2, ..] => (sign, h1, h2, m1, m2, 6),
        [sign, h1, h2, m1, m2, ..] => (sign, h1, h2, m1, m2, 5),
        _ => return None,
    };
    let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    if hours > 18 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    match sign {
        b'+' => Some((Some(seconds), taken)),
        b'-' => Some((Some(-seconds), taken)),
        _ => None,
    }
}

/// `1795251601.123456`: only of this century, as any other program's line may begin with a number.
fn unix(line: &[u8]) -> Option<(Stamp, usize)> {
    let taken = length(line)?;
    let whole = line.get(..taken)?.split(|byte| *byte == b'.').next()?;
    let seconds = number(whole).filter(|seconds| (946_684_800..4_102_444_800).contains(seconds))?;
    Some((Stamp::utc(seconds), taken))
}

fn full(line: &[u8]) -> Option<(Stamp, usize)> {
    let taken = length(line)?;
    let text = line.get(4..taken)?;
    let mut written = text.get(..19)?.to_vec();
    *written.get_mut(10)? = b'T';
    if text.get(19..) == Some(b" UTC") {
        written.push(b'Z');
    }
    let (stamp, _) = iso(&written)?;
    Some((stamp, taken))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar. The year begins in March, so that a leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year, month and day of that many days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    /// 2027-01-02 12:00:00.
    const JANUARY: i64 = 1_798_891_200;

    fn read(line: &str) -> (String, usize) {
        let (stamp, taken) =
            stamp(line.as_bytes(), &Around::until(JANUARY)).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(length(line.as_bytes()), Some(taken), "{line}");
        (stamp.rfc3339(), taken)
    }

    #[test]
    fn a_december_line_read_in_january_is_of_last_year() {
        assert_eq!(
            read("Dec 31 23:59:59 host x"),
            ("2026-12-31T23:59:59".into(), 15)
        );
        assert_eq!(
            read("Jan  2 11:00:00 host x"),
            ("2027-01-02T11:00:00".into(), 15)
        );
        assert_eq!(
            read("Jan  3 11:59:00 host x"),
            ("2027-01-03T11:59:00".into(), 15)
        );
        assert_eq!(
            read("Jan  3 12:01:00 host x"),
            ("2026-01-03T12:01:00".into(), 15)
        );
        assert_eq!(
            read("Feb 29 00:00:00 host x"),
            ("2024-02-29T00:00:00".into(), 15)
        );
        // Read on the last day of the year, where the clock of the log is already in the next one.
        let (stamp, _) = stamp(
            b"Jan  1 00:10:00 h x",
            &Around::until(JANUARY - 2 * 86_400 + 40_000),
        )
        .unwrap();
        assert_eq!(stamp.rfc3339(), "2027-01-01T00:10:00");
    }

    #[test]
    fn every_form_of_stamp_is_read() {
        assert_eq!(
            read("Nov 21 09:00:01.123456 host x"),
            ("2026-11-21T09:00:01".into(), 22)
        );
        assert_eq!(
            read("2026-11-21T09:00:01.123456+01:00 host x"),
            ("2026-11-21T08:00:01Z".into(), 32)
        );
        assert_eq!(
            read("2026-11-21T09:00:01-0330 host x"),
            ("2026-11-21T12:30:01Z".into(), 24)
        );
        assert_eq!(
            read("2026-11-21T09:00:01Z host x"),
            ("2026-11-21T09:00:01Z".into(), 20)
        );
        assert_eq!(
            read("1795251601.500000 host x"),
            ("2026-11-21T09:00:01Z".into(), 17)
        );
        assert_eq!(
            read("Sat 2026-11-21 09:00:01 UTC host x"),
            ("2026-11-21T09:00:01Z".into(), 27)
        );
        assert_eq!(
            read("Sat 2026-11-21 09:00:01 CET host x"),
            ("2026-11-21T09:00:01".into(), 27)
        );
    }

    #[test]
    fn what_is_no_time_is_not_read_as_one() {
        for line in [
            "",
            "N",
            "Nov",
            "Nov 21",
            "Nov 31 09:00:01 x",
            "Nov  0 09:00:01 x",
            "Foo 21 09:00:01 x",
            "Nov 21 24:00:01 x",
            "Nov 21 09:60:01 x",
            "Nov 21 0x:00:01 x",
            "2026-13-21T09:00:01Z x",
            "2026-02-29T09:00:01Z x",
            "2026-11-21T09:00:01+99:00 x",
            "12 x",
            "999999999999999999 x",
            "Sat 2026-11-21",
            "connect from unknown[192.0.2.1]",
        ] {
            assert_eq!(
                stamp(line.as_bytes(), &Around::until(JANUARY)),
                None,
                "{line}"
            );
        }
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (date, expected) in [
            ((1970, 1, 1), 0),
            ((2000, 2, 29), 11_016),
            ((2026, 11, 21), 20_778),
        ] {
            assert_eq!(days(date.0, date.1, date.2), expected);
            assert_eq!(civil(expected), date);
        }
        for day in -1000..60_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn people_write_times_in_several_ways() {
        for (text, expected) in [
            ("2026-11-21", "2026-11-21T00:00:00"),
            ("2026-11-21 09:00", "2026-11-21T09:00:00"),
            ("2026-11-21T09:00:01", "2026-11-21T09:00:01"),
            ("2026-11-21 09:00Z", "2026-11-21T09:00:00Z"),
            ("2026-11-21T09:00:01+02:00", "2026-11-21T07:00:01Z"),
        ] {
            assert_eq!(Stamp::parse(text).unwrap().rfc3339(), expected, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-11-21 9:00",
            "2026-11-21T09:00:01 x",
            "09:00",
        ] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_without_a_zone_are_compared_as_written() {
        let zoned = Stamp::parse("2026-11-21T09:00:00+02:00").unwrap();
        assert!(zoned.before(&Stamp::parse("2026-11-21T08:00:00Z").unwrap()));
        assert!(!zoned.before(&Stamp::parse("2026-11-21 08:00").unwrap()));
    }
}
