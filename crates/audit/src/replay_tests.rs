//! The experiments of the frame format: torn ends are cut, anything else stops.

use super::*;
use crate::{
    disk::testing::{Random, SECTOR},
    fields::Commitment,
    frame::{Header, Sealed},
    merkle::Edge,
};

/// A segment of frames with payloads and control entries, and where each frame ends.
struct Sample {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Tree size after each frame.
    sizes: Vec<u64>,
}

impl Sample {
    fn new(frames: usize, random: &mut Random) -> Self {
        let mut sample = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            sizes: Vec::new(),
        };
        let mut edge = Edge::default();
        for number in 0..frames {
            let (root_before, first_index) = (edge.root(), edge.size());
            let count = 1 + random.below(30);
            let mut body = Vec::new();
            for _ in 0..count {
                let noise: Vec<u8> = (0..20 + random.below(300))
                    .map(|_| random.next_u64().to_le_bytes()[0])
                    .collect();
                let mut commitment = [0; 32];
                commitment.fill_with(|| random.next_u64().to_le_bytes()[0]);
                let sealed = |ciphertext| Sealed {
                    key_id: 4,
                    nonce: &[9; 24],
                    ciphertext,
                };
                let record = Record::Payload {
                    commitment: Commitment::from_hash(Hash(commitment)),
                    a: sealed(&noise),
                    b: sealed(&noise[..20]),
                };
                record.write(&mut body).unwrap();
                edge.push(record.leaf_hash());
            }
            let header = Header {
                segment: 1,
                first_index,
                count: u32::try_from(count).unwrap(),
                time_ms: number as u64,
                root_before,
                root_after: edge.root(),
            };
            sample.bytes.extend(frame::encode(&header, &body).unwrap());
            sample.ends.push(sample.bytes.len());
            sample.sizes.push(edge.size());
        }
        sample
    }

    /// How many frames end at or before this offset.
    fn whole(&self, offset: usize) -> usize {
        self.ends.iter().filter(|end| **end <= offset).count()
    }

    fn last_start(&self) -> usize {
        self.ends[self.ends.len() - 2]
    }
}

/// Number of accepted frames and how it ended.
fn replay(bytes: &[u8]) -> (usize, u64, Result<End, (usize, Damage)>) {
    let mut replay = Replay::default();
    let end = replay.segment(1, bytes);
    (replay.places.len(), replay.front.size(), end)
}

#[test]
fn cut_at_every_offset_gives_exactly_the_whole_frames() {
    let sample = Sample::new(12, &mut Random::new(1));
    assert!(sample.bytes.len() > 30_000, "{}", sample.bytes.len());
    // Frame by frame, so that the whole ones need not be hashed again for every offset.
    let mut before = Replay::default();
    let mut start = 0;
    for (number, end) in sample.ends.iter().enumerate() {
        for cut in start..*end {
            let mut here = Replay {
                front: before.front.clone(),
                root: before.root,
                ..Replay::default()
            };
            // The frames before are taken as read; offsets count from this frame.
            let found = here.segment(1, &sample.bytes[start..cut]);
            let nothing_but_zeros = sample.bytes[start..cut].iter().all(|byte| *byte == 0);
            match found {
                Ok(End::Clean { offset: 0 }) => assert!(nothing_but_zeros, "{cut}"),
                Ok(End::Torn { offset: 0, .. }) => assert!(!nothing_but_zeros, "{cut}"),
                other => panic!("cut at {cut}: {other:?}"),
            }
            assert!(here.places.is_empty());
        }
        before.segment(1, &sample.bytes[start..*end]).unwrap();
        assert_eq!(before.front.size(), sample.sizes[number]);
        start = *end;
    }
    // And from the very start for a sample of offsets, with and without zeros behind.
    for cut in (0..=sample.bytes.len())
        .step_by(61)
        .chain(sample.ends.iter().copied())
    {
        let mut bytes = sample.bytes[..cut].to_vec();
        for _ in 0..2 {
            let (frames, size, end) = replay(&bytes);
            let whole = sample.whole(cut);
            assert_eq!(frames, whole, "cut at {cut}");
            assert_eq!(size, whole.checked_sub(1).map_or(0, |last| sample.sizes[last]));
            let offset = whole.checked_sub(1).map_or(0, |last| sample.ends[last]);
            match end.unwrap() {
                End::Clean { offset: found } | End::Torn { offset: found, .. } => assert_eq!(found, offset),
            }
            bytes.resize(sample.bytes.len() + 1_000, 0);
        }
    }
}

