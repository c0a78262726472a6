//! A Parquet table of turns, for tools that read thousands of such files as one table.

use std::sync::Arc;

use diarize::Turn;
use parquet::{
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType},
    file::{properties::WriterProperties, writer::SerializedFileWriter, writer::SerializedRowGroupWriter},
    schema::parser::parse_message_type,
};

use super::{Recording, overlap::overlaps};

/// The columns. Times are in seconds; `overlap` is the time of the turn in which somebody else speaks too. Results have no
/// `error`: the column is that of the same table from Python.
const SCHEMA: &str = "message turns {
    optional binary file (STRING);
    optional double start;
    optional double end;
    optional binary speaker (STRING);
    optional double confidence;
    optional double overlap;
    optional binary error (STRING);
}";

/// One row per turn. A recording in which nobody speaks has one row with nothing but its name.
pub(super) fn render(recording: &Recording<'_>, turns: &[Turn]) -> anyhow::Result<Vec<u8>> {
    let rows = turns.len().max(1);
    let numbers = |number: fn(&Turn) -> Option<f64>| -> Vec<Option<f64>> {
        let mut numbers: Vec<Option<f64>> = turns.iter().map(number).collect();
        numbers.resize(rows, None);
        numbers
    };
    let mut speakers: Vec<Option<ByteArray>> =
        turns.iter().map(|turn| Some(turn.speaker.as_str().into())).collect();
    speakers.resize(rows, None);
    let mut overlaps: Vec<Option<f64>> = overlaps(turns).into_iter().map(Some).collect();
    overlaps.resize(rows, None);

    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = Arc::new(WriterProperties::builder().build());
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, properties)?;
    let mut group = file.next_row_group()?;
    column::<ByteArrayType>(&mut group, &vec![Some(recording.file.into()); rows])?;
    column::<DoubleType>(&mut group, &numbers(|turn| Some(turn.start)))?;
    column::<DoubleType>(&mut group, &numbers(|turn| Some(turn.end)))?;
    column::<ByteArrayType>(&mut group, &speakers)?;
    column::<DoubleType>(&mut group, &numbers(|turn| turn.confidence))?;
    column::<DoubleType>(&mut group, &overlaps)?;
    column::<ByteArrayType>(&mut group, &vec![None; rows])?;
    group.close()?;
    file.close()?;
    Ok(bytes)
}

/// Writes the next column.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: &[Option<T::T>],
) -> anyhow::Result<()> {
    let Some(mut writer) = group.next_column()? else { anyhow::bail!("the table has no further column") };
    let present: Vec<T::T> = values.iter().flatten().cloned().collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    writer.typed::<T>().write_batch(&present, Some(&levels), None)?;
    Ok(writer.close()?)
}
