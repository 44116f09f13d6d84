//! Which session a line belongs to.
//!
//! Enters: a line and what it says. Leaves: the process that said it, the other side, and which way. Refuses to know sessions themselves.

use super::event::Event;
use super::line::{Line, Program};
use super::peer::Peer;
use super::report::Way;

pub(super) fn peer_of<'e>(event: &'e Event<'_>) -> Option<&'e Peer<'e>> {
    match event {
        Event::Connect(peer)
        | Event::Disconnect(peer, _)
        | Event::Secured { peer, .. }
        | Event::Shown { peer, .. }
        | Event::Unverified { peer, .. }
        | Event::Aborted { peer, .. }
        | Event::Refused { peer, .. }
        | Event::Accepted { peer, .. }
        | Event::Lost { peer, .. }
        | Event::Unsecured { peer, .. }
        | Event::Resumed { peer, .. } => Some(peer),
        Event::Delivered(delivery) => delivery.relay.as_ref(),
        _ => None,
    }
}

/// By the words where they say it, else by the program, else by the port, which only a client's lines have.
pub(super) fn way_of(event: &Event<'_>, program: Program) -> Way {
    match event {
        Event::Secured { incoming, .. } | Event::Unsecured { incoming, .. } => {
            if *incoming {
                Way::From
            } else {
                Way::To
            }
        }
        _ => match (program, peer_of(event)) {
            (Program::Unknown, Some(peer)) if peer.port.is_some() => Way::To,
            _ => way_by(program),
        },
    }
}

pub(super) fn way_by(program: Program) -> Way {
    match program {
        Program::Server | Program::Unknown => Way::From,
        _ => Way::To,
    }
}

/// By machine, tag and process. Where the log has no processes, the other side tells sessions apart.
pub(super) fn key(line: &Line<'_>, peer: Option<&Peer<'_>>) -> (u64, u32) {
    match (line.process, peer) {
        (Some(process), _) => (mixed(mixed(0, line.machine), line.tag), process),
        (None, Some(peer)) => (mixed(mixed(1, peer.name), peer.address), 0),
        (None, None) => (2, 0),
    }
}

/// A quick digest; nobody far away chooses what goes into it, save where a log has no processes.
fn mixed(seed: u64, bytes: &[u8]) -> u64 {
    bytes
        .chunks(8)
        .fold(seed ^ bytes.len() as u64, |sum, chunk| {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            (sum.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95)
        })
}
