//! Execution context of the stages: threads, the observer, and the CPU fallback.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rayon::ThreadPool;

use super::Networks;
use crate::{Error, Event, Observer, Options, Progress, Result, Stage, Warning};

/// How often the observer is asked whether a long computation may continue.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Settings for processing a recording: the thread pool, the observer, and whether the CPU may take over if
/// the device fails.
pub(crate) struct Context<'o> {
    threads: Option<Arc<ThreadPool>>,
    allow_cpu_fallback: bool,
    /// Set once the device has failed; from then on everything runs on the CPU.
    moved_to_cpu: AtomicBool,
    /// The batch sizes of the stages whose batches had to be reduced.
    batch_sizes: Mutex<HashMap<Stage, usize>>,
    observer: Mutex<Box<Observer<'o>>>,
    cancelled: AtomicBool,
    /// When the observer was last asked whether a long computation may continue.
    asked: Mutex<Instant>,
    warnings: Mutex<Vec<Warning>>,
}

impl<'o> Context<'o> {
    pub(crate) fn new(options: &Options, observer: Box<Observer<'o>>) -> Result<Self> {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().map(Arc::new);
        let threads = options.threads.map(pool).transpose();
        Ok(Self {
            threads: threads
                .map_err(|source| Error::Compute { stage: "starting threads", source: source.into() })?,
            allow_cpu_fallback: options.allow_cpu_fallback,
            moved_to_cpu: AtomicBool::new(false),
            batch_sizes: Mutex::default(),
            observer: Mutex::new(observer),
            cancelled: AtomicBool::new(false),
            asked: Mutex::new(Instant::now()),
            warnings: Mutex::new(Vec::new()),
        })
    }

    /// A context that continues after another one, starting with its warnings. If that one `moved_to_cpu` and
    /// `options` allow it, this one stays there.
    pub(crate) fn after(
        warnings: &[Warning],
        moved_to_cpu: bool,
        options: &Options,
        observer: Box<Observer<'o>>,
    ) -> Result<Self> {
        Ok(Self {
            moved_to_cpu: AtomicBool::new(moved_to_cpu && options.allow_cpu_fallback),
            warnings: Mutex::new(warnings.to_vec()),
            ..Self::new(options, observer)?
        })
    }

    /// A context for a provisional result: the observer receives only progress events.
    pub(crate) fn provisional(&self) -> Context<'_> {
        let progress_alone = |event| match event {
            Event::Progress(progress) if self.progress(progress).is_err() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        Context {
            threads: self.threads.clone(),
            allow_cpu_fallback: self.allow_cpu_fallback,
            moved_to_cpu: AtomicBool::new(self.moved_to_cpu()),
            batch_sizes: Mutex::new(self.batch_sizes.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            observer: Mutex::new(Box::new(progress_alone)),
            cancelled: AtomicBool::new(false),
            asked: Mutex::new(Instant::now()),
            warnings: Mutex::new(self.warnings()),
        }
    }

    /// Runs `work` on the threads set in the options.
    pub(crate) fn on_threads<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.threads {
            None => work(),
            Some(pool) => pool.install(work),
        }
    }

