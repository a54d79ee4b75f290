//! Rows of values that become columns.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use metrics::Histogram;

/// Rows of a batch at most.
const ROWS: usize = 2_048;

/// Bins of a batch, after which it is closed: some MB.
const BINS: usize = 1 << 18;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Texts,
    Flag,
    Int,
    Long,
    Real,
    /// A time, given in Unix milliseconds.
    Time,
    /// The bins of a histogram.
    Bins,
    /// How often each of them was counted.
    Counts,
}

/// Name and content of a column.
pub(super) type Column = (&'static str, Kind);

/// A value of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    Text(&'a str),
    Texts(&'a [String]),
    Flag(bool),
    Int(u32),
    Long(u64),
    Real(f64),
    Time(i64),
    Bins(&'a Histogram),
    Counts(&'a Histogram),
}

impl<'a> Value<'a> {
    pub(super) fn maybe<T>(value: Option<T>, of: impl FnOnce(T) -> Value<'a>) -> Self {
        value.map_or(Self::Null, of)
    }
}

enum Builder {
    Text(StringBuilder),
    Texts(ListBuilder<StringBuilder>),
    Flag(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Real(Float64Builder),
    Time(TimestampMicrosecondBuilder),
    Ints(ListBuilder<Int32Builder>),
    Longs(ListBuilder<Int64Builder>),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Texts => Self::Texts(ListBuilder::new(StringBuilder::new())),
            Kind::Flag => Self::Flag(BooleanBuilder::new()),
            Kind::Int => Self::Int(Int32Builder::new()),
            Kind::Long => Self::Long(Int64Builder::new()),
            Kind::Real => Self::Real(Float64Builder::new()),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Kind::Bins => Self::Ints(ListBuilder::new(Int32Builder::new())),
            Kind::Counts => Self::Longs(ListBuilder::new(Int64Builder::new())),
        }
    }

    /// Adds a value; one of another kind is null, which the tests of each table would show.
    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Text(to), Value::Text(text)) => to.append_value(text),
            (Self::Texts(to), Value::Texts(texts)) => to.append_value(texts.iter().map(Some)),
            (Self::Flag(to), Value::Flag(flag)) => to.append_value(flag),
            (Self::Int(to), Value::Int(int)) => to.append_value(i32::try_from(int).unwrap_or(i32::MAX)),
            (Self::Long(to), Value::Long(long)) => to.append_value(i64::try_from(long).unwrap_or(i64::MAX)),
            (Self::Real(to), Value::Real(real)) => to.append_value(real),
            (Self::Time(to), Value::Time(ms)) => to.append_value(ms.saturating_mul(1_000)),
            (Self::Ints(to), Value::Bins(histogram)) => {
                to.append_value(
                    histogram.bins().map(|(bin, _)| Some(i32::try_from(bin).unwrap_or(i32::MAX))),
                );
            }
            (Self::Longs(to), Value::Counts(histogram)) => {
                to.append_value(
                    histogram.bins().map(|(_, count)| Some(i64::try_from(count).unwrap_or(i64::MAX))),
                );
            }
            (Self::Text(to), _) => to.append_null(),
            (Self::Texts(to), _) => to.append_null(),
            (Self::Flag(to), _) => to.append_null(),
            (Self::Int(to), _) => to.append_null(),
            (Self::Long(to), _) => to.append_null(),
            (Self::Real(to), _) => to.append_null(),
            (Self::Time(to), _) => to.append_null(),
            (Self::Ints(to), _) => to.append_null(),
            (Self::Longs(to), _) => to.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(from) => ArrayBuilder::finish(from),
            Self::Texts(from) => ArrayBuilder::finish(from),
            Self::Flag(from) => ArrayBuilder::finish(from),
            Self::Int(from) => ArrayBuilder::finish(from),
            Self::Long(from) => ArrayBuilder::finish(from),
            Self::Real(from) => ArrayBuilder::finish(from),
            Self::Time(from) => ArrayBuilder::finish(from),
            Self::Ints(from) => ArrayBuilder::finish(from),
            Self::Longs(from) => ArrayBuilder::finish(from),
        }
    }
}

/// The columns as a schema.
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let list = |of: DataType| DataType::List(Arc::new(Field::new_list_field(of, true)));
    let fields = columns.iter().map(|(name, kind)| {
        let holds = match kind {
            Kind::Text => DataType::Utf8,
            Kind::Texts => list(DataType::Utf8),
            Kind::Flag => DataType::Boolean,
            Kind::Int => DataType::Int32,
            Kind::Long => DataType::Int64,
            Kind::Real => DataType::Float64,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Bins => list(DataType::Int32),
            Kind::Counts => list(DataType::Int64),
        };
        Field::new(*name, holds, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows on their way into batches.
pub(super) struct Rows<'e> {
    schema: SchemaRef,
    builders: Vec<Builder>,
    len: usize,
    bins: usize,
    each: &'e mut dyn FnMut(RecordBatch) -> bool,
    enough: bool,
}

impl<'e> Rows<'e> {
    pub(super) fn new(columns: &[Column], each: &'e mut dyn FnMut(RecordBatch) -> bool) -> Self {
        let builders = columns.iter().map(|(_, kind)| Builder::new(*kind)).collect();
        Self { schema: schema(columns), builders, len: 0, bins: 0, each, enough: false }
    }

    /// Adds a row: a value for each column, in their order.
    pub(super) fn push(&mut self, values: &[Value<'_>]) {
        debug_assert_eq!(values.len(), self.builders.len(), "a value per column");
        if self.enough {
            return;
        }
        for (builder, value) in self.builders.iter_mut().zip(values) {
            if let Value::Bins(histogram) = value {
                self.bins += histogram.bins().count();
            }
            builder.push(*value);
        }
        self.len += 1;
        if self.len >= ROWS || self.bins >= BINS {
            self.finish();
        }
    }

    /// Hands over the rows since the last batch.
    pub(super) fn finish(&mut self) {
        if self.len == 0 || self.enough {
            return;
        }
        let columns = self.builders.iter_mut().map(Builder::finish).collect();
        (self.len, self.bins) = (0, 0);
        // The builders are those of the schema, and each has a value per row.
        if let Ok(batch) = RecordBatch::try_new(Arc::clone(&self.schema), columns) {
            self.enough = !(self.each)(batch);
        }
    }
}
