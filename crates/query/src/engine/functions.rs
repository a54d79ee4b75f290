//! Functions over times and histograms, under the names that they have in PostgreSQL.
//!
//! Invariant: `swell.bin_ms` and `swell.percentile` say what the program's own results say, since both ask `metrics`.

use std::sync::Arc;

use arrow_array::builder::Float64Builder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, StructArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use metrics::{Histogram, bin_bounds};

/// All of them.
pub(crate) fn all() -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::from(Bucket::new("time_bucket")),
        ScalarUDF::from(Bucket::new("swell.bucket")),
        ScalarUDF::from(OfBin::new("swell.bin_ms", middle_ms)),
        ScalarUDF::from(OfBin::new("swell.bin_from_ms", |bin| bin_bounds(bin).start as f64 / 1e6)),
        ScalarUDF::from(Pair::new()),
        ScalarUDF::from(Percentile::new()),
    ]
}

/// A list, as the tables have it.
fn list(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(of, true)))
}

/// `swell.histogram`: bins ascending, and how often each was counted.
pub(crate) fn histogram() -> DataType {
    DataType::Struct(histogram_fields())
}

pub(crate) fn histogram_fields() -> Fields {
    Fields::from(vec![
        Field::new("bins", list(DataType::Int32), true),
        Field::new("counts", list(DataType::Int64), true),
    ])
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// `time_bucket(width, time)`: the beginning of the span of `width` that a time lies in, counted from where TimescaleDB
/// counts: Monday 3 January 2000, and for months 1 January 2000.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bucket {
    name: &'static str,
    signature: Signature,
}

impl Bucket {
    fn new(name: &'static str) -> Self {
        Self { name, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

const DAY_US: i64 = 86_400_000_000;
/// 2000-01-03 in Unix days.
const MONDAY: i64 = 10_959;

impl ScalarUDFImpl for Bucket {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [_, DataType::Timestamp(..) | DataType::Date32 | DataType::Null] => {
                Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano), time()])
            }
            _ => plan_err!("{} takes a width such as '1 minute', and a time", self.name),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(time())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [width, times] = arguments.args.as_slice() else {
            return exec_err!("{} takes a width and a time", self.name);
        };
        let ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(width))) = width else {
            return exec_err!("the width of {} is one value, such as '1 minute'", self.name);
        };
        let days_us = i64::from(width.days).checked_mul(DAY_US);
        let span_us = days_us.and_then(|days_us| days_us.checked_add(width.nanoseconds / 1_000));
        let Some(span_us) = span_us else {
            return exec_err!("the width of {} is too great", self.name);
        };
        let begin = |us: i64| match width.months {
            0 => (us - MONDAY * DAY_US).div_euclid(span_us) * span_us + MONDAY * DAY_US,
            months => begin_of_months(us, i64::from(months)),
        };
        if width.months < 0 || span_us < 0 || (width.months == 0) == (span_us == 0) {
            return exec_err!(
                "the width of {} is greater than nothing, and either months or days and less",
                self.name
            );
        }
        let of_array = |times: &ArrayRef| -> TimestampMicrosecondArray {
            times.as_primitive::<TimestampMicrosecondType>().unary(begin)
        };
        match times {
            ColumnarValue::Array(times) => {
                Ok(ColumnarValue::Array(Arc::new(of_array(times).with_timezone("UTC"))))
            }
            ColumnarValue::Scalar(one) => {
                let begin = of_array(&one.to_array()?).with_timezone("UTC");
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&begin, 0)?))
            }
        }
    }
}

/// The beginning of the span of so many months since January 2000.
fn begin_of_months(us: i64, months: i64) -> i64 {
    let (year, month) = month_of(us.div_euclid(DAY_US));
    let since = ((year - 2000) * 12 + month - 1).div_euclid(months) * months;
    days_to(2000 + since.div_euclid(12), since.rem_euclid(12) + 1) * DAY_US
}

/// Year and month (from 1) of a Unix day (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn month_of(day: i64) -> (i64, i64) {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let in_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month)
}

/// The Unix day on which a month begins (<https://howardhinnant.github.io/date_algorithms.html#days_from_civil>).
fn days_to(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5;
    era * 146_097 + year * 365 + year / 4 - year / 100 + in_year - 719_468
}

/// A function of a bin that gives milliseconds.
#[derive(Debug)]
struct OfBin {
    name: &'static str,
    signature: Signature,
    ms: fn(u32) -> f64,
}

impl OfBin {
    fn new(name: &'static str, ms: fn(u32) -> f64) -> Self {
        Self { name, signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable), ms }
    }
}

