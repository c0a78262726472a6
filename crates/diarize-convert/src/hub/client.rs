//! Requests to a hub for the metadata and the content of files.

use std::time::Duration;

use futures_util::StreamExt;
use hf_hub::{HFClient, HFError, HFRepository, RepoTypeModel};
use reqwest::{
    Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, LOCATION},
    redirect::Policy,
};

use super::{
    HubError, Settings,
    error::innermost,
    name::{Repo, is_plain},
    part::Part,
};

/// Timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout for a connection on which no data arrives.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Pauses before the retries. After the last retry, the error is returned.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_millis(1500)];

/// Maximum number of redirects within the hub.
const MAX_REDIRECTS: usize = 10;

/// Suppresses the token. Without one, hf-hub would search for a token itself; it drops a token that is not a valid
/// header value.
const NO_TOKEN: &str = "\n";

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
    endpoint: Url,
    metadata: reqwest::Client,
    files: HFRepository<RepoTypeModel>,
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a Settings, repo: Repo<'a>) -> Result<Self, HubError> {
        let invalid = || HubError::InvalidEndpoint { endpoint: settings.endpoint.clone() };
        let endpoint = Url::parse(&settings.endpoint).map_err(|_| invalid())?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(invalid());
        }
        if settings.token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(token_refused(settings, repo));
        }
        let metadata = builder().redirect(Policy::none()).build().map_err(failed)?;
        let hub = HFClient::builder()
            .client(builder().build().map_err(failed)?)
            .endpoint(&settings.endpoint)
            .token(settings.token.as_deref().unwrap_or(NO_TOKEN))
            .cache_enabled(false)
            .retry_max_attempts(PAUSES.len())
            .build()
            .map_err(failed)?;
        Ok(Self { settings, repo, endpoint, metadata, files: hub.model(repo.owner, repo.name) })
    }

    /// Requests the metadata of a file. Follows redirects within the hub, but not to a storage server, and uses
    /// the last response that names a commit.
    pub(super) async fn metadata(&self, file: &str) -> Result<Metadata, HubError> {
        let mut url = self.address(file)?;
        let mut naming = None;
        for _ in 0..MAX_REDIRECTS {
            let answer = self.head(&url).await?;
            let names = header(&answer, "x-repo-commit").is_some();
            match redirection(&answer) {
                Some(next) if next.origin() == url.origin() || !names => {
                    if names {
                        naming = Some(answer);
                    }
                    url = next;
                }
                _ if names => return self.read(file, &answer),
                _ => return self.read(file, naming.as_ref().unwrap_or(&answer)),
            }
        }
        Err(HubError::NotAHub { url: bare(&url), problem: "too many redirects" })
    }

    /// Downloads a file, resuming where `part` ends. Calls `report` with the number of bytes so far and in total.
    pub(super) async fn download(
        &self,
        file: &str,
        metadata: &Metadata,
        part: &mut Part,
        mut report: impl FnMut(u64, Option<u64>),
    ) -> Result<(), HubError> {
        let Some(expected) = metadata.sha256() else {
            return self.complete(file, metadata, part, &mut report).await;
        };
        loop {
            let resumed = part.length() > 0;
            self.complete(file, metadata, part, &mut report).await?;
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
    async fn complete(
        &self,
        file: &str,
        metadata: &Metadata,
        part: &mut Part,
        report: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<(), HubError> {
        let mut pauses = PAUSES.iter();
        loop {
            let outcome = self.resume(file, metadata, part, report).await;
            match (outcome, pauses.next()) {
                (Err(HubError::Interrupted { .. }), Some(pause)) => tokio::time::sleep(*pause).await,
                (outcome, _) => return outcome,
            }
        }
    }

    /// Downloads until the file is complete or the connection is interrupted.
    async fn resume(
        &self,
        file: &str,
        metadata: &Metadata,
        part: &mut Part,
        report: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<(), HubError> {
        let interrupted = |part: &Part, reason: String| HubError::Interrupted {
            file: file.to_owned(),
            done: part.length(),
            total: metadata.size,
            reason,
        };
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
        let request =
            self.files.download_file_stream().filename(file).revision(&metadata.commit).maybe_range(rest);
        let mut stream = match request.send().await {
            Ok((_, stream)) => stream,
            Err(error) => return Err(interrupted(part, reason(error)?)),
        };
        while let Some(bytes) = stream.next().await {
            match bytes {
                Ok(bytes) => part.append(&bytes)?,
                Err(error) => return Err(interrupted(part, reason(error)?)),
            }
            report(part.length(), metadata.size);
        }
        match metadata.size {
            Some(size) if part.length() < size => {
                Err(interrupted(part, "the server closed the connection early".to_owned()))
            }
            Some(size) if part.length() > size => {
                // A server without support for ranges sends the whole file again.
                part.clear()?;
                Err(interrupted(part, "the server sent more bytes than the file has".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// The URL of a file: `ENDPOINT/org/name/resolve/REVISION/FILE`.
    fn address(&self, file: &str) -> Result<Url, HubError> {
        let mut url = self.endpoint.clone();
        url.path_segments_mut()
            .map_err(|()| HubError::InvalidEndpoint { endpoint: self.settings.endpoint.clone() })?
            .pop_if_empty()
            .extend([self.repo.owner, self.repo.name, "resolve", self.repo.revision])
            .extend(file.split('/'));
        Ok(url)
    }

    /// Sends a HEAD request and retries it after temporary failures. The token is sent only to the hub.
    async fn head(&self, url: &Url) -> Result<Response, HubError> {
        let mut pauses = PAUSES.iter();
        loop {
            let mut request = self.metadata.head(url.clone());
            if let Some(token) =
                self.settings.token.as_ref().filter(|_| url.origin() == self.endpoint.origin())
            {
                request = request.bearer_auth(token);
            }
            let outcome = request.send().await;
            let temporary = outcome.as_ref().map_or(true, |answer| {
                answer.status().is_server_error() || answer.status() == StatusCode::TOO_MANY_REQUESTS
            });
            match pauses.next() {
                Some(pause) if temporary => tokio::time::sleep(*pause).await,
                _ => {
                    return outcome.map_err(|error| HubError::Network {
                        endpoint: self.settings.endpoint.clone(),
                        source: error.without_url(),
                    });
                }
            }
        }
    }

    /// Reads the metadata of a file from the headers of a response.
    fn read(&self, file: &str, answer: &Response) -> Result<Metadata, HubError> {
        let status = answer.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(self.refusal(file, answer));
        }
        let not_a_hub = |problem| HubError::NotAHub { url: bare(answer.url()), problem };
        let etag = header(answer, "x-linked-etag")
            .or_else(|| header(answer, ETAG.as_str()))
            .map(|etag| etag.trim_start_matches("W/").trim_matches('"'))
            .filter(|etag| is_plain(etag))
            .ok_or_else(|| not_a_hub("there is no usable ETag"))?;
        let commit = header(answer, "x-repo-commit")
            .filter(|commit| is_plain(commit))
            .ok_or_else(|| not_a_hub("it does not name a commit"))?;
        // The content length of a redirect is not that of the file.
        let length = header(answer, CONTENT_LENGTH.as_str()).filter(|_| status.is_success());
        let size = header(answer, "x-linked-size").or(length).and_then(|size| size.parse().ok());
        Ok(Metadata { commit: commit.to_owned(), etag: etag.to_owned(), size })
    }

    fn refusal(&self, file: &str, answer: &Response) -> HubError {
        let endpoint = self.settings.endpoint.clone();
        let page = page(self.settings, self.repo);
        let message = header(answer, "x-error-message").map(str::to_owned);
        let revision = self.repo.revision.to_owned();
        match (answer.status(), header(answer, "x-error-code")) {
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
            (status, _) => HubError::Status { url: bare(answer.url()), status: status.as_u16(), message },
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

fn builder() -> reqwest::ClientBuilder {
    // Compressed content would have a different length and hash than the file.
    let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    reqwest::Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HubError {
    HubError::Client { source: error.into() }
}

fn redirection(answer: &Response) -> Option<Url> {
    let location = header(answer, LOCATION.as_str()).filter(|_| answer.status().is_redirection())?;
    answer.url().join(location).ok()
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// A URL without its query, where storage servers put signatures.
fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

/// The reason why a download was interrupted, if resuming may help, otherwise the error.
fn reason(error: HFError) -> Result<String, HubError> {
    match error {
        HFError::Http { context } if context.status == StatusCode::RANGE_NOT_SATISFIABLE => {
            Ok("the server has no more data".to_owned())
        }
        HFError::Http { context }
        | HFError::AuthRequired { context }
        | HFError::Forbidden { context }
        | HFError::RateLimited { context, .. }
        | HFError::EntryNotFound { context: Some(context), .. } => Err(HubError::Status {
            url: Url::parse(&context.url).as_ref().map_or_else(|_| String::new(), bare),
            status: context.status.as_u16(),
            message: context.server_message,
        }),
        HFError::Request { source, .. } => Ok(innermost(&source.without_url()).to_string()),
        error => Ok(innermost(&error).to_string()),
    }
}