    /// Number of threads.
    pub(crate) fn threads(&self) -> usize {
        self.threads.as_ref().map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads())
    }

    /// Runs a stage's `work` on the networks' device. If the device fails and the options allow it, the CPU
    /// repeats the work and runs everything after it; otherwise the error is returned.
    ///
    /// This is the only place that decides about the fallback.
    pub(crate) fn on_device<T>(
        &self,
        networks: &Networks,
        mut work: impl FnMut(&Networks) -> Result<T>,
    ) -> Result<T> {
        if self.moved_to_cpu() {
            return work(networks.on_cpu()?);
        }
        let error = match work(networks) {
            Err(error) if error.is_of_device() && self.allow_cpu_fallback && networks.has_fallback() => error,
            result => return result,
        };
        let on_cpu = networks.on_cpu()?;
        // Both networks may run at once, and fail at once.
        if !self.moved_to_cpu.swap(true, Ordering::Relaxed) {
            self.warn(Warning::MovedToCpu { device: networks.place(), reason: error.to_string() })?;
        }
        work(on_cpu)
    }

    /// Whether the device has failed and everything runs on the CPU.
    pub(crate) fn moved_to_cpu(&self) -> bool {
        self.moved_to_cpu.load(Ordering::Relaxed)
    }

    /// Reports a stage's progress to the observer.
    pub(crate) fn progress(&self, progress: Progress) -> Result<()> {
        self.tell(Event::Progress(progress))
    }

    /// Reports the progress of a stage after the networks: 0 or 1 of 1.
    pub(crate) fn step(&self, stage: Stage, done: usize) -> Result<()> {
        self.progress(Progress { stage, done, total: 1 })
    }

    /// Whether a long computation of a stage may continue. Cheap to call often: only every [`ASK_EVERY`] the
    /// observer hears that the stage is not yet done, and may cancel.
    pub(crate) fn may_continue(&self, stage: Stage) -> bool {
        let due = match self.asked.try_lock() {
            Ok(mut asked) if asked.elapsed() >= ASK_EVERY => {
                *asked = Instant::now();
                true
            }
            _ => false,
        };
        match due {
            true => self.step(stage, 0).is_ok(),
            false => !self.cancelled.load(Ordering::Relaxed),
        }
    }

    /// Chunks per batch of a stage on a GPU: at most the size to which a batch of this stage had to be reduced.
    pub(crate) fn batch_size(&self, stage: Stage, wanted: usize) -> usize {
        let sizes = self.batch_sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.get(&stage).map_or(wanted, |&reduced| reduced.min(wanted))
    }

    /// Reduces the batch size of a stage, of which a batch of `failed` chunks did not fit into memory, to `now`.
    pub(crate) fn reduce_batches(&self, stage: Stage, failed: usize, now: usize) -> Result<()> {
        self.batch_sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(stage, now);
        self.warn(Warning::SmallerBatch { stage, failed, now })
    }

    /// Records a warning for the result and reports it to the observer.
    pub(crate) fn warn(&self, warning: Warning) -> Result<()> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning.clone());
        self.tell(Event::Warning(warning))
    }

    /// All warnings so far.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reports an event to the observer, which may cancel.
    pub(crate) fn tell(&self, event: Event) -> Result<()> {
        let mut observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.cancelled.load(Ordering::Relaxed) && (**observer)(event).is_break() {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("threads", &self.threads())
            .field("allow_cpu_fallback", &self.allow_cpu_fallback)
            .field("moved_to_cpu", &self.moved_to_cpu())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ops::ControlFlow,
        sync::{
            Mutex,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
        thread,
        time::Instant,
    };

    use super::{ASK_EVERY, Context};
    use crate::{Error, Event, Options, Parameters, Progress, Result, Stage, Warning, engine::Networks};

    #[test]
    fn a_long_computation_asks_now_and_then_and_stops_when_cancelled() {
        let (asked, cancel) = (AtomicUsize::new(0), AtomicBool::new(false));
        let observer = |event| {
            assert!(matches!(
                event,
                Event::Progress(Progress { stage: Stage::Clustering, done: 0, total: 1 })
            ));
            asked.fetch_add(1, Ordering::Relaxed);
            if cancel.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = Options::new(Parameters::default());
        let begin = Instant::now();
        let context = Context::new(&options, Box::new(observer)).unwrap();
        while asked.load(Ordering::Relaxed) < 2 {
            assert!(context.may_continue(Stage::Clustering));
        }
        assert!(begin.elapsed() >= 2 * ASK_EVERY, "the observer is not asked more often");

        cancel.store(true, Ordering::Relaxed);
        thread::sleep(ASK_EVERY);
        assert!(!context.may_continue(Stage::Clustering));
        let times = asked.load(Ordering::Relaxed);
        thread::sleep(ASK_EVERY);
        assert!(!context.may_continue(Stage::Clustering));
        assert_eq!(asked.load(Ordering::Relaxed), times, "after cancelling, the observer is not asked again");
    }

    /// Calls `on_device` twice with work that fails on the device, but not on the CPU. Returns the results, and how
    /// often the work was started.
    #[cfg(feature = "bundled")]
    fn twice(
        networks: &Networks,
        context: &Context<'_>,
        error: impl Fn() -> Error,
    ) -> ([Result<&'static str>; 2], usize) {
        let mut begun = 0;
        let results = [(); 2].map(|()| {
            context.on_device(networks, |on| {
                begun += 1;
                if std::ptr::eq(on, networks) { Err(error()) } else { Ok("on the CPU") }
            })
        });
        (results, begun)
    }

    #[cfg(feature = "bundled")]
    #[test]
    fn the_cpu_takes_over_from_a_failing_device_only_if_allowed() {
        let networks = Networks::bundled_with_fallback();
        let failure =
            || networks.failed(Stage::Embeddings)(candle_core::Error::Msg("no kernel image".into()));
        let told = Mutex::new(Vec::new());
        let observer = |event| {
            told.lock().unwrap().push(event);
            ControlFlow::Continue(())
        };
        let options = Options::new(Parameters::default());

        let context = Context::new(&options, Box::new(observer)).unwrap();
        let (results, begun) = twice(&networks, &context, failure);
        for result in results {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("embeddings") && error.contains("no kernel image"), "{error}");
        }
        assert_eq!((begun, context.warnings().len(), told.lock().unwrap().len()), (2, 0, 0));

        let allowed = options.with_cpu_fallback();
        let context = Context::new(&allowed, Box::new(observer)).unwrap();
        let (results, begun) = twice(&networks, &context, failure);
        assert_eq!(results.map(Result::unwrap), ["on the CPU"; 2]);
        assert_eq!(begun, 3, "the device is tried only once");
        let [Warning::MovedToCpu { reason, .. }] = &context.warnings()[..] else {
            panic!("{:?}", context.warnings())
        };
        assert!(reason.contains("no kernel image"), "{reason}");
        assert_eq!(told.lock().unwrap().len(), 1);
        let later = Context::after(&context.warnings(), context.moved_to_cpu(), &allowed, Box::new(observer))
            .unwrap();
        assert_eq!(twice(&networks, &later, failure).1, 2, "clustering again does not try the device again");

        let context = Context::new(&allowed, Box::new(observer)).unwrap();
        let (results, begun) = twice(&networks, &context, || Error::NonFiniteOutput { stage: "embeddings" });
        assert!(results.iter().all(|result| matches!(result, Err(Error::NonFiniteOutput { .. }))));
        assert_eq!(begun, 2, "the CPU would compute the same");
    }
}
