//! HTTP requests, without redirects and retries.

use std::{
    io::{ErrorKind, Read},
    ops::Range,
    time::Duration,
};

use ureq::{
    Agent, Body,
    http::{Method, Request, Response, StatusCode, header},
    tls::{RootCerts, TlsConfig},
};

use super::{address::Address, proxy::Proxies};

/// Timeouts of a connection.
#[derive(Clone, Copy)]
pub(super) struct Timeouts {
    /// For finding the host, and again for establishing the connection.
    pub(super) connect: Duration,
    /// For a connection on which no data arrives. The whole transfer may take longer.
    pub(super) idle: Duration,
}

/// An HTTP client.
pub(super) struct Http {
    agent: Agent,
    proxies: Proxies,
    timeouts: Timeouts,
}

impl Http {
    pub(super) fn new(timeouts: Timeouts, proxies: Proxies) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            // Compressed content would have a different length and hash than the file.
            .accept_encoding("identity")
            .http_status_as_error(false)
            // ureq would send the token to every port of the host, or not even to the hub itself.
            .max_redirects(0)
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_per_read(Some(timeouts.idle))
            .timeout_per_write(Some(timeouts.idle))
            // The system's certificates include those that an administrator added for a proxy.
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .build();
        Self { agent: config.new_agent(), proxies, timeouts }
    }

    /// Sends a request. The error is the reason why there is no response.
    pub(super) fn send(
        &self,
        method: Method,
        address: &Address,
        token: Option<&str>,
        range: Option<Range<u64>>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(address.as_str());
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(range) = range {
            request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        let request = request.body(()).map_err(|error| error.to_string())?;
        let request = self.agent.configure_request(request).proxy(self.proxies.of(address)).build();
        match self.agent.run(request) {
            Ok(response) => Ok(Answer { address: address.clone(), response, timeouts: self.timeouts }),
            Err(error) => Err(reason(error, self.timeouts)),
        }
    }
}

/// A response, whose body has not been read yet.
pub(super) struct Answer {
    address: Address,
    response: Response<Body>,
    timeouts: Timeouts,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_temporary(&self) -> bool {
        is_temporary(self.status().as_u16())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Whether the content is compressed or encoded in another way.
    pub(super) fn is_encoded(&self) -> bool {
        let mut encodings = self.response.headers().get_all(header::CONTENT_ENCODING).iter();
        encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    }

    /// Whether a partial response starts at this byte of the file: `Content-Range: bytes START-END/SIZE`.
    pub(super) fn starts_at(&self, start: u64) -> bool {
        let range = self.header("content-range").and_then(|range| range.strip_prefix("bytes "));
        let first = range.and_then(|range| range.trim_start().split_once('-')).map(|(first, _)| first.trim());
        first.and_then(|first| first.parse().ok()) == Some(start)
    }

    /// The requested URL.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The target, if the response is a redirect.
    pub(super) fn redirection(&self) -> Option<Address> {
        let location = self.header("location").filter(|_| self.status().is_redirection())?;
        self.address.join(location)
    }

    /// Reads some bytes of the body. At the end there are none. The error is the reason for an interruption.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let mut body = self.response.body_mut().as_reader();
        body.read(buffer).map_err(|error| reason(error.into(), self.timeouts))
    }
}

/// Whether a request with this status may succeed later.
pub(super) fn is_temporary(status: u16) -> bool {
    status >= 500 || status == StatusCode::TOO_MANY_REQUESTS
}

/// The reason of an error. It contains no URL, whose query could be a secret.
fn reason(error: ureq::Error, timeouts: Timeouts) -> String {
    match error {
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            format!("no connection within {:?}", timeouts.connect)
        }
        ureq::Error::Timeout(_) => format!("no data for {:?}", timeouts.idle),
        ureq::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "the server closed the connection early".to_owned()
        }
        ureq::Error::Io(error) => {
            // Rust adds the number of the error, which helps nobody.
            let text = error.to_string();
            text.split(" (os error ").next().unwrap_or_default().to_owned()
        }
        ureq::Error::BadUri(_) => "invalid URL".to_owned(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        thread,
        time::{Duration, Instant},
    };

    use ureq::http::Method;

    use super::{Answer, Http, Timeouts};
    use crate::hub::{address::Address, proxy::Proxies};

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n";

    /// Requests a file from a server that handles one connection, with a short timeout for idle connections.
    fn request(idle: Duration, serve: fn(TcpStream)) -> Result<Answer, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            serve(stream);
        });
        let http =
            Http::new(Timeouts { connect: Duration::from_secs(10), idle }, Proxies::from_env().unwrap());
        http.send(Method::GET, &Address::parse(&address).unwrap(), None, None)
    }

    fn body(mut answer: Answer) -> Result<Vec<u8>, String> {
        let (mut body, mut block) = (Vec::new(), [0; 64]);
        loop {
            match answer.read(&mut block)? {
                0 => return Ok(body),
                read => body.extend(&block[..read]),
            }
        }
    }

    /// Keeps the connection open without sending anything until the client closes it.
    fn stall(mut stream: TcpStream) {
        let _ = stream.read(&mut [0]);
    }

    #[test]
    fn a_response_that_stalls_is_an_error() {
        let idle = Duration::from_millis(200);
        assert_eq!(request(idle, stall).err().unwrap(), "no data for 200ms");
        let half = request(idle, |mut stream| {
            stream.write_all(HEAD).unwrap();
            stream.write_all(b"half").unwrap();
            stall(stream);
        });
        assert_eq!(body(half.unwrap()).unwrap_err(), "no data for 200ms");
    }

    #[test]
    fn a_slow_response_may_take_longer_than_the_timeout() {
        let started = Instant::now();
        let slow = request(Duration::from_secs(1), |mut stream| {
            for byte in HEAD.chunks(HEAD.len() / 4).chain(b"complete".chunks(1)) {
                stream.write_all(byte).unwrap();
                thread::sleep(Duration::from_millis(150));
            }
        });
        assert_eq!(body(slow.unwrap()).unwrap(), b"complete");
        assert!(started.elapsed() > Duration::from_secs(1));
    }

    #[test]
    fn reasons_are_sentences_without_a_url() {
        let refused = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}", listener.local_addr().unwrap())
        };
        let timeouts = Timeouts { connect: Duration::from_secs(10), idle: Duration::from_secs(10) };
        let address = Address::parse(&refused).unwrap().join("/blob?secret").unwrap();
        let reason = Http::new(timeouts, Proxies::from_env().unwrap())
            .send(Method::GET, &address, None, None)
            .err()
            .unwrap();
        assert!(reason.contains("refused") && !reason.contains("secret"), "{reason}");
        let early = request(Duration::from_secs(10), |mut stream| stream.write_all(HEAD).unwrap());
        assert_eq!(body(early.unwrap()).unwrap_err(), "the server closed the connection early");
    }
}
