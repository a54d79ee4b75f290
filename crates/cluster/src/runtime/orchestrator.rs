//! The orchestrator's process: feeds the machine with messages, ticks, commands and what the collector stored, does what
//! it asks, and keeps the board up to date.
//!
//! Invariant: nothing here decides. Deliberately absent: HTTP and text; viewers read the board through a [`Handle`].

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clock::Instant;
use crossbeam_channel::{Receiver, Sender, bounded};
use metrics::Verdict;
use plan::Plan;
use store::{EventRow, RunRow, Store};
use transport::{Connect, FileInfo, SendError, Start, Ticket, Topic, Transport, Uuid};

use super::collector::{Collector, News, Order};
use super::ingest::{self, Hurry, Source};
use super::sending::{Ready, Sending};
use super::{ending, locked, resuming, shown};
use crate::board::{Board, Current};
use crate::collector::Gathering;
use crate::files::Shelf;
use crate::handle::{Failure, Handle, MAX_REQUESTS, Request, Wanted};
use crate::orchestrator::{self, Action, Command, Event, Orchestrator, Outcome, Settings};
use crate::result::{self, Ending, Extras, Summarise};
use crate::run::{Acknowledged, Now, RunRecord, Sent};
use crate::view::{RunState, RunView, TimelineEvent};

/// How long a turn waits for a message.
const TURN: Duration = Duration::from_millis(20);
/// Between two ticks of the machine.
const TICK: Duration = Duration::from_millis(200);
/// Between two updates of the board when nothing happens.
const SHOW: Duration = Duration::from_secs(1);
/// News of the collector that may wait; each is the state of one driver.
const MAX_NEWS: usize = 1_024;
/// How long the end of a run waits for the last transaction.
const LAST_FLUSH: Duration = Duration::from_secs(5);
/// Before a resumed run was created: the broker's clock may differ from ours by that much.
const CLOCK_MARGIN: Duration = Duration::from_secs(600);
/// Events of the timeline that may wait for the store; one run shows as many.
const MAX_UNSAVED_EVENTS: usize = 2_000;
/// How far back a claimant reads: a lease is at most 30 s long, and clocks differ.
const CLAIMS_BACK: Duration = Duration::from_secs(120);

/// Why the log cannot be connected to; only who carries its messages knows the kinds.
pub type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// What an orchestrator stands on.
pub struct Ground<'a> {
    /// Name in its heartbeats.
    pub node_id: String,
    /// Least time between the trigger and the start of a run.
    pub start_lead: Duration,
    /// How long drivers may take to be there and to arm.
    pub arm_timeout: Duration,
    /// Where results are kept.
    pub store: Store,
    /// Whether the log outlives this process, so that a run that the store knows as under way can be continued.
    pub log_survives: bool,
    /// Where the drivers of this process find the files of runs. Without it they are sent through the log.
    pub shelf: Option<Shelf>,
    /// Where raw events are read, by this process or by collectors.
    pub events: Option<Source>,
    /// Whether the broker is known not to stamp heartbeats; the first of ours tells in any case.
    pub unstamped: bool,
    /// The command that makes the broker stamp heartbeats, for whoever starts a run while it does not.
    pub stamp_command: Option<String>,
    /// What lists show of a result.
    pub figures: Summarise,
    /// Connects to the log.
    pub connect: &'a dyn Fn(Connect) -> Result<Box<dyn Transport>, ConnectError>,
}

