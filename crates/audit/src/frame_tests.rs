use proptest::prelude::*;

use super::*;

fn sealed<'a>(key_id: u32, nonce: &'a [u8; 24], ciphertext: &'a [u8]) -> Sealed<'a> {
    Sealed {
        key_id,
        nonce,
        ciphertext,
    }
}

fn header(count: u32) -> Header {
    Header {
        segment: 3,
        first_index: 5,
        count,
        time_ms: 0x0102_0304_0506,
        root_before: Hash([0xb0; 32]),
        root_after: Hash([0xaf; 32]),
    }
}

fn frame() -> Vec<u8> {
    let payload = Record::Payload {
        commitment: Commitment::from_hash(Hash([0xcc; 32])),
        a: sealed(1, &[0x0a; 24], b"aaaa"),
        b: sealed(2, &[0x0b; 24], b""),
    };
    let mut body = Vec::new();
    payload.write(&mut body).unwrap();
    assert_eq!(body.len(), payload_len(4, 0));
    Record::Control(b"{}").write(&mut body).unwrap();
    assert_eq!(body.len(), payload_len(4, 0) + control_len(2));
    encode(&header(2), &body).unwrap()
}

/// With a checksum that fits again.
fn sealed_again(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - TRAILER;
    let checksum = sha256(&[&bytes[..end]]);
    bytes[end..].copy_from_slice(&checksum.0);
    bytes
}

#[test]
fn the_bytes_are_pinned() {
    let bytes = frame();
    let expected = [
        "484d415544495431", // HMAUDIT1
        "0000000000000003", // segment
        "0000000000000005", // first index
        "00000002",         // count
        "0000006a",         // body length
        "0000010203040506", // time
        &"b0".repeat(32),
        &"af".repeat(32),
        "01",
        &"cc".repeat(32),
        "00000001",
        "00000004",
        &"0a".repeat(24),
        "61616161",
        "00000002",
        "00000000",
        &"0b".repeat(24),
        "02",
        "0002",
        "7b7d",
    ]
    .concat();
    let (content, checksum) = bytes.split_at(bytes.len() - TRAILER);
    assert_eq!(hex::encode(content), expected);
    assert_eq!(checksum, sha256(&[content]).0);
}

#[test]
fn frames_come_back() {
    let mut bytes = frame();
    let length = bytes.len();
    bytes.extend([9; 10]);
    let frame = parse(&bytes).unwrap();
    assert_eq!((frame.header, frame.length), (header(2), length));
    assert_eq!(frame.records[1], Record::Control(b"{}"));
    assert_eq!(frame.records[1].leaf_hash(), leaf_hash(b"\x02{}"));
    let Record::Payload { commitment, a, b } = frame.records[0] else {
        panic!("a payload")
    };
    assert_eq!(frame.records[0].leaf_hash(), commitment.leaf_hash());
    assert_eq!(
        (a, b),
        (sealed(1, &[0x0a; 24], b"aaaa"), sealed(2, &[0x0b; 24], b""))
    );
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let good = frame();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(parse(&bytes).is_err(), "bit {bit}");
        assert!(!any_in(&bytes));
    }
    for end in 0..good.len() {
        let error = parse(&good[..end]).unwrap_err();
        let expected = if end < 8 {
            FrameError::Magic
        } else {
            FrameError::Truncated
        };
        assert_eq!(error, expected, "{end}");
    }
}

#[test]
fn records_must_fill_the_body() {
    let body_length = 28..32;
    for (what, place, byte) in [
        ("a record less", 27, 1),
        ("a record more", 27, 3),
        ("no record", 27, 0),
        ("unknown type", HEADER, 3),
        ("longer ciphertext", HEADER + 40, 5),
        ("longer control entry", HEADER + 103, 3),
    ] {
        let mut bytes = frame();
        assert_ne!(bytes[place], byte, "{what}");
        bytes[place] = byte;
        assert_eq!(
            parse(&sealed_again(bytes)).unwrap_err(),
            FrameError::Records,
            "{what}"
        );
    }
    let mut longest = frame();
    longest[body_length].fill(0xff);
    assert_eq!(parse(&longest).unwrap_err(), FrameError::Truncated);
    let empty = encode(&header(0), b"").unwrap();
    assert_eq!(parse(&empty).unwrap_err(), FrameError::Records);
}

#[test]
fn a_whole_frame_is_found_anywhere() {
    let frame = frame();
    assert!(!any_in(b""));
    assert!(!any_in(b"HMAUDIT1HMAUDIT1"));
    let mut bytes = b"noise HMAUDIT1 noise".to_vec();
    bytes.extend(&frame);
    assert!(any_in(&bytes));
    bytes.pop();
    assert!(!any_in(&bytes));
}

proptest! {
    #[test]
    fn foreign_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = bytes;
        prop_assert!(parse(&bytes).is_err());
        // Past the first checks as well.
        if bytes.len() > HEADER + TRAILER {
            bytes[..8].copy_from_slice(MAGIC);
            let body = u32::try_from(bytes.len() - HEADER - TRAILER).unwrap();
            bytes[28..32].copy_from_slice(&body.to_be_bytes());
            bytes[24..28].copy_from_slice(&[0, 0, 0, 1]);
            let _ = parse(&sealed_again(bytes));
        }
    }
}
