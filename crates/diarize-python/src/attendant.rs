//! Runs work on another thread, while the thread that called answers Python's signals and hooks.
//!
//! Python runs signal handlers only on its main thread, and the library calls its observer on the threads that compute, which
//! must not wait for Python. So the observer only sends events, and the thread that called receives them.

use std::{
    ops::ControlFlow,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use diarize::{Error, Event};
use pyo3::prelude::*;

use crate::{
    exit::{self, Running},
    failure::Failure,
};

/// How often signals are checked.
const SIGNALS: Duration = Duration::from_millis(50);

/// Cancels the calls that it is given to.
#[pyclass(frozen, from_py_object, module = "diarize_rs._native")]
#[derive(Clone, Default)]
pub struct Stop {
    is_told: Arc<AtomicBool>,
}

#[pymethods]
impl Stop {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Cancels these calls.
    fn tell(&self) {
        self.is_told.store(true, Ordering::Relaxed);
    }
}

impl Stop {
    /// Fails once the calls are cancelled.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_told.load(Ordering::Relaxed) { Err(Error::Cancelled.into()) } else { Ok(()) }
    }
}

/// Receives the events of the work on the thread that called.
pub type Hear<'h> = dyn FnMut(Python<'_>, Event) -> PyResult<()> + Send + 'h;

/// The connection between the thread that called and the work.
pub struct Attendant {
    cancelled: Stop,
    /// With this, Python can cancel the work.
    stop: Option<Stop>,
    sender: Sender<Message>,
    receiver: Mutex<Receiver<Message>>,
    /// The thread that has called.
    caller: Mutex<Option<ThreadId>>,
}

enum Message {
    Event(Event),
    Done,
}

/// Sends [`Message::Done`] when the work ends, even by a panic.
struct Done<'a>(&'a Sender<Message>);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Done);
    }
}

impl Attendant {
    /// An attendant for one recording, whose calls `stop` cancels.
    pub fn new(stop: Option<Stop>) -> Self {
        let (sender, receiver) = channel();
        Self {
            cancelled: Stop::default(),
            stop,
            sender,
            receiver: Mutex::new(receiver),
            caller: Mutex::default(),
        }
    }

    /// The observer for the library.
    pub fn observer(&self) -> impl FnMut(Event) -> ControlFlow<()> + Send + use<> {
        let (cancelled, sender) = (self.cancelled.clone(), self.sender.clone());
        move |event| {
            let _ = sender.send(Message::Event(event));
            if cancelled.check().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
    }

    /// Tells threads that read ahead whether the work was cancelled.
    pub fn cancelled(&self) -> Stop {
        self.cancelled.clone()
    }

    /// Fails if the work was cancelled.
    pub fn check(&self) -> Result<(), Failure> {
        self.cancelled.check()
    }

    /// Fails if this thread is inside a hook of the same recording.
    pub fn check_caller(&self) -> Result<(), Failure> {
        if *self.caller() != Some(thread::current().id()) {
            return Ok(());
        }
        let sentence = "a hook cannot call the listener or recording that called it: do that after the call";
        Err(Failure::Other("Error", sentence.to_owned()))
    }

    /// Runs `work` on another thread without Python's lock. If a signal handler or `hear` raises an exception, the work is
    /// cancelled, and the result is that exception.
    pub fn run<T: Send>(
        &self,
        py: Python<'_>,
        hear: &mut Hear<'_>,
        work: impl FnOnce() -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        self.check_caller()?;
        // Dropped with Python's lock.
        let _running = Running::begin()?;
        py.detach(|| {
            let receiver = self.receiver()?;
            // Events that an earlier call did not receive because it failed.
            receiver.try_iter().for_each(drop);
            thread::scope(|scope| {
                let begun = thread::Builder::new().name("diarize".to_owned()).spawn_scoped(scope, || {
                    let _done = Done(&self.sender);
                    work()
                });
                let worker = begun.map_err(no_thread)?;
                let attended = self.attend(&receiver, hear);
                if attended.is_err() {
                    self.cancelled.tell();
                }
                let result = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
                attended?;
                Ok(result?)
            })
        })
    }

    /// Waits until no other call has the receiver. Signals are answered meanwhile.
    fn receiver(&self) -> PyResult<MutexGuard<'_, Receiver<Message>>> {
        loop {
            match self.receiver.try_lock() {
                Ok(receiver) => return Ok(receiver),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            }
            Python::attach(|py| py.check_signals())?;
            exit::check()?;
        }
    }

    /// Answers signals and events until the work ends.
    fn attend(&self, receiver: &Receiver<Message>, hear: &mut Hear<'_>) -> PyResult<()> {
        *self.caller() = Some(thread::current().id());
        let answered = self.answer(receiver, hear);
        *self.caller() = None;
        answered
    }

    fn caller(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.caller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, receiver: &Receiver<Message>, hear: &mut Hear<'_>) -> PyResult<()> {
        let mut checked = Instant::now();
        loop {
            match receiver.recv_timeout(SIGNALS.saturating_sub(checked.elapsed())) {
                Ok(Message::Event(event)) => Python::attach(|py| hear(py, event))?,
                Ok(Message::Done) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if checked.elapsed() >= SIGNALS {
                Python::attach(|py| py.check_signals())?;
                exit::check()?;
                self.stop.as_ref().map_or(Ok(()), Stop::check)?;
                checked = Instant::now();
            }
        }
    }
}

/// Runs `work` on a thread that is left to itself if a signal handler raises an exception, because it cannot be cancelled.
pub fn abandonable<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> PyResult<T> {
    let _running = Running::begin()?;
    py.detach(|| {
        let (sender, receiver) = channel();
        let begun = thread::Builder::new().name("diarize-load".to_owned()).spawn(move || {
            let _ = sender.send(work());
        });
        let worker = begun.map_err(no_thread)?;
        loop {
            match receiver.recv_timeout(SIGNALS) {
                Ok(result) => return Ok(result?),
                Err(RecvTimeoutError::Timeout) => {
                    Python::attach(|py| py.check_signals())?;
                    exit::check()?;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return match worker.join() {
                        Err(panic) => resume_unwind(panic),
                        Ok(()) => Err(Failure::from(Error::Cancelled).into()),
                    };
                }
            }
        }
    })
}

fn no_thread(error: std::io::Error) -> PyErr {
    Failure::Other("ComputationError", format!("cannot start a thread: {error}")).into()
}
