//! `swell target`: the sample server, until a signal.

use std::thread;
use std::time::Duration;

use target::{Server, Settings};

use crate::arguments::Target;
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};
use crate::signals::{Asked, Interrupts};

pub fn run(arguments: &Target, terminal: Terminal) -> anyhow::Result<Exit> {
    let interrupts = Interrupts::listen()?;
    let settings =
        Settings { listen: arguments.listen, threads: usize::from(arguments.threads), shop: arguments.shop };
    let server = start(settings)?;
    if !terminal.quiet {
        output::tell(&format!("target on http://{}", server.local_addr()));
    }
    while interrupts.asked() == Asked::Nothing {
        thread::sleep(Duration::from_millis(50));
    }
    server.stop();
    server.join();
    Ok(Exit::Success)
}

/// Starts the sample server, or says why it cannot listen.
pub fn start(settings: Settings) -> anyhow::Result<Server> {
    let listen = settings.listen;
    target::serve(settings).map_err(|error| {
        let advice = "choose another address with --listen, or port 0 for a free one";
        Ended::because(Exit::CannotListen, format!("cannot serve on {listen}: {error}; {advice}"))
    })
}
