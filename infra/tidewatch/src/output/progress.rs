//! Progress of work that takes longer than a second: bars on a terminal, nothing elsewhere.

use std::io::IsTerminal as _;
use std::pin::pin;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidewatch_core::ports::Sleeper as _;
use tidewatch_runtime::system::SystemSleeper;

/// How often a line is drawn again by itself.
const TICK: std::time::Duration = std::time::Duration::from_millis(200);

/// How long work that is usually short may take before it is said that it goes on.
const SHORT: std::time::Duration = std::time::Duration::from_secs(1);

/// The progress bars of a command.
pub(crate) struct ProgressBars {
    bars: MultiProgress,
}

/// One line of progress; a clone is the same line.
#[derive(Clone)]
pub(crate) struct Progress(ProgressBar);

impl ProgressBars {
    /// Bars on standard error, when that is a terminal and `quiet` is not asked for.
    pub(crate) fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target) }
    }

    /// A line with a bar.
    pub(crate) fn bar(&self, label: &str) -> Progress {
        let bar = self.bars.add(ProgressBar::new(0));
        bar.set_style(style("{spinner} {prefix:24} [{bar:32}] {pos}/{len} {msg}").progress_chars("=> "));
        bar.set_prefix(label.to_owned());
        // Shown at once, and moving, also before there is anything to count.
        bar.enable_steady_tick(TICK);
        Progress(bar)
    }

    /// A line with a bar for something of `total` bytes; zero when that is not known.
    pub(crate) fn bytes(&self, label: &str, total: u64) -> Progress {
        let bar = self.bars.add(ProgressBar::new(total));
        let template = if total == 0 {
            "{spinner} {prefix:24} {bytes}"
        } else {
            "{spinner} {prefix:24} [{bar:32}] {bytes}/{total_bytes}"
        };
        bar.set_style(style(template).progress_chars("=> "));
        bar.set_prefix(label.to_owned());
        bar.enable_steady_tick(TICK);
        Progress(bar)
    }

    /// A line that moves and says `what` is being done, where there is nothing to count.
    pub(crate) fn spinner(&self, what: &str) -> Progress {
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {msg}"));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        Progress(bar)
    }
}

/// Does `work`, which is usually short. When it takes longer than a second, a line says `what` is being done.
pub(crate) async fn while_waiting<T>(quiet: bool, what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = SystemSleeper.sleep(SHORT) => {}
    }
    let line = ProgressBars::new(quiet).spinner(what);
    let done = work.await;
    line.finish();
    done
}

/// A template that cannot be read would show the default line.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress {
    /// Shows how much of how much is done.
    pub(crate) fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Shows that so much more is done.
    pub(crate) fn add(&self, more: u64) {
        self.0.inc(more);
    }

    /// Shows a word about what is being done.
    pub(crate) fn say(&self, message: String) {
        self.0.set_message(message);
    }

    /// Removes the line.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
