//! A small local HTTP server for tests, which can act as a hub or as a storage server.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `HEAD` and so on.
    pub method: String,
    /// The path with the query.
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header, by its lowercase name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The byte range requested by `Range: bytes=START-END`.
    pub fn range(&self) -> Option<Range<usize>> {
        let (start, end) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some(start.parse().ok()?..end.parse::<usize>().ok()? + 1)
    }
}

/// A response.
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    sent: usize,
    has_length: bool,
}

impl Reply {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), sent: 0, has_length: true }
    }

    /// Status 200 with a body.
    pub fn body(bytes: &[u8]) -> Self {
        Self { body: bytes.to_vec(), sent: bytes.len(), ..Self::status(200) }
    }

    /// The requested part of a file.
    pub fn file(bytes: &[u8], request: &Request) -> Self {
        match request.range() {
            None => Self::body(bytes),
            Some(range) if range.start >= bytes.len() => Self::status(416),
            Some(range) => {
                let end = range.end.min(bytes.len());
                let place = format!("bytes {}-{}/{}", range.start, end - 1, bytes.len());
                Self::body(&bytes[range.start..end]).but_status(206).with("Content-Range", place)
            }
        }
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Changes the status.
    pub fn but_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Omits the length of the body, which then ends where the connection ends.
    pub fn without_length(self) -> Self {
        Self { has_length: false, ..self }
    }

    /// Closes the connection after `bytes` bytes of the body.
    pub fn cut_after(self, bytes: usize) -> Self {
        Self { sent: bytes, ..self }
    }

    fn send(&self, request: &Request, mut stream: TcpStream) -> std::io::Result<()> {
        write!(stream, "HTTP/1.1 {} Status\r\nConnection: close\r\n", self.status)?;
        if self.has_length {
            write!(stream, "Content-Length: {}\r\n", self.body.len())?;
        }
        for (name, value) in &self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        stream.write_all(b"\r\n")?;
        if request.method != "HEAD" {
            stream.write_all(&self.body[..self.sent])?;
        }
        stream.shutdown(Shutdown::Both)
    }
}

/// A server that runs until it is dropped.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server that responds to each request with the result of `answer`.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            stopped: Arc::default(),
        };
        let (requests, stopped) = (server.requests.clone(), server.stopped.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let stream = stream.unwrap();
                if let Some(request) = read(&stream) {
                    requests.lock().unwrap().push(request.clone());
                    // In some tests, the client closes the connection.
                    let _ = answer(&request).send(&request, stream);
                }
            }
        });
        server
    }

    /// The URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// All requests for content so far.
    pub fn downloads(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.method == "GET").collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

/// Reads the head of a request. The requests of the hub client have no body.
fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        })
        .collect();
    Some(Request { method, path, headers })
}
