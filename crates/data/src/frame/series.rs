//! Columns that the `parquet` crate has decoded, as polars columns.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{self as types, ArrowNativeType, DataType as ArrowType};
use polars::prelude::{
    BooleanChunked, ChunkedArray, Column, Float32Type, Float64Type, Int8Type, Int32Type, Int64Type, IntoColumn,
    IntoSeries, NamedFromOwned, PolarsNumericType, Series, StringChunked,
};

use crate::{Fault, Result};

/// The values of these arrays, of which there is at least one and which all have the same type, one after the other in one
/// piece. Copying them is little beside decoding them.
///
/// # Errors
/// When frames have no columns of this type.
pub(super) fn column(name: &str, pieces: &[ArrayRef]) -> Result<Column> {
    let kind = pieces.first().map_or(&ArrowType::Null, |array| array.data_type());
    Ok(match kind {
        ArrowType::Int8 => numbers::<Int8Type, types::Int8Type>(name, pieces),
        ArrowType::Int32 => numbers::<Int32Type, types::Int32Type>(name, pieces),
        ArrowType::Int64 => numbers::<Int64Type, types::Int64Type>(name, pieces),
        ArrowType::Float32 => numbers::<Float32Type, types::Float32Type>(name, pieces),
        ArrowType::Float64 => numbers::<Float64Type, types::Float64Type>(name, pieces),
        ArrowType::Boolean => {
            let values = pieces.iter().flat_map(AsArray::as_boolean);
            values.collect::<BooleanChunked>().with_name(name.into()).into_series().into_column()
        }
        ArrowType::Utf8 => {
            let values = pieces.iter().flat_map(AsArray::as_string::<i32>);
            values.collect::<StringChunked>().with_name(name.into()).into_series().into_column()
        }
        other => return Err(Fault::data(format!("column `{name}` has the type {other}, which no frame has"))),
    })
}

fn numbers<P, A>(name: &str, pieces: &[ArrayRef]) -> Column
where
    P: PolarsNumericType,
    P::Native: ArrowNativeType,
    A: ArrowPrimitiveType<Native = P::Native>,
    Series: NamedFromOwned<Vec<P::Native>>,
    ChunkedArray<P>: IntoSeries + FromIterator<Option<P::Native>>,
{
    let pieces = || pieces.iter().map(AsArray::as_primitive::<A>);
    if pieces().any(|values| values.null_count() > 0) {
        let values = pieces().flatten().collect::<ChunkedArray<P>>();
        return values.with_name(name.into()).into_series().into_column();
    }
    let mut all = Vec::with_capacity(pieces().map(Array::len).sum());
    for values in pieces() {
        all.extend_from_slice(values.values());
    }
    Series::from_vec(name.into(), all).into_column()
}
