//! `swell.merge(histogram)`: many histograms as one, so that a percentile over seconds, steps or runs is one of what was
//! measured and never one of percentiles.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use metrics::Histogram;

use super::functions;

pub(crate) fn merge() -> AggregateUDF {
    let signature = Signature::exact(vec![functions::histogram()], Volatility::Immutable);
    AggregateUDF::from(Merge { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Merge {
    signature: Signature,
}

impl AggregateUDFImpl for Merge {
    fn name(&self) -> &'static str {
        "swell.merge"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(functions::histogram())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Merged(Histogram::new())))
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(arrow_schema::Field::new("merged", functions::histogram(), true))])
    }
}

#[derive(Debug)]
struct Merged(Histogram);

impl Merged {
    fn value(&self) -> Result<ScalarValue> {
        let (bins, counts): (Vec<_>, Vec<_>) = self.0.bins().unzip();
        let bins = bins.into_iter().map(|bin| Some(i32::try_from(bin).unwrap_or(i32::MAX)));
        let counts = counts.into_iter().map(|count| Some(i64::try_from(count).unwrap_or(i64::MAX)));
        let bins =
            arrow_array::ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([Some(bins)]);
        let counts =
            arrow_array::ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>([Some(
                counts,
            )]);
        let columns: Vec<ArrayRef> = vec![Arc::new(bins), Arc::new(counts)];
        let pair = StructArray::try_new(functions::histogram_fields(), columns, None)?;
        Ok(ScalarValue::Struct(Arc::new(pair)))
    }
}

impl Accumulator for Merged {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let pairs = values[0].as_struct();
        let (bins, counts) = (pairs.column(0).as_list::<i32>(), pairs.column(1).as_list::<i32>());
        for row in 0..pairs.len() {
            if pairs.is_valid(row) && bins.is_valid(row) && counts.is_valid(row) {
                self.0.merge(&functions::read(&bins.value(row), &counts.value(row))?);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.value()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value()?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.memory_bytes()
    }
}
