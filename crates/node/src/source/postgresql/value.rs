//! Fields of PostgreSQL in its binary form, of the types in which exports hold numbers, texts and dates.

use std::error::Error;

use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Kind, Type};

use super::super::cells::Value;
use super::super::issue::IssueKind;

/// Day 0 of PostgreSQL.
const EPOCH: Date = date(2000, 1, 1);
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// A field as it came.
pub(super) struct Field<'a>(Result<Value<'a>, IssueKind>);

impl<'a> Field<'a> {
    /// Column `place` of a row.
    pub(super) fn of(row: &'a Row, place: usize) -> Result<Value<'a>, IssueKind> {
        row.try_get::<_, Field<'a>>(place)
            .map_or(Err(IssueKind::CellType), |field| field.0)
    }
}

impl<'a> FromSql<'a> for Field<'a> {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(value(of, raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Ok(Value::Empty)))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn value<'a>(of: &Type, raw: &'a [u8]) -> Result<Value<'a>, IssueKind> {
    let wrong = IssueKind::CellType;
    if let Kind::Domain(inner) = of.kind() {
        return value(inner, raw);
    }
    let text = || {
        std::str::from_utf8(raw)
            .map(Value::text)
            .map_err(|_| IssueKind::Encoding)
    };
    if matches!(of.kind(), Kind::Enum(_)) || of.name() == "citext" {
        return text();
    }
    Ok(match *of {
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => text()?,
        Type::INT2 => Value::Whole(i16::from_be_bytes(raw.try_into().map_err(|_| wrong)?).into()),
        Type::INT4 => Value::Whole(i32::from_be_bytes(raw.try_into().map_err(|_| wrong)?).into()),
        Type::INT8 => Value::Whole(i64::from_be_bytes(raw.try_into().map_err(|_| wrong)?)),
        Type::FLOAT8 => Value::number(f64::from_be_bytes(raw.try_into().map_err(|_| wrong)?)),
        Type::NUMERIC => Value::Whole(whole_numeric(raw)?),
        Type::DATE => {
            let days = i32::from_be_bytes(raw.try_into().map_err(|_| wrong)?);
            Value::Date(day(i64::from(days))?)
        }
        Type::TIMESTAMP => {
            let microseconds = i64::from_be_bytes(raw.try_into().map_err(|_| wrong)?);
            Value::Date(day(microseconds.div_euclid(MICROSECONDS_A_DAY))?)
        }
        Type::TIMESTAMPTZ => {
            let microseconds = i64::from_be_bytes(raw.try_into().map_err(|_| wrong)?);
            Value::Date(day_where_people_live(microseconds)?)
        }
        _ => return Err(wrong),
    })
}

fn day(since_2000: i64) -> Result<Date, IssueKind> {
    let span = 0.days().try_days(since_2000);
    span.and_then(|span| EPOCH.checked_add(span))
        .map_err(|_| IssueKind::DateForm)
}

fn day_where_people_live(microseconds_since_2000: i64) -> Result<Date, IssueKind> {
    let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
    let epoch = EPOCH.to_zoned(TimeZone::UTC).map_err(|_| IssueKind::DateForm)?;
    let span = 0.microseconds().try_microseconds(microseconds_since_2000);
    let at = span.and_then(|span| epoch.timestamp().checked_add(span));
    Ok(at.map_err(|_| IssueKind::DateForm)?.to_zoned(zone).date())
}

/// `numeric` in its binary form: number of digits, weight of the first, sign, digits behind the point that are shown,
/// and the digits to base 10,000.
fn whole_numeric(raw: &[u8]) -> Result<i64, IssueKind> {
    let mut words = raw
        .chunks_exact(2)
        .map(|pair| i16::from_be_bytes([pair[0], pair[1]]));
    let mut next = || words.next().ok_or(IssueKind::CellType);
    let (count, weight, sign, _scale) = (next()?, next()?, next()?, next()?);
    if sign != 0 {
        return Err(IssueKind::NotWhole); // negative, infinite or not a number
    }
    let mut number: i64 = 0;
    for place in 0..i32::from(count.max(0)) {
        let digit = i64::from(next()?);
        if place > i32::from(weight) {
            // Behind the point: only zeros make a whole number.
            if digit != 0 {
                return Err(IssueKind::NotWhole);
            }
        } else {
            number = push(number, digit)?;
        }
    }
    // Trailing zeros before the point are not sent.
    for _ in i32::from(count.max(0))..=i32::from(weight) {
        number = push(number, 0)?;
    }
    Ok(number)
}

fn push(number: i64, digit: i64) -> Result<i64, IssueKind> {
    number
        .checked_mul(10_000)
        .and_then(|number| number.checked_add(digit))
        .ok_or(IssueKind::CellType)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(words: &[i16]) -> Result<i64, IssueKind> {
        let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        whole_numeric(&raw)
    }

    #[test]
    fn numerics() {
        assert_eq!(numeric(&[3, 2, 0, 0, 9, 9999, 19]), Ok(999_990_019));
        assert_eq!(
            numeric(&[1, 1, 0, 0, 5]),
            Ok(50_000),
            "trailing zeros are not sent"
        );
        assert_eq!(numeric(&[0, 0, 0, 0]), Ok(0));
        assert_eq!(
            numeric(&[1, 0, 0x4000, 0, 5]),
            Err(IssueKind::NotWhole),
            "negative"
        );
        assert_eq!(numeric(&[2, 0, 0, 1, 5, 5000]), Err(IssueKind::NotWhole), "5.5");
        assert_eq!(numeric(&[1, -1, 0, 1, 5000]), Err(IssueKind::NotWhole), "0.5");
        assert_eq!(numeric(&[1, 100, 0, 0, 1]), Err(IssueKind::CellType), "huge");
        assert_eq!(numeric(&[2, 1, 0, 0, 5]), Err(IssueKind::CellType), "cut off");
        assert_eq!(numeric(&[]), Err(IssueKind::CellType));
    }

    #[test]
    fn dates() {
        let of = |of: &Type, raw: &[u8]| value(of, raw).map(|value| value.shown().unwrap().into_owned());
        assert_eq!(
            of(&Type::DATE, &(-1_i32).to_be_bytes()).as_deref(),
            Ok("1999-12-31")
        );
        assert_eq!(
            of(&Type::DATE, &i32::MAX.to_be_bytes()),
            Err(IssueKind::DateForm),
            "infinity"
        );
        assert_eq!(
            of(&Type::TIMESTAMP, &(-1_i64).to_be_bytes()).as_deref(),
            Ok("1999-12-31")
        );
        // Midnight in Amsterdam is the evening before in UTC.
        let evening = -3_600_000_000_i64;
        assert_eq!(
            of(&Type::TIMESTAMPTZ, &evening.to_be_bytes()).as_deref(),
            Ok("2000-01-01")
        );
        assert_eq!(of(&Type::BOOL, &[1]), Err(IssueKind::CellType));
        assert_eq!(of(&Type::INT4, &[1]), Err(IssueKind::CellType));
    }
}
