//! The proxies named by the environment.

use std::{env, net::IpAddr};

use ureq::Proxy;

use super::{HubError, address::Address};

/// Proxies for each scheme, and the hosts that are reached without one.
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<String>,
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, or their lowercase forms.
    ///
    /// ureq would use the first proxy that is set for every scheme, so that `HTTPS_PROXY` would also apply to an
    /// `http` mirror in the local network. Its `NO_PROXY` knows neither spaces nor networks nor subdomains.
    pub(super) fn from_env() -> Result<Self, HubError> {
        // What is not Unicode is not a URL either, and must not be mistaken for an unset variable.
        Self::new(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let value = |name: &str| {
            let names = [name.to_owned(), name.to_lowercase()];
            let mut values = names.into_iter().filter_map(|name| variable(&name).map(|value| (name, value)));
            values.find(|(_, value)| !value.trim().is_empty())
        };
        let proxy = |name| match value(name).or_else(|| value("ALL_PROXY")) {
            Some((variable, url)) => parse(url.trim()).map(Some).ok_or(HubError::InvalidProxy { variable }),
            None => Ok(None),
        };
        let exceptions = value("NO_PROXY").map(|(_, value)| value).unwrap_or_default();
        Ok(Self {
            http: proxy("HTTP_PROXY")?,
            https: proxy("HTTPS_PROXY")?,
            exceptions: exceptions.split(',').map(|entry| entry.trim().to_lowercase()).collect(),
        })
    }

    /// The proxy for a URL, if any.
    pub(super) fn of(&self, address: &Address) -> Option<Proxy> {
        let host = address.host();
        let host = host.trim_matches(['[', ']']);
        let proxy = if address.is_secure() { &self.https } else { &self.http };
        proxy.clone().filter(|_| !self.exceptions.iter().any(|entry| covers(entry, host)))
    }
}

/// Parses the URL of a proxy. ureq would ignore an invalid port.
fn parse(url: &str) -> Option<Proxy> {
    let proxy = Proxy::new(url).ok()?;
    let authority = proxy.uri().authority()?;
    let (_, place) = authority.as_str().rsplit_once('@').unwrap_or(("", authority.as_str()));
    let valid = !authority.host().is_empty() && (authority.port().is_some() || place == authority.host());
    valid.then_some(proxy)
}

/// Whether an entry of `NO_PROXY` covers a host: `*`, an address, a network such as `10.0.0.0/8`, or a domain,
/// which includes its subdomains.
fn covers(entry: &str, host: &str) -> bool {
    if let Ok(address) = host.parse() {
        return entry == "*" || network_contains(entry, address);
    }
    let domain = entry.trim_start_matches('*').trim_start_matches('.');
    match host.strip_suffix(domain) {
        Some(_) if domain.is_empty() => entry == "*",
        Some(rest) => rest.is_empty() || rest.ends_with('.'),
        None => false,
    }
}

/// Whether an address, or a network with a prefix length, contains `address`.
fn network_contains(entry: &str, address: IpAddr) -> bool {
    let (network, length) = entry.split_once('/').map_or((entry, None), |(net, bits)| (net, Some(bits)));
    let (difference, width) = match (network.parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) => {
            (u128::from(network.to_bits() ^ address.to_bits()), 32)
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) => (network.to_bits() ^ address.to_bits(), 128),
        _ => return false,
    };
    match length.map_or(Ok(width), str::parse::<u32>) {
        Ok(length) if length <= width => difference.checked_shr(width - length).unwrap_or(0) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Proxies, covers};
    use crate::hub::{HubError, address::Address};

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, HubError> {
        Proxies::new(|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn proxy(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let proxy = proxies(variables).unwrap().of(&Address::parse(url).unwrap())?;
        Some(format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn an_invalid_proxy_is_an_error_without_its_password() {
        for value in [
            "htp://proxy",
            "http://bad:proxy:port",
            "http://user:secret@bad:port",
            "http://user:secret@proxy:99999",
            "http://",
            "http://user:secret@",
            "http://:80",
            "a proxy",
            "prox\u{fffd}",
        ] {
            for name in ["HTTP_PROXY", "https_proxy", "ALL_PROXY"] {
                let error = proxies(&[(name, value)]).err().unwrap_or_else(|| panic!("{value}")).to_string();
                assert!(error.contains(name) && !error.contains("secret"), "{error}");
            }
        }
        for (value, expected) in [
            ("user:secret@proxy", "proxy:80"),
            ("http://user:secret@[::1]:8080/", "[::1]:8080"),
            ("socks5h://proxy", "proxy:1080"),
        ] {
            assert_eq!(proxy(&[("HTTP_PROXY", value)], "http://hub").as_deref(), Some(expected));
        }
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let all = [("HTTP_PROXY", "http://a:1"), ("https_proxy", "b:2"), ("ALL_PROXY", "socks5://c:3")];
        assert_eq!(proxy(&all, "http://hub").as_deref(), Some("a:1"));
        assert_eq!(proxy(&all, "https://hub").as_deref(), Some("b:2"));
        assert_eq!(proxy(&all[2..], "https://hub").as_deref(), Some("c:3"));
        assert_eq!(proxy(&all[..1], "https://hub"), None);
        assert_eq!(
            proxy(&[("HTTPS_PROXY", ""), ("ALL_PROXY", "c:3")], "https://hub").as_deref(),
            Some("c:3")
        );
        assert_eq!(proxy(&[], "https://hub"), None);
    }

    #[test]
    fn exceptions_are_reached_without_a_proxy() {
        let variables = [("ALL_PROXY", "a:1"), ("NO_PROXY", "localhost, 10.0.0.0/8,::1, .Example.org")];
        for url in ["http://localhost:80", "https://10.1.2.3", "http://[::1]:8080", "https://hub.example.ORG"]
        {
            assert_eq!(proxy(&variables, url), None, "{url}");
        }
        for url in ["https://huggingface.co", "https://11.1.2.3", "https://notexample.org"] {
            assert!(proxy(&variables, url).is_some(), "{url}");
        }
    }

    #[test]
    fn an_exception_is_a_domain_an_address_a_network_or_everything() {
        for (entry, host) in [
            ("*", "hub"),
            ("*", "10.0.0.1"),
            ("hub", "hub"),
            ("example.org", "a.example.org"),
            ("*.example.org", "a.example.org"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.0/7", "11.0.0.1"),
            ("0.0.0.0/0", "10.0.0.1"),
            ("fd00::/8", "fd12::1"),
        ] {
            assert!(covers(entry, host), "{entry} {host}");
        }
        for (entry, host) in [
            ("", "hub"),
            (".", "hub"),
            ("ub", "hub"),
            ("", "10.0.0.1"),
            ("0.0.0.1", "10.0.0.1"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/99", "10.0.0.1"),
            ("10.0.0.0/x", "10.0.0.1"),
            ("::/0", "10.0.0.1"),
        ] {
            assert!(!covers(entry, host), "{entry} {host}");
        }
    }
}