impl PartialEq for OfBin {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for OfBin {}

impl std::hash::Hash for OfBin {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

fn middle_ms(bin: u32) -> f64 {
    let bounds = bin_bounds(bin);
    (bounds.start + (bounds.end - 1 - bounds.start) / 2) as f64 / 1e6
}

impl ScalarUDFImpl for OfBin {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let bins = arrays[0].as_primitive::<Int64Type>();
        let ms: Float64Array = bins.unary(|bin| (self.ms)(u32::try_from(bin).unwrap_or(0)));
        Ok(ColumnarValue::Array(Arc::new(ms)))
    }
}

/// `swell.histogram(bins, counts)`: two columns as one value.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Pair {
    signature: Signature,
}

impl Pair {
    fn new() -> Self {
        let columns = vec![list(DataType::Int32), list(DataType::Int64)];
        Self { signature: Signature::exact(columns, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Pair {
    fn name(&self) -> &'static str {
        "swell.histogram"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(histogram())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(histogram_fields(), columns, None)?)))
    }
}

/// `swell.percentile(bins, counts, q)` and `swell.percentile(histogram, q)`: the milliseconds that the share `q` (0 to 1)
/// does not exceed.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Percentile {
    signature: Signature,
}

impl Percentile {
    fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Percentile {
    fn name(&self) -> &'static str {
        "swell.percentile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [DataType::Struct(_), _] => Ok(vec![histogram(), DataType::Float64]),
            [DataType::List(_), DataType::List(_), _] => {
                Ok(vec![list(DataType::Int32), list(DataType::Int64), DataType::Float64])
            }
            _ => {
                plan_err!("swell.percentile takes bins and counts, or a histogram, and a share such as 0.95")
            }
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let (bins, counts, share) = match arrays.as_slice() {
            [pair, share] => {
                let pair = pair.as_struct();
                (pair.column(0), pair.column(1), share)
            }
            [bins, counts, share] => (bins, counts, share),
            _ => return exec_err!("swell.percentile takes two or three values"),
        };
        let (bins, counts): (&ListArray, &ListArray) = (bins.as_list(), counts.as_list());
        let shares = share.as_primitive::<arrow_array::types::Float64Type>();
        let mut found = Float64Builder::with_capacity(shares.len());
        for row in 0..shares.len() {
            let whole = bins.is_valid(row) && counts.is_valid(row) && shares.is_valid(row);
            let share = shares.value(row);
            if whole && !(0.0..=1.0).contains(&share) {
                return exec_err!("a share lies between 0 and 1, and {share} does not");
            }
            let histogram = whole.then(|| read(&bins.value(row), &counts.value(row))).transpose()?;
            let ns = histogram.and_then(|histogram| histogram.quantile(share));
            found.append_option(ns.map(|ns| ns as f64 / 1e6));
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}

/// The histogram of these bins and counts.
pub(crate) fn read(bins: &ArrayRef, counts: &ArrayRef) -> Result<Histogram> {
    let (bins, counts) = (bins.as_primitive::<Int32Type>(), counts.as_primitive::<Int64Type>());
    let pairs = bins.values().iter().zip(counts.values());
    let pairs = pairs.map(|(bin, count)| Some((u32::try_from(*bin).ok()?, u64::try_from(*count).ok()?)));
    let pairs: Option<Vec<(u32, u64)>> = pairs.collect();
    match pairs.and_then(|pairs| Histogram::from_bins(pairs, 0)) {
        Some(histogram) if bins.len() == counts.len() => Ok(histogram),
        _ => exec_err!("these are no bins of a histogram, ascending and each with its count"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_where_the_calendar_says() {
        for (day, year, month) in
            [(0, 1970, 1), (10_957, 2000, 1), (11_016, 2000, 2), (11_017, 2000, 3), (-1, 1969, 12)]
        {
            assert_eq!(month_of(day), (year, month), "{day}");
        }
        for (year, month, day) in [(1970, 1, 0), (2000, 1, 10_957), (2000, 3, 11_017), (2026, 12, 20_788)] {
            assert_eq!(days_to(year, month), day, "{year}-{month}");
        }
        for month in -500..1_000 {
            let day = days_to(2000 + i64::div_euclid(month, 12), i64::rem_euclid(month, 12) + 1);
            assert_eq!(begin_of_months(day * DAY_US, 1), day * DAY_US);
            assert_eq!(begin_of_months(day * DAY_US + 27 * DAY_US, 1), day * DAY_US);
        }
    }
}
