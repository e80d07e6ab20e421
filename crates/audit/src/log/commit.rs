//! One batch: build the frame, read it back, write, flush, sign.

use std::time::Instant;

use zeroize::Zeroizing;

use super::{Batch, CommitError, Log, SignedHead};
use crate::{
    checkpoint::{Checkpoint, Head},
    draft::{Content, Draft},
    fields::{Group, Opening, Salt},
    frame::{self, Header, Record, Sealed},
    hash::Hash,
    merkle::Edge,
    period::Period,
    receipt::Logged,
    replay::Place,
};

/// The records of a batch are in its body; this is what else there is to know of them.
pub(super) struct Built {
    pub(super) logged: Vec<Logged>,
    pub(super) root_after: Hash,
    /// For each, its leaf and the keys of its groups.
    pub(super) sealed: Vec<(Hash, Option<[u32; 2]>)>,
}

impl Log {
    pub(super) fn commit_frame(&mut self, drafts: Vec<Draft>) -> Result<Batch, CommitError> {
        if self.stopped {
            return Err(CommitError::Stopped);
        }
        let length: usize = drafts.iter().map(Draft::record_len).sum();
        let count = u32::try_from(drafts.len()).map_err(|_| CommitError::TooLarge)?;
        if count == 0 {
            return Err(CommitError::Empty);
        }
        if length > self.max_records() {
            return Err(CommitError::TooLarge);
        }
        // Until the end is reached, also if something below panics.
        self.stopped = true;
        let batch = self.write_frame(drafts, count, frame::HEADER + length + frame::TRAILER)?;
        self.stopped = false;
        Ok(batch)
    }

