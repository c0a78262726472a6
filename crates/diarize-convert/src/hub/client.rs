//! Requests to a hub for the metadata and the content of files.

use std::{ops::Range, thread, time::Duration};

use ureq::http::{Method, StatusCode};

use super::{
    HubError, Settings,
    address::Address,
    http::{Answer, Http, Timeouts},
    name::{Repo, is_plain},
    part::Part,
};

const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(10), idle: Duration::from_secs(30) };

/// Pauses before the retries. After the last retry, the error is returned.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_millis(1500)];

/// Maximum number of redirects.
const MAX_REDIRECTS: usize = 10;

/// Number of bytes that are read from the network and written to the disk at once.
const BLOCK: usize = 1 << 16;

/// The hub's metadata of a file.
pub(super) struct Metadata {
    /// The commit of the requested revision.
    pub(super) commit: String,
    /// The ETag: a hash of the content.
    pub(super) etag: String,
    /// Size of the file in bytes, if known.
    size: Option<u64>,
}

impl Metadata {
    /// The SHA-256 of the content, if the ETag is one. Large files have their SHA-256 as ETag; small files, which
    /// are stored in git, have git's shorter hash.
    fn sha256(&self) -> Option<&str> {
        (self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then_some(&self.etag)
    }
}

/// A client for the files of one repository.
pub(super) struct Client<'a> {
    settings: &'a Settings,
    repo: Repo<'a>,
    endpoint: Address,
    http: Http,
}

/// Why a download stopped.
enum Stop {
    /// Resuming may help.
    Interrupted(String),
    Failed(HubError),
}

