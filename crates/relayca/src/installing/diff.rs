//! Differences of two texts, as `diff -u` prints them.
//!
//! In: two texts and their name. Out: a unified diff that patch(1) takes. It refuses to know what the texts are.

use std::fmt::Write as _;

/// Lines around a difference.
const CONTEXT: usize = 3;
/// Products of lengths above this are not searched for what is common; all of the middle is shown as changed.
const MOST: usize = 4_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Same,
    Gone,
    New,
}

/// The difference; empty where there is none. `None` is a file that is not there.
pub fn unified(name: &str, was: Option<&str>, becomes: Option<&str>) -> String {
    if was == becomes {
        return String::new();
    }
    let old: Vec<&str> = was.unwrap_or_default().split_inclusive('\n').collect();
    let new: Vec<&str> = becomes.unwrap_or_default().split_inclusive('\n').collect();
    let label = |there: bool| {
        if there {
            name.to_owned()
        } else {
            "/dev/null".to_owned()
        }
    };
    let mut text = format!(
        "--- {}\n+++ {}\n",
        label(was.is_some()),
        label(becomes.is_some())
    );
    for hunk in hunks(&steps(&old, &new)) {
        write_hunk(&mut text, &hunk, &old, &new);
    }
    text
}

/// One after the other what becomes of the lines.
fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let old_middle = &old_rest[..old_rest.len() - tail];
    let new_middle = &new_rest[..new_rest.len() - tail];
    let mut steps = vec![Step::Same; head];
    steps.extend(middle(old_middle, new_middle));
    steps.extend(vec![Step::Same; tail]);
    steps
}

/// The longest common subsequence, in a table.
fn middle(old: &[&str], new: &[&str]) -> Vec<Step> {
    let (rows, columns) = (old.len(), new.len());
    if rows.saturating_mul(columns) > MOST {
        let mut steps = vec![Step::Gone; rows];
        steps.extend(vec![Step::New; columns]);
        return steps;
    }
    let width = columns + 1;
    let mut longest = vec![0_u32; (rows + 1) * width];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            longest[row * width + column] = if old[row] == new[column] {
                longest[(row + 1) * width + column + 1] + 1
            } else {
                longest[(row + 1) * width + column].max(longest[row * width + column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut steps = Vec::new();
    while row < rows || column < columns {
        if row < rows && column < columns && old[row] == new[column] {
            steps.push(Step::Same);
            row += 1;
            column += 1;
        } else if row < rows
            && (column == columns
                || longest[(row + 1) * width + column] >= longest[row * width + column + 1])
        {
            steps.push(Step::Gone);
            row += 1;
        } else {
            steps.push(Step::New);
            column += 1;
        }
    }
    steps
}

/// Changed steps with what is around them: where it begins in both texts, and the steps.
struct Hunk {
    old: usize,
    new: usize,
    steps: Vec<Step>,
}

fn hunks(steps: &[Step]) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let changed: Vec<usize> = (0..steps.len())
        .filter(|at| steps[*at] != Step::Same)
        .collect();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for at in changed {
        let (from, to) = (
            at.saturating_sub(CONTEXT),
            (at + CONTEXT + 1).min(steps.len()),
        );
        match ranges.last_mut() {
            Some((_, end)) if from <= *end => *end = to,
            _ => ranges.push((from, to)),
        }
    }
    for (from, to) in ranges {
        let before = &steps[..from];
        hunks.push(Hunk {
            old: before.iter().filter(|step| **step != Step::New).count(),
            new: before.iter().filter(|step| **step != Step::Gone).count(),
            steps: steps[from..to].to_vec(),
        });
    }
    hunks
}

fn write_hunk(text: &mut String, hunk: &Hunk, old: &[&str], new: &[&str]) {
    let span = |from: usize, other: Step| {
        let count = hunk.steps.iter().filter(|step| **step != other).count();
        // An empty range is named by the line before it.
        let first = if count == 0 { from } else { from + 1 };
        if count == 1 {
            first.to_string()
        } else {
            format!("{first},{count}")
        }
    };
    let _ = writeln!(
        text,
        "@@ -{} +{} @@",
        span(hunk.old, Step::New),
        span(hunk.new, Step::Gone)
    );
    let (mut at_old, mut at_new) = (hunk.old, hunk.new);
    for step in &hunk.steps {
        let (mark, line) = match step {
            Step::Same => (' ', old[at_old]),
            Step::Gone => ('-', old[at_old]),
            Step::New => ('+', new[at_new]),
        };
        if *step != Step::New {
            at_old += 1;
        }
        if *step != Step::Gone {
            at_new += 1;
        }
        text.push(mark);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The judge: patch(1) makes the one of the other.
    #[test]
    fn patch_makes_the_new_text_of_the_old_one() {
        let mut seed = 7_u32;
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        for _ in 0..60 {
            let mut lines = |most: u32| -> Vec<String> {
                (0..random(most))
                    .map(|_| format!("line {}", random(9)))
                    .collect()
            };
            let (mut old, mut new) = (lines(30).join("\n"), lines(30).join("\n"));
            if random(2) == 0 {
                old.push('\n');
            }
            if random(2) == 0 {
                new.push('\n');
            }
            let place = tempfile::tempdir().unwrap();
            let file = place.path().join("f");
            std::fs::write(&file, &old).unwrap();
            let diff = unified("f", Some(&old), Some(&new));
            if old == new {
                assert_eq!(diff, "");
                continue;
            }
            std::fs::write(place.path().join("d"), &diff).unwrap();
            let said = Command::new("patch")
                .args(["-s", "--no-backup-if-mismatch", "f", "d"])
                .current_dir(place.path())
                .output()
                .unwrap();
            assert!(said.status.success(), "{diff}");
            let patched = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(patched, new, "{diff}");
        }
    }
}
