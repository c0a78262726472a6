//! Requests to a hub for the metadata and the content of files.

use std::{ops::Range, thread, time::Duration};

use ureq::http::{Method, StatusCode};

use super::{
    HubError, Settings,
    address::Address,
    download::Stop,
    http::{Answer, Http, Timeouts},
    metadata::Metadata,
    name::Repo,
    proxy::Proxies,
};

const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(10), idle: Duration::from_secs(30) };

/// Pauses before the retries of a request. After the last retry, the error is returned.
pub(super) const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_millis(1500)];

/// Maximum number of redirects.
const MAX_REDIRECTS: usize = 10;

/// A client for the files of one repository.
pub(super) struct Client<'a> {
    settings: &'a Settings,
    repo: Repo<'a>,
    endpoint: Address,
    http: Http,
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a Settings, repo: Repo<'a>) -> Result<Self, HubError> {
        let endpoint = Address::parse(&settings.endpoint)
            .ok_or_else(|| HubError::InvalidEndpoint { endpoint: settings.shown_endpoint() })?;
        if settings.token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(token_refused(settings, repo));
        }
        Ok(Self { settings, repo, endpoint, http: Http::new(TIMEOUTS, Proxies::from_env()?) })
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

    /// The URL of a file: `ENDPOINT/org/name/resolve/REVISION/FILE`.
    fn address(&self, revision: &str, file: &str) -> Result<Address, HubError> {
        let segments = [self.repo.owner, self.repo.name, "resolve", revision].into_iter();
        self.endpoint
            .extended(segments.chain(file.split('/')))
            .ok_or_else(|| HubError::InvalidEndpoint { endpoint: self.settings.shown_endpoint() })
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
                    let endpoint = self.settings.shown_endpoint();
                    return outcome.map_err(|reason| HubError::Network { endpoint, reason });
                }
            }
        }
    }

    /// Requests the content of a file, or a range of it, and follows redirects.
    pub(super) fn get(
        &self,
        file: &str,
        metadata: &Metadata,
        range: Option<Range<u64>>,
    ) -> Result<Answer, Stop> {
        let mut address = self.address(&metadata.commit, file)?;
        for _ in 0..MAX_REDIRECTS {
            let answer = self
                .http
                .send(Method::GET, &address, self.token_for(&address), range.clone())
                .map_err(Stop::Interrupted)?;
            match answer.redirection() {
                Some(next) => address = next,
                None => return Ok(answer),
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
        Metadata::read(answer)
    }

    fn refusal(&self, file: &str, answer: &Answer) -> HubError {
        let endpoint = self.settings.shown_endpoint();
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
    format!("{}/{}/{}", settings.shown_endpoint(), repo.owner, repo.name)
}

fn token_refused(settings: &Settings, repo: Repo) -> HubError {
    HubError::TokenRefused { page: page(settings, repo), endpoint: settings.shown_endpoint() }
}

/// The error for a status that the protocol does not provide for.
pub(super) fn unexpected(answer: &Answer) -> HubError {
    HubError::Status {
        url: answer.address().bare(),
        status: answer.status().as_u16(),
        message: answer.header("x-error-message").map(str::to_owned),
    }
}

fn too_many_redirects(address: &Address) -> HubError {
    HubError::NotAHub { url: address.bare(), problem: "too many redirects" }
}