    fn write_frame(&mut self, drafts: Vec<Draft>, count: u32, length: usize) -> Result<Batch, CommitError> {
        let time_ms = (self.clock)();
        let period = Period::of_unix_ms(time_ms);
        let segment = self.wal.place(period, length as u64)?;
        let first_index = self.head.size;

        let mut body = Vec::with_capacity(length);
        let Built {
            logged,
            root_after,
            sealed,
        } = self.build(drafts, period, &mut body)?;
        let header = Header {
            segment,
            first_index,
            count,
            time_ms,
            root_before: self.head.root,
            root_after,
        };
        #[cfg_attr(not(test), expect(unused_mut, reason = "tests flip a bit"))]
        let mut bytes = frame::encode(&header, &body).ok_or(CommitError::Mismatch)?;
        #[cfg(test)]
        if let Some(bit) = self.flip_bit {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        // From here on only the bytes count: what is written is what was checked.
        let edge = recompute(&bytes, length, &header, &logged, &self.edge).ok_or(CommitError::Mismatch)?;

        let started = Instant::now();
        let offset = self.wal.append(&bytes)?;
        let flush = started.elapsed();

        self.edge = edge;
        self.head = Head {
            size: first_index + u64::from(count),
            root: header.root_after,
        };
        let place = Place {
            first_index,
            segment,
            offset,
            length: length as u64,
        };
        let controls = (first_index..).zip(&logged);
        let controls = controls.filter(|(_, logged)| matches!(logged, Logged::Control(_)));
        let controls = controls.map(|(index, _)| index).collect();
        self.reader.remember(first_index, time_ms, &logged, &sealed);
        let key_ids = sealed.into_iter().filter_map(|(_, keys)| keys).flatten();
        self.note_place(place, key_ids, controls);
        let checkpoint = Checkpoint {
            origin: self.signer.origin().clone(),
            size: self.head.size,
            root: self.head.root,
        };
        let note = self.signer.sign(&checkpoint)?.into();
        // An error shows when the segment is needed; this batch is safe.
        let _ = self.wal.prepare(period);
        Ok(Batch {
            first_index,
            logged,
            signed: SignedHead {
                head: self.head,
                note,
            },
            flush,
        })
    }

    /// Shows readers what is durable now.
    fn note_place(&self, place: Place, key_ids: impl Iterator<Item = u32>, controls: Vec<u64>) {
        let mut book = self.reader.book_mut();
        if let Some(path) = self.wal.segments.get(&place.segment)
            && !book.segments.contains_key(&place.segment)
        {
            book.segments.insert(place.segment, path.clone());
        }
        book.places.push(place);
        book.key_ids.entry(place.segment).or_default().extend(key_ids);
        book.controls.extend(controls);
        book.durable = self.head;
    }

    /// Salts, commits, seals and pushes each draft, and writes its record. Also the root after them.
    pub(super) fn build(
        &mut self,
        drafts: Vec<Draft>,
        period: Period,
        body: &mut Vec<u8>,
    ) -> Result<Built, CommitError> {
        // Two salts and two nonces each, from one call for the whole batch.
        let payloads = drafts
            .iter()
            .filter(|draft| matches!(draft.0, Content::Payload(..)))
            .count();
        let mut random = Zeroizing::new(vec![0; payloads * 112]);
        getrandom::fill(&mut random).map_err(CommitError::Random)?;
        let mut random = random.iter().copied();

        let mut logged = Vec::with_capacity(drafts.len());
        let mut leaves = Vec::with_capacity(drafts.len());
        let mut keys = self.reader.keys_mut();
        for (index, draft) in (self.head.size..).zip(drafts) {
            match draft.0 {
                Content::Payload(fields, class) => {
                    let salt_a = Salt::from_bytes(draw(&mut random));
                    let salt_b = Salt::from_bytes(draw(&mut random));
                    let opening = Opening::new(salt_a, salt_b, fields);
                    let nonces: [[u8; 24]; 2] = [draw(&mut random), draw(&mut random)];
                    let mut groups = Vec::with_capacity(2);
                    for (group, nonce) in Group::ALL.into_iter().zip(&nonces) {
                        let key = keys.key(group, class, period)?;
                        let aad = aad(self.signer.origin().as_str(), index, group);
                        let text = key.seal(nonce, &aad, &opening.group_bytes(group));
                        groups.push((key.id(), nonce, text.ok_or(CommitError::Mismatch)?));
                    }
                    let [a, b] = [&groups[0], &groups[1]].map(|(key_id, nonce, text)| Sealed {
                        key_id: *key_id,
                        nonce,
                        ciphertext: text,
                    });
                    let record = Record::Payload {
                        commitment: opening.commitment(),
                        a,
                        b,
                    };
                    record.write(body).ok_or(CommitError::Mismatch)?;
                    leaves.push((record.leaf_hash(), Some([groups[0].0, groups[1].0])));
                    logged.push(Logged::Payload(opening));
                }
                Content::Control(json) => {
                    let record = Record::Control(&json);
                    record.write(body).ok_or(CommitError::Mismatch)?;
                    leaves.push((record.leaf_hash(), None));
                    logged.push(Logged::Control(json));
                }
            }
        }
        drop(keys);
        let front = &mut self.reader.book_mut().front;
        for (leaf, _) in &leaves {
            front.push(*leaf);
        }
        Ok(Built {
            logged,
            root_after: front.root(),
            sealed: leaves,
        })
    }
}

/// The next random bytes; there are as many as are drawn.
fn draw<const N: usize>(random: &mut impl Iterator<Item = u8>) -> [u8; N] {
    std::array::from_fn(|_| random.next().unwrap_or_default())
}

/// What a sealed group is bound to, so that it opens only in its own place: origin ‖ index u64 ‖ group u8.
pub(super) fn aad(origin: &str, index: u64, group: Group) -> Vec<u8> {
    let mut aad = origin.as_bytes().to_vec();
    aad.extend(index.to_be_bytes());
    aad.push(group.code());
    aad
}

/// Reads the frame back and recomputes commitments, leaves and root, in other memory than they were made in.
/// `None` if anything differs.
pub(super) fn recompute(
    bytes: &[u8],
    length: usize,
    header: &Header,
    logged: &[Logged],
    edge: &Edge,
) -> Option<Edge> {
    let frame = frame::parse(bytes).ok()?;
    if frame.length != length || bytes.len() != length || frame.header != *header {
        return None;
    }
    if frame.records.len() != logged.len() || edge.size() != frame.header.first_index {
        return None;
    }
    if edge.root() != frame.header.root_before {
        return None;
    }
    let mut edge = edge.clone();
    for (record, logged) in frame.records.iter().zip(logged) {
        let same = match (record, logged) {
            (Record::Payload { commitment, .. }, Logged::Payload(opening)) => {
                *commitment == opening.commitment()
            }
            (Record::Control(json), Logged::Control(wanted)) => json == wanted,
            _ => false,
        };
        if !same {
            return None;
        }
        edge.push(record.leaf_hash());
    }
    (edge.root() == frame.header.root_after).then_some(edge)
}
