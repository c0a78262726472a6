//! URLs of a hub and of the servers to which it redirects.

use fluent_uri::{
    Uri, UriRef,
    pct_enc::{
        EString,
        encoder::{Data, Path},
    },
};

/// An `http` or `https` URL with a host and without a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(Uri<String>);

impl Address {
    /// Parses the URL of a hub. Returns `None` if the URL is invalid or has a query or fragment.
    pub(super) fn parse(endpoint: &str) -> Option<Self> {
        let uri = Uri::parse(endpoint.to_owned()).ok()?;
        if uri.has_query() || uri.has_fragment() { None } else { Self::new(uri) }
    }

    fn new(uri: Uri<String>) -> Option<Self> {
        let authority = uri.authority()?;
        let web = ["http", "https"].iter().any(|scheme| uri.scheme().as_str().eq_ignore_ascii_case(scheme));
        let complete = !authority.host().is_empty() && authority.port_to_u16().is_ok();
        (web && complete).then_some(Self(uri))
    }

    /// The URL with more path segments, which are percent-encoded.
    pub(super) fn extended<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut text = self.as_str().trim_end_matches('/').to_owned();
        for segment in segments {
            let mut encoded = EString::<Path>::new();
            encoded.encode_str::<Data>(segment);
            text.push('/');
            text.push_str(encoded.as_str());
        }
        Self::new(Uri::parse(text).ok()?)
    }

    /// The target of a redirect from this URL.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        let target = UriRef::parse(encoded(location)).ok()?.resolve_against(&self.0).ok()?;
        Self::new(target.strip_fragment().to_owned())
    }

    /// Whether both URLs have the same scheme, host and port.
    pub(super) fn has_origin_of(&self, other: &Self) -> bool {
        self.origin() == other.origin()
    }

    fn origin(&self) -> (bool, String, Option<u16>) {
        let port = self.0.authority().and_then(|authority| authority.port_to_u16().ok().flatten());
        (self.is_secure(), self.host(), port.or_else(|| self.0.scheme().default_port()))
    }

    /// Whether the scheme is `https`.
    pub(super) fn is_secure(&self) -> bool {
        self.0.scheme().as_str().eq_ignore_ascii_case("https")
    }

    /// The host in lowercase. An IPv6 address is in brackets.
    pub(super) fn host(&self) -> String {
        self.0.authority().map_or_else(String::new, |authority| authority.host().to_ascii_lowercase())
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The URL without its user and password, and without its query, where storage servers put signatures.
    pub(super) fn bare(&self) -> String {
        let authority = self.0.authority();
        let port = authority.and_then(|authority| authority.port()).map(|port| format!(":{port}"));
        let host = authority.map_or("", |authority| authority.host());
        format!("{}://{host}{}{}", self.0.scheme(), port.unwrap_or_default(), self.0.path())
    }
}

/// Removes the user name, the password and the query from a URL, for messages. The URL may be invalid.
pub(super) fn shown(url: &str) -> String {
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (scheme, rest) = match url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (place, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    // The password may contain any of these characters.
    let host = if query.contains('@') { None } else { place.rsplit('@').next() };
    format!("{scheme}{}", host.unwrap_or("…"))
}

/// Encodes characters that are not allowed in URLs, but which some servers send.
fn encoded(location: &str) -> String {
    let mut text = String::with_capacity(location.len());
    for character in location.chars() {
        if " \"<>\\^`{|}".contains(character) {
            text.push_str(&format!("%{:02X}", u32::from(character)));
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Address, shown};

    fn address(text: &str) -> Address {
        Address::parse("http://unused").unwrap().join(text).unwrap()
    }

    #[test]
    fn a_hub_has_a_scheme_and_a_host_and_no_query() {
        for endpoint in ["https://huggingface.co", "HTTP://localhost:8080/hf/", "http://[::1]:80"] {
            assert!(Address::parse(endpoint).is_some(), "{endpoint}");
        }
        for endpoint in [
            "hub.example.org",
            "file:///etc",
            "data:x",
            "https://",
            "https:///x",
            "https://hub:99999",
            "https://hub?query",
            "https://hub#fragment",
            "https://a b",
        ] {
            assert!(Address::parse(endpoint).is_none(), "{endpoint}");
        }
    }

    #[test]
    fn segments_are_encoded() {
        for endpoint in ["https://hub/hf", "https://hub/hf/"] {
            let file = Address::parse(endpoint).unwrap().extended(["org", "refs/pr/1", "a b?#%ä.bin"]);
            assert_eq!(file.unwrap().as_str(), "https://hub/hf/org/refs%2Fpr%2F1/a%20b%3F%23%25%C3%A4.bin");
        }
    }

    #[test]
    fn redirects_may_be_relative() {
        let base = address("https://hub/org/file?x=1");
        for (location, expected) in [
            ("https://storage/a%2fb?Signature=x~&y=%7E#part", "https://storage/a%2fb?Signature=x~&y=%7E"),
            ("//storage/blob", "https://storage/blob"),
            ("/api/blob?etag=1", "https://hub/api/blob?etag=1"),
            ("other", "https://hub/org/other"),
            ("../other", "https://hub/other"),
            ("?y=2", "https://hub/org/file?y=2"),
            ("/a b?c=\"d|e\"", "https://hub/a%20b?c=%22d%7Ce%22"),
        ] {
            assert_eq!(base.join(location).unwrap().as_str(), expected);
        }
        for location in ["ftp://storage/blob", "https://", "https:///blob", "mailto:x", "https://storage:x/"]
        {
            assert_eq!(base.join(location), None, "{location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let hub = address("https://hub.example.org/a");
        for same in
            ["https://hub.example.org:443/b?c", "HTTPS://HUB.example.org", "https://u:p@hub.example.org"]
        {
            assert!(hub.has_origin_of(&address(same)), "{same}");
        }
        for other in [
            "http://hub.example.org/a",
            "https://hub.example.org:8443/a",
            "https://cdn.hub.example.org/a",
            "https://hub.example.org.example.com/a",
            "https://hub.example.org@example.com/a",
        ] {
            assert!(!hub.has_origin_of(&address(other)), "{other}");
        }
    }

    #[test]
    fn messages_show_neither_users_nor_passwords_nor_queries() {
        for (url, expected) in [
            ("https://storage/blob?Signature=secret", "https://storage/blob"),
            ("http://secret:secret@[::1]:80/a@b?secret", "http://[::1]:80/a@b"),
            ("https://hub:/x", "https://hub:/x"),
        ] {
            assert_eq!(address(url).bare(), expected);
        }
        for (url, expected) in [
            ("https://hub/hf", "https://hub/hf"),
            ("http://secret:secret@hub:80", "http://hub:80"),
            ("secret:secret@hub", "hub"),
            ("secret@http://secret@hub", "hub"),
            ("http://secret:se/cret@hub", "http://hub"),
            ("http://secret:se?cret@hub", "http://…"),
            ("http://secret:se#cret@hub", "http://…"),
            ("https://hub?x=secret", "https://hub"),
            ("https://hub?x=a@secret", "https://…"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