impl From<HubError> for Stop {
    fn from(error: HubError) -> Self {
        Stop::Failed(error)
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a Settings, repo: Repo<'a>) -> Result<Self, HubError> {
        let endpoint = Address::parse(&settings.endpoint)
            .ok_or_else(|| HubError::InvalidEndpoint { endpoint: settings.endpoint.clone() })?;
        if settings.token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(token_refused(settings, repo));
        }
        Ok(Self { settings, repo, endpoint, http: Http::new(TIMEOUTS) })
    }

    /// Requests the metadata of a file. Follows redirects within the hub, but not to a storage server, and uses
    /// the last response that names a commit.
    pub(super) fn metadata(&self, file: &str) -> Result<Metadata, HubError> {
        let mut address = self.address(self.repo.revision, file)?;
        let mut naming = None;
        for _ in 0..MAX_REDIRECTS {
            let answer = self.head(&address)?;
            let names = answer.header("x-repo-commit").is_some();
            match answer.redirection() {
                Some(next) if next.has_origin_of(&address) || !names => {
                    if names {
                        naming = Some(answer);
                    }
                    address = next;
                }
                _ if names => return self.read(file, &answer),
                _ => return self.read(file, naming.as_ref().unwrap_or(&answer)),
            }
        }
        Err(too_many_redirects(&address))
    }

    /// Downloads a file, resuming where `part` ends. Calls `report` with the number of bytes so far and in total.
    pub(super) fn download(
        &self,
        file: &str,
        metadata: &Metadata,
        part: &mut Part,
        report: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<(), HubError> {
        let Some(expected) = metadata.sha256() else {
            return self.complete(file, metadata, part, report);
        };
        loop {
            let resumed = part.length() > 0;
            self.complete(file, metadata, part, report)?;
            let sha256 = part.sha256()?;
            if sha256.eq_ignore_ascii_case(expected) {
                return Ok(());
            }
            part.clear()?;
            // The error may be in bytes left by an earlier call, so start again from zero once.
            if !resumed {
                return Err(HubError::WrongHash {
                    file: file.to_owned(),
                    expected: expected.to_owned(),
                    found: sha256,
                });
            }
        }
    }

    /// Downloads until the file is complete, retrying after interruptions.
    fn complete(
        &self,
        file: &str,
        metadata: &Metadata,
        part: &mut Part,
        report: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<(), HubError> {
        let mut pauses = PAUSES.iter();
        loop {
            let outcome = self.resume(file, metadata, part, report).map_err(|stop| match stop {
                Stop::Failed(error) => error,
                Stop::Interrupted(reason) => HubError::Interrupted {
                    file: file.to_owned(),
                    done: part.length(),
                    total: metadata.size,
                    reason,
                },
            });
            match (outcome, pauses.next()) {
                (Err(error), Some(pause)) if error.is_temporary() => thread::sleep(*pause),
                (outcome, _) => return outcome,
            }
        }
    }

    /// Downloads until the file is complete or the connection is interrupted.
    fn resume(
        &self,
        file: &str,
        metadata: &Metadata,
        part: &mut Part,
        report: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<(), Stop> {
        // Resume only if a hash can verify the complete file.
        let rest = match (metadata.sha256(), metadata.size) {
            (Some(_), Some(size)) if part.length() == size => return Ok(()),
            (Some(_), Some(size)) if (1..size).contains(&part.length()) => Some(part.length()..size),
            _ => {
                part.clear()?;
                None
            }
        };
        report(part.length(), metadata.size);
        let resuming = rest.is_some();
        let answer = self.get(self.address(&metadata.commit, file)?, rest)?;
        if resuming && answer.status() != StatusCode::PARTIAL_CONTENT {
            // A server without support for ranges sends the whole file again.
            part.clear()?;
        }
        receive(answer, metadata.size, part, report)
    }

    /// The URL of a file: `ENDPOINT/org/name/resolve/REVISION/FILE`.
    fn address(&self, revision: &str, file: &str) -> Result<Address, HubError> {
        let segments = [self.repo.owner, self.repo.name, "resolve", revision].into_iter();
        self.endpoint
            .extended(segments.chain(file.split('/')))
            .ok_or_else(|| HubError::InvalidEndpoint { endpoint: self.settings.endpoint.clone() })
    }

    /// Sends a HEAD request and retries it after temporary failures.
    fn head(&self, address: &Address) -> Result<Answer, HubError> {
        let mut pauses = PAUSES.iter();
        loop {
            let outcome = self.http.send(Method::HEAD, address, self.token_for(address), None);
            let temporary = outcome.as_ref().map_or(true, Answer::is_temporary);
            match pauses.next() {
                Some(pause) if temporary => thread::sleep(*pause),
                _ => {
                    let endpoint = self.settings.endpoint.clone();
                    return outcome.map_err(|reason| HubError::Network { endpoint, reason });
                }
            }
        }
    }

    /// Requests content and follows redirects.
    fn get(&self, mut address: Address, range: Option<Range<u64>>) -> Result<Answer, Stop> {
        for _ in 0..MAX_REDIRECTS {
            let answer = self
                .http
                .send(Method::GET, &address, self.token_for(&address), range.clone())
                .map_err(Stop::Interrupted)?;
            match (answer.redirection(), answer.status()) {
                (Some(next), _) => address = next,
                (None, status) if status.is_success() => return Ok(answer),
                (None, StatusCode::RANGE_NOT_SATISFIABLE) => {
                    return Err(Stop::Interrupted("the server has no more data".to_owned()));
                }
                _ => return Err(Stop::Failed(unexpected(&answer))),
            }
        }
        Err(Stop::Failed(too_many_redirects(&address)))
    }

    /// The token, which is sent only to the hub.
    fn token_for(&self, address: &Address) -> Option<&str> {
        self.settings.token.as_deref().filter(|_| address.has_origin_of(&self.endpoint))
    }

    /// Reads the metadata of a file from the headers of a response.
    fn read(&self, file: &str, answer: &Answer) -> Result<Metadata, HubError> {
        let status = answer.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(self.refusal(file, answer));
        }
        let not_a_hub = |problem| HubError::NotAHub { url: answer.address().bare(), problem };
        let etag = answer
            .header("x-linked-etag")
            .or_else(|| answer.header("etag"))
            .map(|etag| etag.trim_start_matches("W/").trim_matches('"'))
            .filter(|etag| is_plain(etag))
            .ok_or_else(|| not_a_hub("there is no usable ETag"))?;
        let commit = answer
            .header("x-repo-commit")
            .filter(|commit| is_plain(commit))
            .ok_or_else(|| not_a_hub("it does not name a commit"))?;
        // The content length of a redirect is not that of the file.
        let length = answer.header("content-length").filter(|_| status.is_success());
        let size = answer.header("x-linked-size").or(length).and_then(|size| size.parse().ok());
        Ok(Metadata { commit: commit.to_owned(), etag: etag.to_owned(), size })
    }

    fn refusal(&self, file: &str, answer: &Answer) -> HubError {
        let endpoint = self.settings.endpoint.clone();
        let page = page(self.settings, self.repo);
        let message = answer.header("x-error-message").map(str::to_owned);
        let revision = self.repo.revision.to_owned();
        match (answer.status(), answer.header("x-error-code")) {
            (StatusCode::UNAUTHORIZED, _) if self.settings.token.is_none() => {
                HubError::NeedsToken { page, endpoint }
            }
            (StatusCode::UNAUTHORIZED, _) => token_refused(self.settings, self.repo),
            (StatusCode::FORBIDDEN, _) => HubError::Gated { page, endpoint, message },
            (StatusCode::NOT_FOUND, Some("RepoNotFound")) => HubError::RepoNotFound { page },
            (StatusCode::NOT_FOUND, Some("RevisionNotFound")) => {
                HubError::RevisionNotFound { page, revision }
            }
            (StatusCode::NOT_FOUND, _) => HubError::FileNotFound { page, revision, file: file.to_owned() },
            _ => unexpected(answer),
        }
    }
}

/// The URL of a repository's web page.
pub(super) fn page(settings: &Settings, repo: Repo) -> String {
    format!("{}/{}/{}", settings.endpoint, repo.owner, repo.name)
}

fn token_refused(settings: &Settings, repo: Repo) -> HubError {
    HubError::TokenRefused { page: page(settings, repo), endpoint: settings.endpoint.clone() }
}

/// Appends the body of a response to `part`.
fn receive(
    mut answer: Answer,
    size: Option<u64>,
    part: &mut Part,
    report: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), Stop> {
    let mut block = vec![0; BLOCK];
    loop {
        let read = answer.read(&mut block).map_err(Stop::Interrupted)?;
        if read == 0 {
            break;
        }
        part.append(&block[..read])?;
        if size.is_some_and(|size| part.length() > size) {
            part.clear()?;
            return Err(Stop::Interrupted("the server sent more bytes than the file has".to_owned()));
        }
        report(part.length(), size);
    }
    match size {
        Some(size) if part.length() < size => {
            Err(Stop::Interrupted("the server closed the connection early".to_owned()))
        }
        _ => Ok(()),
    }
}

fn unexpected(answer: &Answer) -> HubError {
    HubError::Status {
        url: answer.address().bare(),
        status: answer.status().as_u16(),
        message: answer.header("x-error-message").map(str::to_owned),
    }
}

fn too_many_redirects(address: &Address) -> HubError {
    HubError::NotAHub { url: address.bare(), problem: "too many redirects" }
}
