//! Questions to partners that answer live: sent by the broker, read by the partner's node, and back.

use hitmachine_core::{LiveQuestion, LiveStatus, LiveSubject};

use crate::query::array;
use crate::{WireError, v1};

/// The most bytes of a frame: 64 digests and short names take less than 2.2 kB.
const MAX_FRAME_BYTES: usize = 4 * 1024;

/// A question as the broker sends it, under a number that the answer repeats.
pub fn question(id: u64, question: &LiveQuestion) -> v1::LiveQuestion {
    let subjects = question
        .subjects
        .iter()
        .map(|(place, subject)| v1::LiveSubject {
            // At most 64 subjects.
            place: u32::try_from(*place).unwrap_or(u32::MAX),
            opening: subject.encode().to_vec(),
        })
        .collect();
    v1::LiveQuestion {
        id,
        frame: question.frame.clone(),
        signature: question.signature.to_vec(),
        subjects,
    }
}

/// A question as the node gets it: nothing of it has been checked but its form.
#[derive(Clone, Debug)]
pub struct AskedLive {
    /// Exactly the bytes that are said to be signed.
    pub frame: Vec<u8>,
    /// Over them.
    pub signature: [u8; 64],
    /// Persons, by their places in the frame.
    pub subjects: Vec<(usize, LiveSubject)>,
}

/// Reads a question.
///
/// # Errors
/// [`WireError`] names the field that is missing or wrong.
pub fn parse(question: &v1::LiveQuestion) -> Result<AskedLive, WireError> {
    if question.frame.len() > MAX_FRAME_BYTES {
        return Err(WireError("live_frame"));
    }
    let subjects = question.subjects.iter().map(|subject| {
        let place = usize::try_from(subject.place).map_err(|_| WireError("live_place"))?;
        let opening = LiveSubject::decode(&subject.opening).ok_or(WireError("live_opening"))?;
        Ok((place, opening))
    });
    Ok(AskedLive {
        frame: question.frame.clone(),
        signature: array(&question.signature, "live_signature")?,
        subjects: subjects.collect::<Result<_, WireError>>()?,
    })
}

/// An answer as the node sends it.
pub fn answer(id: u64, statuses: &[LiveStatus]) -> v1::LiveAnswer {
    v1::LiveAnswer {
        id,
        statuses: statuses.iter().map(|status| status.code()).collect(),
    }
}

/// What an answer says.
///
/// # Errors
/// [`WireError`] if a status is none.
pub fn statuses(answer: &v1::LiveAnswer) -> Result<Vec<LiveStatus>, WireError> {
    let statuses = answer.statuses.iter().map(|code| LiveStatus::from_code(*code));
    statuses.collect::<Option<_>>().ok_or(WireError("live_statuses"))
}

#[cfg(test)]
mod tests {
    use hitmachine_core::{SubjectClass, SubjectClass::Adult};
    use prost::Message;

    use super::*;

    fn opening(class: SubjectClass) -> Vec<u8> {
        let mut bytes = vec![9; 16];
        bytes.extend_from_slice(&[class.code(), 1, 1]);
        bytes.extend_from_slice(&[7; 32]);
        bytes
    }

    #[test]
    fn hit_and_miss_have_the_same_size() {
        let sizes = [LiveStatus::Known, LiveStatus::NotKnown, LiveStatus::CouldNotAsk].map(|status| {
            let sent = answer(7, &[status; 3]);
            assert_eq!(statuses(&sent), Ok(vec![status; 3]));
            sent.encoded_len()
        });
        assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
        for bad in [0, 4, 255] {
            let wrong = v1::LiveAnswer {
                id: 7,
                statuses: vec![1, bad],
            };
            assert_eq!(statuses(&wrong), Err(WireError("live_statuses")));
        }
    }

    type Damage = fn(&mut v1::LiveQuestion);

    #[test]
    fn questions_read_back_and_each_wrong_field_is_named() {
        let subject = LiveSubject::decode(&opening(Adult)).unwrap();
        let asked = LiveQuestion {
            partner: "om".parse().unwrap(),
            deadline: std::time::Duration::from_secs(2),
            frame: vec![1, 2, 3],
            signature: [5; 64],
            subjects: vec![(2, subject.clone())],
        };
        let sent = question(3, &asked);
        let read = parse(&sent).unwrap();
        assert_eq!((read.frame, read.signature), (asked.frame, asked.signature));
        assert_eq!(read.subjects.len(), 1);
        assert_eq!(read.subjects[0].0, 2);
        assert_eq!(read.subjects[0].1.digest(), subject.digest());

        let cases: [(&str, Damage); 5] = [
            ("live_frame", |q| q.frame = vec![0; MAX_FRAME_BYTES + 1]),
            ("live_signature", |q| q.signature.truncate(63)),
            ("live_opening", |q| q.subjects[0].opening.push(0)),
            ("live_opening", |q| q.subjects[0].opening.truncate(18)),
            ("live_opening", |q| q.subjects[0].opening[16] = 3),
        ];
        for (field, damage) in cases {
            let mut wrong = sent.clone();
            damage(&mut wrong);
            assert_eq!(parse(&wrong).unwrap_err(), WireError(field));
        }
    }
}