/// Why an orchestrator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be reached or used.
    #[error(transparent)]
    Transport(#[from] ConnectError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A run is under way in the store whose state this version cannot read.
    #[error("run {run_id} is under way in the store, but {source}")]
    Record {
        /// The run.
        run_id: String,
        /// What is wrong with it.
        source: crate::run::RecordError,
    },
    /// The system has no more threads.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// A running orchestrator. Ends when told, or when dropped.
pub struct Running {
    handle: Handle,
    shutdown: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// How to reach it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Asks it to end: the current run is stopped first.
    pub fn shut_down(&self) {
        self.shutdown.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended, as asked or by a fault.
    pub fn has_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Waits for its end; false when a thread of it panicked.
    pub fn join(mut self) -> bool {
        mem::take(&mut self.threads).into_iter().fold(true, |well, thread| thread.join().is_ok() & well)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Starts an orchestrator. A run that its store knows as under way is continued, or ended where its log is gone.
pub fn start(mut ground: Ground<'_>) -> Result<Running, StartError> {
    let mut resumed = resuming::resumed(&mut ground.store)?;
    while let Some((row, _)) = resumed.take_if(|_| !ground.log_survives) {
        resuming::abandon(&mut ground.store, row, ground.figures)?;
        resumed = resuming::resumed(&mut ground.store)?;
    }
    let events = match &resumed {
        Some((row, _)) => ground.store.reader()?.events(&row.run_id)?,
        None => Vec::new(),
    };
    let reports_from = match &resumed {
        Some((row, _)) => Start::Ago(CLOCK_MARGIN + age(row.created_ms)),
        None => Start::End,
    };
    let connect = |role: &str, subscriptions| {
        (ground.connect)(Connect { node: format!("{}-{role}", ground.node_id), subscriptions })
    };
    let mut heard = vec![
        (Topic::Register, Start::Ago(CLAIMS_BACK)),
        (Topic::Heartbeat, Start::End),
        (Topic::Control, Start::Ago(CLAIMS_BACK)),
    ];
    if resumed.is_some() {
        // What setup saved is nowhere but in what the drivers were told.
        heard.push((Topic::TestConfig, reports_from.clone()));
    }
    let commands = connect("control", heard)?;
    let reports = connect("collector", vec![(Topic::Metrics, reports_from)])?;
    let settings = Settings {
        node_id: ground.node_id.clone(),
        store: Uuid::parse_str(ground.store.store_id()).unwrap_or_else(|_| Uuid::now_v7()),
        start_lead: ground.start_lead,
        arm_timeout: ground.arm_timeout,
    };
    let board = Arc::new(Board::default());
    let store = Arc::new(Mutex::new(ground.store));
    let shutdown = Arc::new(AtomicBool::new(false));
    let (requests, asked) = bounded(MAX_REQUESTS);
    let (orders, to_collect) = bounded(4);
    let (news, collected) = bounded(MAX_NEWS);
    // A resumed run is gathered again from its first report on, which may come before control asks for it.
    if let Some((row, _)) = &resumed {
        put_on_board(&board, row, events);
    }
    let collector = Collector {
        board: Arc::clone(&board),
        store: Arc::clone(&store),
        transport: reports,
        orders: to_collect,
        news,
        run: resumed.as_ref().map(|(row, _)| row.run_id.clone()),
        unstored: Vec::new(),
        flushed: clock::now(),
    };
    let control = Control {
        machine: Orchestrator::new(settings, Uuid::now_v7()),
        node_id: ground.node_id,
        board: Arc::clone(&board),
        store,
        transport: commands,
        sent: HashMap::new(),
        files: Sending::new(ground.shelf),
        asked,
        orders,
        collected,
        answers: HashMap::new(),
        next_token: 0,
        row: None,
        row_unsaved: false,
        events_unsaved: VecDeque::new(),
        save_fault: None,
        hurry: Hurry::default(),
        has_ingest: ground.events.as_ref().is_some_and(|source| source.is_ours),
        stamp_command: ground.stamp_command,
        figures: ground.figures,
        unstamped: ground.unstamped,
        exit: false,
    };
    let (hurry, ingest_over) = (control.hurry.clone(), Arc::new(AtomicBool::new(false)));
    let ingest = ground.events.map(|source| {
        let (store, over) = (locked(&control.store), Arc::clone(&ingest_over));
        ingest::spawn(&control.node_id, &store, source, hurry, Arc::clone(&board), over)
    });
    let ingest = ingest.transpose()?;
    let spawn =
        |name: &str, run: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.to_owned()).spawn(run);
    let told = Arc::clone(&shutdown);
    let run_control = move || {
        control.run(resumed, &told);
        ingest_over.store(true, Ordering::Relaxed);
    };
    let mut threads = vec![
        spawn("collector", Box::new(move || collector.run()))?,
        spawn("control", Box::new(run_control))?,
    ];
    threads.extend(ingest);
    Ok(Running { handle: Handle { board, requests }, shutdown, threads })
}

/// Puts a run on the board, unless it is there; its plan, or `None` when this version cannot read it.
fn put_on_board(board: &Board, row: &RunRow, events: Vec<EventRow>) -> Option<Arc<Plan>> {
    let plan = Arc::new(plan::parse("stored plan", &row.plan_source).ok()?);
    let view = RunView {
        run_id: row.run_id.clone(),
        plan: Arc::clone(&plan),
        state: RunState::parse(&row.state).unwrap_or(RunState::Created),
        state_reason: None,
        created_ms: row.created_ms,
        started_ms: row.started_ms,
        stopped_ns: None,
        ended_ms: None,
        planned_per_s: None,
        drivers: Vec::new(),
        verdict: Verdict::default(),
        thresholds: Vec::new(),
        latest: None,
        events: events.into_iter().map(result::event).collect(),
    };
    board.change(|content| {
        if content.current_of(&row.run_id).is_none() {
            let gathering = Gathering::new(row.run_id.clone(), Arc::clone(&plan));
            content.current = Some(Current { view, gathering, ending: None });
        }
    });
    Some(plan)
}

fn age(unix_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(clock::unix_ms().saturating_sub(unix_ms)).unwrap_or(0))
}

type Answer = Sender<Result<RunState, Failure>>;

struct Control {
    machine: Orchestrator,
    node_id: String,
    board: Arc<Board>,
    store: Arc<Mutex<Store>>,
    transport: Box<dyn Transport>,
    sent: HashMap<Ticket, Sent>,
    files: Sending,
    asked: Receiver<Request>,
    orders: Sender<Order>,
    collected: Receiver<News>,
    answers: HashMap<u64, Answer>,
    next_token: u64,
    /// The current run as it is, or should be, in the store.
    row: Option<RunRow>,
    row_unsaved: bool,
    /// Events of runs that are not in the store yet, oldest first.
    events_unsaved: VecDeque<(String, EventRow)>,
    /// Why the last attempt to save row or events failed, if it did.
    save_fault: Option<String>,
    /// Asks for raw events to be stored at once.
    hurry: Hurry,
    has_ingest: bool,
    stamp_command: Option<String>,
    figures: Summarise,
    /// The broker did not stamp the last heartbeat, so no driver learns its time.
    unstamped: bool,
    exit: bool,
}

impl Control {
    fn run(mut self, resumed: Option<resuming::Resumed>, shutdown: &AtomicBool) {
        let record = resumed.map(|(row, record)| {
            self.row = Some(row);
            record
        });
        self.tell(Event::Started(record));
        let (mut ticked, mut shown, mut told) = (clock::now(), Instant::default(), false);
        while !self.exit {
            if let Some(event) = self.transport.next(TURN) {
                self.received(event);
            }
            while let Ok(news) = self.collected.try_recv() {
                self.heard(news);
            }
            while let Ok(request) = self.asked.try_recv() {
                self.requested(request);
            }
            self.send_files();
            if shutdown.load(Ordering::Relaxed) && !told {
                told = true;
                self.tell(Event::Shutdown);
            }
            let now = clock::now();
            if now.since(ticked) >= TICK {
                ticked = now;
                self.tell(Event::Tick);
            }
            if now.since(shown) >= SHOW {
                shown = now;
                self.save();
                self.show();
            }
        }
        self.show();
    }

    /// Lets the machine decide, and does what it says, in order.
    fn tell(&mut self, event: Event) {
        let actions = self.machine.on(event, now());
        let anything = !actions.is_empty();
        for action in actions {
            self.act(action);
        }
        if anything {
            self.show();
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(message) => self.send(&message),
            Action::Persist(record) => self.persist(&record),
            Action::Reply { token, result } => self.reply(token, result.map_err(Failure::Refused)),
            Action::Collect { run_id } => self.collect(run_id),
            Action::Timeline(event) => self.note(event),
            Action::Ended(outcome) => self.ended(&outcome),
            Action::Notice(level, text) => super::notice(level, &self.node_id, &text),
            Action::Exit => self.exit = true,
        }
    }

    fn send(&mut self, message: &transport::Message) {
        match self.transport.send(message) {
            Ok(ticket) => {
                self.sent.insert(ticket, Sent::of(message));
            }
            // A stale heartbeat or lease is worse than none; the next one follows in a second.
            Err(error @ SendError::Full) => tracing::warn!(node = self.node_id, %error),
            Err(error) => tracing::error!(node = self.node_id, %error),
        }
    }

    fn received(&mut self, event: transport::Event) {
        use transport::Event as Heard;
        match event {
            Heard::Record(record) => self.tell(Event::Record(record)),
            Heard::Acknowledged { ticket, partition, offset, .. }
                if self.files.acknowledged(ticket, partition, offset) => {}
            Heard::Undelivered { ticket, reason } if self.files.undelivered(ticket, &reason) => {}
            Heard::Acknowledged { ticket, stamp, sent: handed_over, acknowledged, .. } => {
                if let Some(sent) = self.sent.remove(&ticket) {
                    if sent == Sent::Heartbeat {
                        self.unstamped = stamp.is_none();
                    }
                    self.tell(Event::Acknowledged(Acknowledged { sent, handed_over, acknowledged, stamp }));
                }
            }
            Heard::Undelivered { ticket, reason } => {
                if self.sent.remove(&ticket).is_some_and(|sent| sent != Sent::Heartbeat) {
                    tracing::warn!(node = self.node_id, reason, "a command was not delivered");
                }
            }
            Heard::Gap { topic, missing, .. } => {
                tracing::warn!(node = self.node_id, %topic, missing, "records were deleted before they were read");
            }
            Heard::Unreachable { reason } => tracing::warn!(node = self.node_id, reason, "no broker answers"),
            Heard::Extent { .. } => {}
            Heard::Reachable => tracing::info!(node = self.node_id, "a broker answers again"),
        }
    }

    fn heard(&mut self, news: News) {
        match news {
            News::Collected(collected) => self.tell(Event::Collected(Box::new(collected))),
            News::Summarised { node_id, test_id, summary } => {
                self.tell(Event::Summarised { node_id, test_id, summary });
            }
            News::Breached { text } => self.breached(text),
            News::Crossed { run_id, reason } => self.tell(Event::Crossed { run_id, reason }),
            News::StoreFault(fault) => self.store_changed(fault),
        }
    }

    /// Puts the first breach of a threshold into the timeline, unless it is there: after a restart all reports are read
    /// again.
    fn breached(&mut self, text: String) {
        let is_known = self.board.look(|content| {
            let events = content.current.iter().flat_map(|current| &current.view.events);
            events.into_iter().any(|event| event.text == text)
        });
        if !is_known {
            let (second, kind) = (self.machine.second(now()), "threshold_breached".into());
            self.note(TimelineEvent { second, unix_ms: clock::unix_ms(), kind, text, driver: None });
        }
    }

    fn requested(&mut self, request: Request) {
        match request {
            // Whoever asked has stopped waiting when an answer cannot be given.
            Request::Create { plan, files, answer } => {
                if let Some(ready) = self.files.take(plan, &files, answer) {
                    self.created(ready);
                }
            }
            Request::Start { run_id, wanted, answer } => match self.startable(&run_id) {
                Ok((plan, files)) => {
                    let Wanted { min_drivers, max_drivers } = wanted;
                    let plan = Arc::new(plan);
                    let start = orchestrator::Start { run_id, plan, files, min_drivers, max_drivers };
                    self.command(Command::Start(Box::new(start)), answer);
                }
                Err(failure) => drop(answer.send(Err(failure))),
            },
            Request::Command { command, answer } => self.command(command, answer),
        }
    }

    /// Goes on with the files that a run waits for.
    fn send_files(&mut self) {
        self.files.send(&mut *self.transport);
        if let Some(ready) = self.files.ready() {
            self.created(ready);
        }
    }

    /// Stores a run whose files are where drivers find them.
    fn created(&mut self, ready: Ready) {
        let Ready { plan, files, answer } = ready;
        let created = self.create(&plan);
        if let (Ok(run_id), false) = (&created, files.is_empty()) {
            self.files.created(run_id.clone(), files);
        }
        // Whoever asked may have stopped waiting.
        answer.send(created).ok();
    }

    fn create(&self, plan: &Plan) -> Result<String, Failure> {
        let run_id = Uuid::now_v7().to_string();
        let row = RunRow {
            run_id: run_id.clone(),
            plan_name: plan.name.clone(),
            plan_source: plan.source.clone(),
            state: RunState::Created.as_str().to_owned(),
            created_ms: clock::unix_ms(),
            loop_kind: plan.loop_kind().as_str().to_owned(),
            ..RunRow::default()
        };
        locked(&self.store).create_run(&row)?;
        Ok(run_id)
    }

    /// The plan of a run that was created and not started yet, and where its files are, if there is ground to start it on.
    fn startable(&mut self, run_id: &str) -> Result<(Plan, Vec<FileInfo>), Failure> {
        if self.unstamped {
            return Err(Failure::Unstamped(self.stamp_command.clone().unwrap_or_default()));
        }
        self.save();
        if self.row_unsaved {
            let waits_for = self.save_fault.clone().or_else(|| self.board.results_fault());
            return Err(Failure::Unsaved(waits_for.unwrap_or_default()));
        }
        let row = self.stored(run_id)?;
        let state = RunState::parse(&row.state).unwrap_or(RunState::Failed);
        if state != RunState::Created {
            let why = "a run is started once; create another one of the same plan";
            return Err(orchestrator::Refused::State { state, why }.into());
        }
        // What a restart must know of a run is stored before anybody hears of it, so the store must be able to.
        locked(&self.store).update_run(&row)?;
        let plan =
            plan::parse("stored plan", &row.plan_source).map_err(|_| Failure::Plan(run_id.to_owned()))?;
        let files = self.files.files_of(run_id, &plan)?;
        Ok((plan, files))
    }

    fn stored(&self, run_id: &str) -> Result<RunRow, Failure> {
        let reader = locked(&self.store).reader()?;
        reader.run(run_id)?.ok_or_else(|| Failure::UnknownRun(run_id.to_owned()))
    }

    fn command(&mut self, command: Command, answer: Answer) {
        self.next_token += 1;
        self.answers.insert(self.next_token, answer);
        self.tell(Event::Command { token: self.next_token, command });
    }

    fn reply(&mut self, token: u64, result: Result<RunState, Failure>) {
        if let Some(answer) = self.answers.remove(&token) {
            // Whoever asked may have stopped waiting.
            answer.send(result).ok();
        }
    }

    fn persist(&mut self, record: &RunRecord) {
        if self.row.as_ref().is_none_or(|row| row.run_id != record.run_id) {
            match self.stored(&record.run_id) {
                Ok(row) => self.row = Some(row),
                Err(failure) => {
                    return tracing::error!(node = self.node_id, %failure, "the run cannot be stored");
                }
            }
        }
        if let Some(row) = &mut self.row {
            row.state = record.state.as_str().to_owned();
            row.started_ms = record.start_at_ms;
            row.drivers = record.members.iter().map(|member| member.node_id.clone()).collect();
            row.drivers.sort_unstable();
            row.drivers.dedup();
            row.extras = serde_json::to_string(&Extras::Record(record.to_json())).ok();
        }
        self.row_unsaved = true;
        self.save();
    }

    /// Stores what is not stored as it is; what fails is tried again each second.
    fn save(&mut self) {
        let fault = self.try_save().err().map(|error| error.to_string());
        if let Some(error) = fault.as_ref().filter(|_| self.save_fault.is_none()) {
            tracing::error!(node = self.node_id, error, "the state of the run is not stored yet");
        }
        self.save_fault = fault;
    }

    fn try_save(&mut self) -> Result<(), store::Error> {
        let mut store = locked(&self.store);
        while let Some((run_id, event)) = self.events_unsaved.front() {
            store.add_event(run_id, event)?;
            self.events_unsaved.pop_front();
        }
        let Some(row) = self.row.as_ref().filter(|_| self.row_unsaved) else { return Ok(()) };
        // A run is over in the store only when its reports are: else a restart would not read them again.
        let reports_wait = row.ended_ms.is_some() && self.board.results_fault().is_some();
        if !reports_wait {
            store.update_run(row)?;
            self.row_unsaved = false;
        }
        Ok(())
    }

    /// Puts the store's state into the timeline of the run.
    fn store_changed(&mut self, fault: Option<String>) {
        let (kind, text) = match fault {
            Some(why) => {
                ("store_fault", format!("results cannot be stored, and are kept until they can: {why}"))
            }
            None => ("store_back", "results are stored again, with all that was kept".to_owned()),
        };
        let second = self.machine.second(now());
        self.note(TimelineEvent { second, unix_ms: clock::unix_ms(), kind: kind.into(), text, driver: None });
    }

    fn collect(&mut self, run_id: String) {
        let Some(row) = self.row.as_ref().filter(|row| row.run_id == run_id) else { return };
        let Some(plan) = put_on_board(&self.board, row, Vec::new()) else { return };
        if self.orders.send(Order::Begin { run_id, plan }).is_err() {
            tracing::error!(node = self.node_id, "the collector has ended");
            self.exit = true;
        }
    }

    fn note(&mut self, event: TimelineEvent) {
        tracing::info!(node = self.node_id, kind = %event.kind, driver = event.driver, "{}", event.text);
        if let Some(row) = self.row.as_ref().filter(|_| self.events_unsaved.len() < MAX_UNSAVED_EVENTS) {
            let stored = EventRow {
                second: event.second,
                unix_ms: event.unix_ms,
                kind: event.kind.to_string(),
                text: event.text.clone(),
                driver: event.driver.clone(),
            };
            self.events_unsaved.push_back((row.run_id.clone(), stored));
            self.save();
        }
        self.board.change(|content| {
            if let Some(current) = &mut content.current {
                current.note(event);
            }
        });
    }

    fn ended(&mut self, outcome: &Outcome) {
        let (done, is_done) = bounded(1);
        if self.orders.send(Order::End { done }).is_ok() && is_done.recv_timeout(LAST_FLUSH).is_err() {
            tracing::error!(node = self.node_id, "the last reports of the run are not stored yet");
        }
        let merged = self.board.look(|content| {
            content.current_of(&outcome.run_id).map(|current| current.gathering.merged().clone())
        });
        let events_stored = merged.and_then(|merged| {
            ending::events_stored(&self.store, &self.hurry, &outcome.run_id, &merged, self.has_ingest)
        });
        let result = self.board.change(|content| {
            let current = content.current_of(&outcome.run_id)?;
            current.view.state = outcome.state;
            current.view.state_reason = outcome.reason.clone();
            current.view.ended_ms =
                Some(outcome.ended.map_or_else(clock::unix_ms, clock::BrokerTime::unix_ms));
            current.view.thresholds = current
                .gathering
                .judge_thresholds(current.view.length_ns(), current.view.was_ended_by_threshold());
            let mut ending = Ending::of(outcome, &current.view);
            ending.events_stored = events_stored;
            current.view.drivers = ending.drivers(current.gathering.merged());
            let context = result::context(&current.view, Some(&ending));
            current.view.verdict = metrics::verdict::judge(current.gathering.merged(), &context);
            current.ending = Some(ending.clone());
            Some((current.view.clone(), ending))
        });
        let figures = self.board.result(&outcome.run_id).map(|result| (self.figures)(&result));
        let Some(row) = self.row.as_mut().filter(|row| row.run_id == outcome.run_id) else { return };
        match result {
            Some((view, ending)) => {
                row.state = outcome.state.as_str().to_owned();
                row.started_ms = view.started_ms;
                row.ended_ms = view.ended_ms;
                row.verdict = Some(view.verdict.value.as_str().to_owned());
                row.figures = figures.unwrap_or_default();
                row.extras = serde_json::to_string(&Extras::Ending(ending)).ok();
            }
            // It never got the lead, so nobody heard of it: it can be started later, and not by a restart.
            None => {
                row.state = RunState::Created.as_str().to_owned();
                row.extras = None;
            }
        }
        self.row_unsaved = true;
        self.save();
    }

    /// Copies what the machine knows of the fleet and the run to the board.
    fn show(&self) {
        let fleet = shown::fleet(&self.machine);
        let status = shown::status(&self.machine, now());
        let second = self.machine.second(now());
        self.board.change(|content| {
            content.fleet = fleet;
            let Some(status) = status else { return };
            let Some(current) = content.current_of(&status.run_id) else { return };
            current.view.state = status.state;
            current.view.state_reason = status.reason;
            current.view.started_ms = status.started_ms;
            current.view.drivers = status.drivers;
            if let Some(second) = second {
                current.gathering.set_now(second);
            }
            if let Some(schedule) = status.schedule {
                current.gathering.set_schedule(schedule);
            }
            if let Some(stopped_ns) = status.stopped_ns {
                current.view.stopped_ns = Some(stopped_ns);
                current.gathering.set_stopped(stopped_ns);
            }
            let ours = current.view.drivers.iter().filter(|driver| !driver.foreign).count();
            current.view.planned_per_s = current.gathering.planned_per_s(ours);
            current.view.verdict = metrics::verdict::judge(
                current.gathering.merged(),
                &result::context(&current.view, current.ending.as_ref()),
            );
            for driver in &mut current.view.drivers {
                let totals = current.gathering.merged().drivers.get(&driver.node_id);
                driver.requests_sent = totals.map_or(driver.requests_sent, |totals| totals.requests_sent);
            }
        });
    }
}

fn now() -> Now {
    Now { instant: clock::now(), unix_ms: clock::unix_ms() }
}
