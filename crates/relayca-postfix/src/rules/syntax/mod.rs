//! main.cf and master.cf as texts: what Postfix reads differently from what was meant.
//!
//! Enters: a [`Subject`](super::Subject). Leaves: findings. Refuses to know: files, clocks.

mod lines;
mod names;
mod values;

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    lines::LOST_OPTIONS,
    lines::OPTION_NOT_TAKEN,
    lines::UNDER_COMMENT,
    lines::COMMENT_IN_VALUE,
    lines::PARAMETER_TWICE,
    lines::SERVICE_TWICE,
    lines::FOREIGN_CHARACTERS,
    lines::MAIN_LINE,
    lines::MASTER_LINE,
    lines::ORPHAN,
    lines::EXPRESSION,
    lines::READ_ONLY,
    lines::TOO_LONG,
    names::UNKNOWN,
    names::TOO_NEW,
    names::REMOVED,
    names::UNDEFINED,
    values::TLS_LEVEL,
    values::YES_OR_NO,
];
