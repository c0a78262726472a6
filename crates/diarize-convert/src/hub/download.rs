//! Downloads of files, with retries and verification.

use std::{ops::Range, slice::Iter, thread, time::Duration};

use ureq::http::StatusCode;

use super::{
    HubError,
    client::{Client, PAUSES, unexpected},
    http::Answer,
    metadata::{ENCODED, Metadata},
    part::Part,
};
use crate::source::MAX_FILE;

/// Number of bytes that are read from the network and written to the disk at once.
const BLOCK: usize = 1 << 16;

/// The problem with a response that does not end.
const ENDLESS: &str = "it is larger than any model";

/// Why an attempt stopped.
pub(super) enum Stop {
    /// The connection broke, for this reason. Another attempt may succeed.
    Interrupted(String),
    /// Another attempt would fail as well, unless the error is temporary.
    Failed(HubError),
}

impl From<HubError> for Stop {
    fn from(error: HubError) -> Self {
        Stop::Failed(error)
    }
}

/// The download of one file.
pub(super) struct Transfer<'a> {
    client: &'a Client<'a>,
    file: &'a str,
    metadata: &'a Metadata,
    part: &'a mut Part,
    /// Receives the number of bytes so far and in total.
    report: &'a mut dyn FnMut(u64, Option<u64>),
    /// Whether the server has refused to resume, so that the download started again from zero.
    restarted: bool,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(
        client: &'a Client<'a>,
        file: &'a str,
        metadata: &'a Metadata,
        part: &'a mut Part,
        report: &'a mut dyn FnMut(u64, Option<u64>),
    ) -> Self {
        Self { client, file, metadata, part, report, restarted: false }
    }

    /// Downloads the file, resuming where `part` ends, and verifies its hash.
    pub(super) fn run(mut self) -> Result<(), HubError> {
        let Some(hash) = self.metadata.hash() else {
            return self.complete();
        };
        let expected = &self.metadata.etag;
        loop {
            let resumed = self.part.length() > 0;
            self.complete()?;
            let found = self.part.hash(hash)?;
            if found.eq_ignore_ascii_case(expected) {
                return Ok(());
            }
            self.part.clear()?;
            // The error may be in bytes left by an earlier call, so start again from zero once.
            if !resumed {
                let (file, expected) = (self.file.to_owned(), expected.clone());
                return Err(HubError::WrongHash { file, expected, found });
            }
        }
    }

    /// Downloads until the file is complete, retrying after interruptions.
    fn complete(&mut self) -> Result<(), HubError> {
        let mut pauses: Iter<Duration> = PAUSES.iter();
        let mut furthest = self.part.length();
        loop {
            let outcome = self.resume().map_err(|stop| match stop {
                Stop::Failed(error) => error,
                Stop::Interrupted(reason) => HubError::Interrupted {
                    file: self.file.to_owned(),
                    done: self.part.length(),
                    total: self.metadata.size,
                    reason,
                },
            });
            // Only attempts in a row without new bytes count, so that a bad connection can finish a long download.
            if self.part.length() > furthest {
                furthest = self.part.length();
                pauses = PAUSES.iter();
            }
            match (outcome, pauses.next()) {
                (Err(error), Some(pause)) if error.is_temporary() => thread::sleep(*pause),
                (outcome, _) => return outcome,
            }
        }
    }

    /// Downloads until the file is complete or the connection is interrupted.
    fn resume(&mut self) -> Result<(), Stop> {
        // Resume only if a hash can verify the complete file.
        let rest = match (self.metadata.hash(), self.metadata.size) {
            (Some(_), Some(size)) if self.part.length() == size => return Ok(()),
            (Some(_), Some(size)) if (1..size).contains(&self.part.length()) => {
                Some(self.part.length()..size)
            }
            _ => None,
        };
        let answer = match rest {
            Some(rest) => self.request_rest(rest)?,
            None => self.request_all()?,
        };
        if answer.is_encoded() {
            let url = answer.address().bare();
            return Err(Stop::Failed(HubError::NotAHub { url, problem: ENCODED }));
        }
        self.receive(answer)
    }

    /// Discards all bytes and requests the whole file.
    fn request_all(&mut self) -> Result<Answer, Stop> {
        self.part.clear()?;
        (self.report)(0, self.metadata.size);
        let answer = self.client.get(self.file, self.metadata, None)?;
        if !answer.status().is_success() || answer.status() == StatusCode::PARTIAL_CONTENT {
            return Err(Stop::Failed(unexpected(&answer)));
        }
        Ok(answer)
    }

    /// Requests the rest of the file. The response may also be the whole file.
    fn request_rest(&mut self, rest: Range<u64>) -> Result<Answer, Stop> {
        (self.report)(rest.start, self.metadata.size);
        let start = rest.start;
        let answer = self.client.get(self.file, self.metadata, Some(rest))?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if answer.starts_at(start) => Ok(answer),
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if self.restarted => {
                Err(Stop::Interrupted("the server does not send the rest of the file".to_owned()))
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                self.restarted = true;
                self.request_all()
            }
            status if status.is_success() => {
                // A server without support for ranges sends the whole file again.
                self.part.clear()?;
                Ok(answer)
            }
            _ => Err(Stop::Failed(unexpected(&answer))),
        }
    }

    /// Appends the body of a response to `part`.
    fn receive(&mut self, mut answer: Answer) -> Result<(), Stop> {
        let size = self.metadata.size;
        let mut block = vec![0; BLOCK];
        loop {
            let read = answer.read(&mut block).map_err(Stop::Interrupted)?;
            if read == 0 {
                break;
            }
            self.part.append(&block[..read])?;
            if size.is_some_and(|size| self.part.length() > size) {
                self.part.clear()?;
                return Err(Stop::Interrupted("the server sent more bytes than the file has".to_owned()));
            }
            if self.part.length() > MAX_FILE {
                self.part.clear()?;
                let url = answer.address().bare();
                return Err(Stop::Failed(HubError::NotAHub { url, problem: ENDLESS }));
            }
            (self.report)(self.part.length(), size);
        }
        match size {
            Some(size) if self.part.length() < size => {
                Err(Stop::Interrupted("the server closed the connection early".to_owned()))
            }
            _ => Ok(()),
        }
    }
}
