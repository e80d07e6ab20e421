//! Frames of the log on disk: the input as it is, and as the body of a frame whose checksum fits.

use hitmachine_audit::frame::{self, Frame, Record};
use sha2::{Digest, Sha256};

/// The target.
pub fn check(input: &[u8]) {
    one(input);
    let mut whole = input.to_vec();
    if whole.len() < frame::HEADER {
        whole.resize(frame::HEADER, 0);
    }
    let body = u32::try_from(whole.len() - frame::HEADER).expect("a small input");
    whole[..8].copy_from_slice(frame::MAGIC);
    whole[28..32].copy_from_slice(&body.to_be_bytes());
    let checksum = Sha256::digest(&whole);
    whole.extend(checksum);
    one(&whole);
    whole.extend(input);
    one(&whole);
}

fn one(bytes: &[u8]) {
    let Ok(parsed) = frame::parse(bytes) else {
        return;
    };
    assert!(parsed.length <= bytes.len());
    assert_eq!(parsed.records.len(), parsed.header.count as usize);
    assert_eq!(write(&parsed), bytes[..parsed.length], "one form");
    for record in &parsed.records {
        record.leaf_hash();
    }
    for end in [0, 7, frame::HEADER - 1, parsed.length - 1] {
        assert!(frame::parse(&bytes[..end]).is_err(), "cut off at {end}");
    }
    let mut changed = bytes[..parsed.length].to_vec();
    changed[parsed.length / 2] ^= 1;
    assert!(frame::parse(&changed).is_err(), "a flipped bit");
}

/// The frame again, from what was read.
fn write(frame: &Frame<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    for record in &frame.records {
        match record {
            Record::Payload { commitment, a, b } => {
                body.push(1);
                body.extend(commitment.hash().as_bytes());
                for sealed in [a, b] {
                    body.extend(sealed.key_id.to_be_bytes());
                    body.extend((sealed.ciphertext.len() as u32).to_be_bytes());
                    body.extend(sealed.nonce);
                    body.extend(sealed.ciphertext);
                }
            }
            Record::Control(json) => {
                body.push(2);
                body.extend((json.len() as u16).to_be_bytes());
                body.extend(*json);
            }
        }
    }
    let header = &frame.header;
    let mut bytes = frame::MAGIC.to_vec();
    bytes.extend(header.segment.to_be_bytes());
    bytes.extend(header.first_index.to_be_bytes());
    bytes.extend(header.count.to_be_bytes());
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(header.time_ms.to_be_bytes());
    bytes.extend(header.root_before.as_bytes());
    bytes.extend(header.root_after.as_bytes());
    bytes.extend(body);
    let checksum = Sha256::digest(&bytes);
    bytes.extend(checksum);
    bytes
}
