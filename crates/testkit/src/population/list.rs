//! The screening list: households, who lives in them, and where they are known.

use super::{
    AgeClass, Ages, Draft, LIST_HOUSEHOLDS, LIST_HOUSEHOLDS_WITHOUT_INDICATION, LIST_PERSONS, Register,
};
use crate::rng::Rng;

/// Largest household drawn.
const MAX_HOUSEHOLD: usize = 6;
/// How many of the households without a municipal indication are known at OM: between these, by seed.
const KNOWN_AT_OM: (u64, u64) = (18, 35);

/// The persons on the list in its order, with the registers that know them marked.
pub(super) fn draw(rng: &mut Rng, ages: &Ages) -> Vec<Draft> {
    let mut households: Vec<Vec<Draft>> = sizes(rng)
        .into_iter()
        .zip(1_u16..)
        .map(|(size, household)| compose(rng, ages, size, household))
        .collect();

    let mut order: Vec<usize> = (0..households.len()).collect();
    rng.shuffle(&mut order);
    let (without, with) = order.split_at(LIST_HOUSEHOLDS_WITHOUT_INDICATION);
    for &at in with {
        indicate(rng, ages, &mut households[at]);
        if rng.percent(40) {
            know_at_om(rng, ages, &mut households[at]);
        }
    }
    let known_at_om = rng.between(KNOWN_AT_OM.0, KNOWN_AT_OM.1);
    for (&at, _) in without.iter().zip(0..known_at_om) {
        know_at_om(rng, ages, &mut households[at]);
    }
    households.into_iter().flatten().collect()
}

/// One person in every household, the others spread at random.
fn sizes(rng: &mut Rng) -> Vec<usize> {
    let mut sizes = vec![1; LIST_HOUSEHOLDS];
    let mut left = LIST_PERSONS - LIST_HOUSEHOLDS;
    while left > 0 {
        let at = rng.index(sizes.len());
        if sizes[at] < MAX_HOUSEHOLD {
            sizes[at] += 1;
            left -= 1;
        }
    }
    sizes
}

/// An adult first, then mostly children. Who is listed alone is sometimes a youth; always somebody who can be
/// known at OM, so that every household can.
fn compose(rng: &mut Rng, ages: &Ages, size: usize, household: u16) -> Vec<Draft> {
    (1_u16..)
        .take(size)
        .map(|member| {
            let alone = size == 1;
            let minor = if member == 1 {
                alone && rng.percent(25)
            } else {
                rng.percent(60)
            };
            let class = if minor { AgeClass::Minor } else { AgeClass::Adult };
            let birth_date = if minor && alone {
                ages.older_minor(rng)
            } else {
                ages.birth_date(rng, class)
            };
            Draft {
                household: Some(household),
                member,
                ..Draft::other(class, birth_date)
            }
        })
        .collect()
}

/// Makes at least one person of the household known at a municipal register that admits this class.
fn indicate(rng: &mut Rng, ages: &Ages, household: &mut [Draft]) {
    let mut possible = Vec::new();
    let mut known = false;
    for (at, person) in household.iter_mut().enumerate() {
        for (register, percent) in [
            (Register::Leerplicht, 45),
            (Register::Schuldhulpverlening, 40),
            (Register::Regieteams, 30),
        ] {
            if person.may_be_in(register, ages) {
                possible.push((at, register));
                if rng.percent(percent) {
                    person.knows(register);
                    known = true;
                }
            }
        }
    }
    if !known && let Some(&(at, register)) = possible.get(rng.index(possible.len())) {
        household[at].knows(register);
    }
}

/// Makes one person of the household known at OM, and sometimes others.
fn know_at_om(rng: &mut Rng, ages: &Ages, household: &mut [Draft]) {
    let mut possible: Vec<&mut Draft> = household
        .iter_mut()
        .filter(|person| person.may_be_in(Register::OmReclassering, ages))
        .collect();
    let chosen = rng.index(possible.len());
    for (at, person) in possible.iter_mut().enumerate() {
        if at == chosen || rng.percent(20) {
            person.knows(Register::OmReclassering);
        }
    }
}