#[test]
fn any_missing_sectors_of_the_last_frame_make_it_torn() {
    let mut random = Random::new(2);
    let sample = Sample::new(12, &mut random);
    let start = sample.last_start();
    let sectors: Vec<usize> = (start / SECTOR..=(sample.bytes.len() - 1) / SECTOR).collect();
    for round in 0..2_000 {
        let mut bytes = sample.bytes.clone();
        let mut missing = 0;
        for sector in &sectors {
            if random.below(4) == 0 {
                let from = (sector * SECTOR).max(start);
                let to = ((sector + 1) * SECTOR).min(bytes.len());
                missing += usize::from(bytes[from..to].iter().any(|byte| *byte != 0));
                bytes[from..to].fill(0);
            }
        }
        let (frames, _, end) = replay(&bytes);
        assert_eq!(frames, 12 - usize::from(missing > 0), "round {round}");
        match end.unwrap() {
            End::Clean { offset } => assert!(missing == 0 || (offset == start && missing == sectors.len())),
            End::Torn { offset, .. } => assert_eq!((missing > 0, offset), (true, start)),
        }
    }
}

#[test]
fn a_flipped_bit_stops_unless_it_is_in_the_last_frame() {
    let mut random = Random::new(3);
    let sample = Sample::new(6, &mut random);
    let start = sample.last_start();
    let mut flip = |from: usize, to: usize| {
        let bit = from * 8 + random.below((to - from) * 8);
        let mut bytes = sample.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, replay(&bytes))
    };
    for _ in 0..3_000 {
        let (place, (frames, size, end)) = flip(0, start);
        let whole = sample.whole(place);
        assert!(
            matches!(end, Err((_, Damage::BrokenFrame(_)))),
            "flip in byte {place}: {end:?}"
        );
        // The first bad index is that of the frame the flip is in.
        assert_eq!(
            (frames, size),
            (whole, whole.checked_sub(1).map_or(0, |last| sample.sizes[last]))
        );
    }
    for _ in 0..1_000 {
        let (place, (frames, _, end)) = flip(start, sample.bytes.len());
        // Locally it looks like a torn end; only who knows the head can tell.
        assert_eq!(frames, 5, "{place}");
        assert!(
            matches!(end, Ok(End::Torn { offset, .. }) if offset == start),
            "{end:?}"
        );
    }
}

#[test]
fn whole_frames_that_do_not_follow_are_damage() {
    let sample = Sample::new(4, &mut Random::new(4));
    let frame = |number: usize| {
        let start = number.checked_sub(1).map_or(0, |before| sample.ends[before]);
        &sample.bytes[start..sample.ends[number]]
    };
    let order = |numbers: &[usize]| {
        numbers
            .iter()
            .flat_map(|number| frame(*number))
            .copied()
            .collect::<Vec<u8>>()
    };
    for (what, numbers, accepted) in [
        ("two swapped", [0, 2, 1, 3].as_slice(), 1),
        ("first two swapped", &[1, 0, 2, 3], 0),
        ("last two swapped", &[0, 1, 3, 2], 2),
        ("a middle one dropped", &[0, 2, 3], 1),
        ("the first dropped", &[1, 2, 3], 0),
        ("one twice", &[0, 1, 1, 2], 2),
    ] {
        let (frames, _, end) = replay(&order(numbers));
        assert_eq!(frames, accepted, "{what}");
        assert!(matches!(end, Err((_, Damage::DoesNotFollow))), "{what}: {end:?}");
    }
    let mut other_segment = Replay::default();
    assert_eq!(
        other_segment.segment(2, &sample.bytes),
        Err((0, Damage::DoesNotFollow))
    );
}

#[test]
fn a_root_that_does_not_come_out_is_damage() {
    let mut body = Vec::new();
    let record = Record::Control(b"{\"type\":\"x\"}");
    record.write(&mut body).unwrap();
    let (empty, root) = (crate::hash::empty_root(), record.leaf_hash());
    let wrong = Hash([1; 32]);
    for (before, after, sound) in [(empty, root, true), (empty, wrong, false), (wrong, root, false)] {
        let header = Header {
            segment: 1,
            first_index: 0,
            count: 1,
            time_ms: 0,
            root_before: before,
            root_after: after,
        };
        let (_, _, end) = replay(&frame::encode(&header, &body).unwrap());
        let expected = if sound {
            Ok(())
        } else {
            Err((0, Damage::DoesNotFollow))
        };
        assert_eq!(end.map(drop), expected);
    }
}

fn told(json: &[u8]) -> Option<(u64, String)> {
    recovered(&parse_control(json)?)
}

#[test]
fn replay_collects_what_the_log_needs() {
    let sample = Sample::new(2, &mut Random::new(5));
    let mut replay = Replay::default();
    assert_eq!(
        replay.segment(1, &sample.bytes),
        Ok(End::Clean {
            offset: sample.bytes.len()
        })
    );
    assert_eq!((replay.key_id, replay.recovered.len()), (4, 0));
    assert_eq!(replay.places[1].offset, sample.ends[0] as u64);
    assert_eq!(
        told(br#"{"type":"recovered","index":7,"bytes":1,"sha256":"ab"}"#),
        Some((7, "ab".to_owned()))
    );
    for other in [
        &b"{\"type\":\"policy\",\"index\":7,\"sha256\":\"ab\"}"[..],
        b"{}",
        b"no json",
        b"{\"type\":\"recovered\"}",
    ] {
        assert_eq!(told(other), None);
    }
}
