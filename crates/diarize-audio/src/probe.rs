//! Finding the reader for a container.

use std::fs::File;

use symphonia::core::{
    errors::{Error as SymphoniaError, Result as SymphoniaResult},
    formats::{FormatReader, probe::Hint, well_known::FORMAT_ID_ISOMP4},
    io::{MediaSource, MediaSourceStream},
};

use crate::{
    Error,
    source::{self, Pipe, Source},
};

/// Start of Symphonia's message if no reader recognizes the container.
const NO_READER: &str = "core (probe)";

/// Finds the reader for a recording's container.
pub(crate) fn probe(source: Source) -> Result<Box<dyn FormatReader>, Error> {
    match source {
        Source::File(file) => probe_file(&file),
        Source::Pipe(pipe) => probe_pipe(pipe),
    }
}

fn probe_file(file: &File) -> Result<Box<dyn FormatReader>, Error> {
    let error = match probe_stream(source::seekable(file)?) {
        Ok(format) => return Ok(format),
        Err(error) => error,
    };
    // Some readers first look for data after the audio and fail if the file is truncated.
    probe_stream(source::forward_only(file)?).map_err(|_| refusal(error))
}

fn probe_pipe(pipe: Pipe) -> Result<Box<dyn FormatReader>, Error> {
    match probe_stream(Box::new(pipe.clone())) {
        Ok(format) if reads_forward(&*format) => {
            pipe.forget();
            Ok(format)
        }
        _ if pipe.is_empty() => Err(Error::Empty),
        Err(error) if is_unknown(&error) => Err(Error::UnknownFormat),
        _ => probe_file(&pipe.into_file()?),
    }
}

/// Whether a reader reads its file sequentially. Packets of an MP4 file are ordered by time, which is not
/// sequential if there are several tracks.
fn reads_forward(format: &dyn FormatReader) -> bool {
    format.format_info().format != FORMAT_ID_ISOMP4 || format.tracks().len() == 1
}

fn probe_stream(source: Box<dyn MediaSource>) -> SymphoniaResult<Box<dyn FormatReader>> {
    let stream = MediaSourceStream::new(source, Default::default());
    symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default())
}

fn is_unknown(error: &SymphoniaError) -> bool {
    matches!(error, SymphoniaError::Unsupported(reason) if reason.starts_with(NO_READER))
}

fn refusal(error: SymphoniaError) -> Error {
    match is_unknown(&error) {
        true => Error::UnknownFormat,
        false => Error::Header(error.to_string()),
    }
}
