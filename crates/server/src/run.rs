//! Wiring: settings in, components running, a graceful end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use api::{AccessGrant, AccessPolicy, AccessRequest};
use jiff::Timestamp;
use kube::{
    Api, Client, Config,
    api::ListParams,
    core::PartialObjectMeta,
    runtime::events::{Recorder, Reporter},
};
use rustls::crypto::CryptoProvider;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::{interval, sleep, timeout},
};
use tracing::{info, warn};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

mod assembly;

use assembly::{Handles, assemble};

use crate::{
    admission::{Admission, WaitingRoom, router::Service},
    args::{Args, resolve},
    audit::{self, AuditFile, Extensions, Limits, SetupError, Turns, Webhook, lines::Lines},
    canary::{
        self, Canary,
        reviews::CanaryReviews,
        speaking::CanarySpeaker,
        targets::{Targets, connector},
    },
    clock::Clock,
    cluster::{
        clients::Clients,
        index::Index,
        mutators::{self, Mutators},
        outcomes::Outcomes,
        own_pod::OwnPod,
        policies::PolicyStore,
        records::Records,
        rights,
        seal::{KeysError, Sealer},
        watch as watches,
    },
    controllers::{
        self, Touched, cleanup,
        filing::{self, Filer, Filings},
        notices::{About, Notices},
        report::{self, Observations},
        sealing,
    },
    lock::{self, Lock, exception::Excepted},
    metrics::Metrics,
    serve::{
        self, authentication::Authentication, client_authority::ClientAuthority, reload,
        review_path::ReviewPaths, tls::Tls,
    },
};

/// The oldest API server that is supported: its CEL and policies are what our objects are guarded
/// by.
const OLDEST_MINOR: u32 = 33;
/// How long an API server that does not answer is tried at start.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long reviews are still taken after we were told to stop.
const LINGER_TIME: Duration = Duration::from_secs(3);

/// How often the number of refusals that were left out of the log is written.
const TELL_INTERVAL: Duration = Duration::from_mins(1);
/// How long audit lines may still be written once all reviews are done.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Logs as JSON, one event a bounded line, to standard error. The audit lines are part of it at
/// every level. What HTTP libraries have to say is not: it may hold a secret path.
///
/// The audit goes to a file of its own instead where there is one.
pub fn log(level: tracing::Level, audit: Option<Arc<AuditFile>>) {
    let own = if audit.is_some() { "off" } else { "info" };
    let filter = EnvFilter::new(format!(
        "{level},audit={own},h2=warn,hyper=warn,hyper_util=warn,rustls=warn,tower=warn"
    ));
    let all = fmt::layer()
        .event_format(Lines)
        .with_writer(std::io::stderr)
        .with_filter(filter);
    let to_file = |file| {
        let is_audit = filter_fn(|metadata| metadata.target() == "audit");
        fmt::layer()
            .event_format(Lines)
            .with_writer(audit::file::FileLines(file))
            .with_filter(is_audit)
    };
    tracing_subscriber::registry()
        .with(all)
        .with(audit.map(to_file))
        .init();
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// Something it needs is missing or wrong at start: files, flags, the cluster, its version, its
/// CRDs.
pub async fn run(args: Args, audit_file: Option<Arc<AuditFile>>) -> anyhow::Result<()> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // kube looks for the process's default; a second install cannot happen here.
    let _: Result<(), Arc<CryptoProvider>> = CryptoProvider::clone(&provider).install_default();
    let files = Files::load(&args, audit_file, &provider)?;
    // Before anything is waited for: what changes meanwhile is to be seen.
    files.reload_on_change();
    let addresses = resolve(&args.address)
        .await
        .with_context(|| format!("cannot resolve --address {}", args.address))?;
    let config = config().await?;
    let clients =
        Clients::new(config.clone()).context("cannot set up a client for the API server")?;
    let own_name = check_cluster(&clients.controllers).await?;
    let listener = serve::listen(&addresses)
        .await
        .with_context(|| format!("cannot listen on {}", args.address))?;
    info!(address = %listener.local_addr()?, version = env!("KRA_VERSION"), own_name, cluster = args.cluster_name, "started");

    let (ready, is_ready) = watch::channel(false);
    let index = Arc::new(Index::with_room(args.max_indexed_requests));
    let touched = Touched::of(&index).context("the index has a listener already")?;
    let policies = Arc::new(PolicyStore::new(Arc::clone(&files.sealer)));
    let (outcomes, unwritten) = Outcomes::new(clients.controllers.clone());
    let (waiting, filings) = waiting(&args, is_ready.clone());
    let (observations, seen) = Observations::new();
    let reporting = report::run(
        seen,
        clients.controllers.clone(),
        report::namespace(&own_name).to_owned(),
    );
    let reporting = tokio::spawn(reporting);
    let mutators = Arc::new(Mutators::new(
        clients.decisions.clone(),
        report::namespace(&own_name),
    ));
    let handles = Handles {
        index: Arc::clone(&index),
        policies: Arc::clone(&policies),
        outcomes,
        waiting,
        observations,
        mutators: Arc::clone(&mutators),
    };
    let admission = Arc::new(assemble(
        &args,
        &clients,
        (&files.extensions, &files.sealer),
        handles,
        own_name,
    ));
    let common = Arc::clone(&admission.gate.common);
    let metrics = Metrics::new();
    let (watching, synced) = spawn_watches(&clients, &index, &policies, mutators, metrics.clone());
    let context = context(&args, &clients, &policies, &common.clock, &files, &metrics);
    let cleaning = (admission.objects.records.clone(), args.cleanup_interval);
    let controlling = spawn_controllers(
        context,
        (&index, touched),
        cleaning,
        filings,
        synced.clone(),
    );
    tokio::spawn(announce(synced, ready.clone()));
    watch_gate(&args, &clients, config, &admission, &metrics, &is_ready)?;
    tokio::spawn(tell_of_left_out(Arc::clone(&common.limits)));
    let router = Service::new(admission, is_ready, metrics)
        .believing(files.authentication())
        .router();
    tokio::select! {
        () = serve::serve(listener, files.tls, router, stopping(ready)) => {}
        // They never end by themselves: without them decisions would go on in the dark.
        ended = watching => bail!("the watches ended: {ended:?}"),
        ended = controlling => bail!("the controllers ended: {ended:?}"),
    }
    if timeout(WRITE_TIMEOUT, unwritten.written()).await.is_err() {
        warn!("stopped before all answers were written down: those uses will be called lost");
    }
    if timeout(WRITE_TIMEOUT, reporting).await.is_err() {
        warn!("stopped before all that observe mode saw was written down");
    }
    common.limits.tell(Timestamp::now());
    info!("stopped");
    Ok(())
}

/// Writes once in a while how many refusals were counted and not written.
async fn tell_of_left_out(limits: Arc<Limits>) {
    let mut ticks = interval(TELL_INTERVAL);
    loop {
        ticks.tick().await;
        limits.tell(Timestamp::now());
    }
}

/// Where attempts wait, and what is filed for them.
fn waiting(args: &Args, ready: watch::Receiver<bool>) -> (Option<WaitingRoom>, Filings) {
    let (filer, filings) = Filer::new();
    (
        args.in_band_wait.then(|| WaitingRoom::new(filer, ready)),
        filings,
    )
}

/// Begins to watch whether API servers ask us, and whether the lock is as it was installed, where
/// that is wanted.
fn watch_gate(
    args: &Args,
    clients: &Clients,
    config: Config,
    admission: &Admission,
    metrics: &Metrics,
    is_ready: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    if let Some(canary) = canary(admission, clients, config, metrics) {
        canary::start(canary, is_ready.clone());
    }
    if args.watch_lock {
        lock::start(lock(args, clients, admission, metrics)).context("--watch-lock")?;
    }
    Ok(())
}

/// What watches whether API servers ask us, where there is an account for it.
fn canary(
    admission: &Admission,
    clients: &Clients,
    config: Config,
    metrics: &Metrics,
) -> Option<Canary> {
    let CanaryReviews { account, sealer } = admission.gate.canary.clone()?;
    let client = clients.decisions.clone();
    let recorder = Recorder::new(client.clone(), reporter());
    let pod = OwnPod::new(
        client.clone(),
        account.namespace.as_str(),
        account.name.as_str(),
    );
    Some(Canary {
        targets: Targets::new(client, connector(config)),
        speaker: CanarySpeaker::new(recorder, pod),
        gauges: metrics.canary.clone(),
        clock: Arc::clone(&admission.gate.common.clock),
        watched: BTreeMap::new(),
        account,
        sealer,
    })
}

/// What watches the lock.
fn lock(args: &Args, clients: &Clients, admission: &Admission, metrics: &Metrics) -> Lock {
    let client = clients.controllers.clone();
    let own_name = admission.objects.own_name.as_str();
    let account = own_name.rsplit(':').next().unwrap_or(own_name);
    let pod = OwnPod::new(client.clone(), report::namespace(own_name), account);
    let recorder = Recorder::new(client.clone(), reporter());
    let exception = |Excepted { part, exception }| (part, exception);
    Lock {
        client,
        exceptions: args.lock_exception.iter().cloned().map(exception).collect(),
        namespace: report::namespace(own_name).to_owned(),
        gauges: metrics.lock.clone(),
        speaker: lock::speaking::LockSpeaker::new(recorder, pod),
        clock: Arc::clone(&admission.gate.common.clock),
    }
}

/// The original's rule: `$KUBECONFIG` or `~/.kube/config` if present, else in-cluster.
async fn config() -> anyhow::Result<Config> {
    let home = std::env::home_dir().map(|home| home.join(".kube/config"));
    let given = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
    if given || home.is_some_and(|file| Path::is_file(&file)) {
        let config = Config::from_kubeconfig(&kube::config::KubeConfigOptions::default()).await;
        return config.context("cannot use the kubeconfig");
    }
    Config::incluster()
        .context("there is no kubeconfig, and this is not a pod with a service account")
}

/// What is read from files, and read again when they change.
struct Files {
    tls: Arc<Tls>,
    paths: Option<Arc<ReviewPaths>>,
    clients: Option<Arc<ClientAuthority>>,
    extensions: Arc<Extensions>,
    notices: Option<Arc<Webhook>>,
    sealer: Arc<Sealer>,
}

impl Files {
    fn load(
        args: &Args,
        audit: Option<Arc<AuditFile>>,
        provider: &Arc<CryptoProvider>,
    ) -> anyhow::Result<Self> {
        let paths = args
            .review_path_file
            .clone()
            .map(ReviewPaths::load)
            .transpose()
            .context("--review-path-file")?;
        let clients = |file| {
            ClientAuthority::load(file, args.client_allowed_name.clone(), Arc::clone(provider))
        };
        let clients = args
            .client_ca_file
            .clone()
            .map(clients)
            .transpose()
            .context("--client-ca-file")?
            .map(Arc::new);
        if args.in_band_wait && paths.is_none() && clients.is_none() {
            // Else whoever reaches this address files requests in others' names.
            bail!("--in-band-wait needs --review-path-file or --client-ca-file");
        }
        let tls = Tls::load(
            args.cert_file.clone(),
            args.key_file.clone(),
            clients.clone(),
            Arc::clone(provider),
        )?;
        let extensions = Arc::new(Extensions {
            file: audit,
            ..extensions(args, provider)?
        });
        let sealer = Arc::new(sealer(args.seal_key_file.as_deref()).context("--seal-key-file")?);
        let notices = webhook(
            args.notice_url.as_ref(),
            args.notice_ca_bundle.as_ref(),
            provider,
        )
        .context("--notice-url")?;
        let (tls, paths, notices) = (Arc::new(tls), paths.map(Arc::new), notices.map(Arc::new));
        Ok(Self {
            tls,
            paths,
            clients,
            extensions,
            notices,
            sealer,
        })
    }

    fn authentication(&self) -> Authentication {
        let authentication = Authentication::new(self.paths.clone(), self.clients.clone());
        if authentication.is_open() {
            warn!(
                "every review is believed: whoever reaches this address can use up others' single uses and have false \
                 attempts recorded. Give --review-path-file or --client-ca-file"
            );
        }
        authentication
    }

    fn reload_on_change(&self) {
        let tls = Arc::clone(&self.tls);
        tokio::spawn(reload::on_change(tls.files(), move || tls.reload()));
        if let Some(paths) = self.paths.clone() {
            tokio::spawn(reload::on_change(
                vec![paths.file().to_owned()],
                move || paths.reload(),
            ));
        }
        if let Some(clients) = self.clients.clone() {
            tokio::spawn(reload::on_change(
                vec![clients.file().to_owned()],
                move || clients.reload(),
            ));
        }
        if let Some(file) = self.sealer.file() {
            let sealer = Arc::clone(&self.sealer);
            tokio::spawn(reload::on_change(vec![file.to_owned()], move || {
                sealer.reload()
            }));
        }
        let (all, notices) = (Arc::clone(&self.extensions), self.notices.clone());
        let bundles = webhooks(&all).chain(notices.as_deref());
        let bundles: Vec<_> = bundles
            .filter_map(|webhook| Some(webhook.ca_bundle()?.to_owned()))
            .collect();
        let reload = move || {
            webhooks(&all)
                .chain(notices.as_deref())
                .try_for_each(Webhook::reload)
        };
        tokio::spawn(reload::on_change(bundles, reload));
    }
}

/// What seals grants; without keys it warns.
fn sealer(file: Option<&Path>) -> Result<Sealer, KeysError> {
    if let Some(file) = file {
        return Sealer::load(file.to_owned());
    }
    warn!(
        "nothing is sealed: what is written while the webhooks are away will count. Give --seal-key-file"
    );
    Ok(Sealer::off())
}

fn extensions(args: &Args, provider: &Arc<CryptoProvider>) -> anyhow::Result<Extensions> {
    let (audit, audit_bundle) = (
        args.audit_webhook_url.as_ref(),
        args.audit_webhook_ca_bundle.as_ref(),
    );
    let validation = args.extended_validation_webhook_url.as_ref();
    let validation_bundle = args.extended_validation_webhook_ca_bundle.as_ref();
    Ok(Extensions {
        audit: webhook(audit, audit_bundle, provider).context("--audit-webhook-url")?,
        validation: webhook(validation, validation_bundle, provider)
            .context("--extended-validation-webhook-url")?,
        types: args.audit_webhook_types.clone(),
        file: None,
        turns: Turns::default(),
    })
}

fn webhook(
    url: Option<&http::Uri>,
    bundle: Option<&PathBuf>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Webhook>, SetupError> {
    url.map(|url| Webhook::new(url.clone(), bundle.cloned(), Arc::clone(provider)))
        .transpose()
}

/// Whether the cluster has what we need; answers with our own name there.
async fn check_cluster(client: &Client) -> anyhow::Result<String> {
    let version = patiently(client).await?;
    let minor: String = version
        .minor
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    if version.major == "1" && minor.parse::<u32>().is_ok_and(|minor| minor < OLDEST_MINOR) {
        bail!(
            "this API server is {}, and kube-request-access needs 1.{OLDEST_MINOR} or newer: upgrade the cluster",
            version.git_version
        );
    }
    check_crd::<AccessRequest>(client).await?;
    check_crd::<AccessGrant>(client).await?;
    check_crd::<AccessPolicy>(client).await?;
    let own_name = rights::own_name(client)
        .await
        .context("cannot ask the API server who we are")?;
    own_name
        .context("the API server does not say who we are: is this server's account authenticated?")
}

/// The API server's version; it may still be starting, as we are.
async fn patiently(
    client: &Client,
) -> anyhow::Result<k8s_openapi::apimachinery::pkg::version::Info> {
    let started = tokio::time::Instant::now();
    loop {
        match client.apiserver_version().await {
            Ok(version) => return Ok(version),
            Err(error) if started.elapsed() >= START_TIMEOUT => {
                return Err(error).context(
                    "the API server cannot be reached: check the kubeconfig, and that it runs",
                );
            }
            Err(error) => {
                warn!(
                    error = crate::chain(&error),
                    "the API server cannot be reached; trying again"
                );
                sleep(Duration::from_secs(2)).await;
            }
        }
    }
}

async fn check_crd<K>(client: &Client) -> anyhow::Result<()>
where
    K: kube::Resource<DynamicType = ()> + std::fmt::Debug + Clone,
{
    let api: Api<PartialObjectMeta<K>> = Api::all(client.clone());
    let plural = K::plural(&());
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(()),
        // By the code: where there is no such API, the answer gives no reason.
        Err(kube::Error::Api(status)) if status.code == 404 => {
            bail!(
                "the CustomResourceDefinition {plural}.{} is not installed: apply deploy/crds first",
                api::objects::GROUP
            )
        }
        Err(error) => Err(error)
            .with_context(|| format!("cannot list {plural}: check this server's ClusterRole")),
    }
}

fn spawn_watches(
    clients: &Clients,
    index: &Arc<Index>,
    policies: &Arc<PolicyStore>,
    mutators: Arc<Mutators>,
    metrics: Metrics,
) -> (JoinHandle<()>, watch::Receiver<watches::Synced>) {
    let (synced, is_synced) = watch::channel(watches::Synced::default());
    let watching = watches::run(
        clients.clone(),
        Arc::clone(index),
        Arc::clone(policies),
        metrics.index.clone(),
        synced,
    );
    let client = clients.requests.clone();
    let all = async move {
        tokio::join!(watching, mutators::watch(&client, &mutators, &metrics));
    };
    (tokio::spawn(all), is_synced)
}

fn context(
    args: &Args,
    clients: &Clients,
    policies: &Arc<PolicyStore>,
    clock: &Clock,
    files: &Files,
    metrics: &Metrics,
) -> controllers::ControllerContext {
    let about = || About {
        cluster: args.cluster_name.clone(),
        template: args.request_url_template.clone(),
    };
    let start = |webhook| Notices::start(webhook, about(), &clients.controllers, metrics.clone());
    let notices = files.notices.as_ref().map(start);
    controllers::ControllerContext {
        client: clients.controllers.clone(),
        recorder: Recorder::new(clients.controllers.clone(), reporter()),
        notices,
        role: args.granted_role_name.clone(),
        settings: Arc::new(args.settings()),
        policies: Arc::clone(policies),
        sealer: Arc::clone(&files.sealer),
        keep: args.keep(),
        clock: Arc::clone(clock),
        metrics: metrics.clone(),
    }
}

/// Who publishes events: which replica, too.
fn reporter() -> Reporter {
    Reporter {
        controller: "kube-request-access".to_owned(),
        instance: std::env::var("HOSTNAME").ok(),
    }
}

/// Nothing is called granted before it is known what the policies require; and nothing is deleted,
/// and no key retired, before all objects are known.
fn spawn_controllers(
    context: controllers::ControllerContext,
    (index, touched): (&Arc<Index>, Touched),
    (records, every): (Records, Duration),
    filings: Filings,
    mut synced: watch::Receiver<watches::Synced>,
) -> JoinHandle<()> {
    let (context, index) = (Arc::new(context), Arc::clone(index));
    tokio::spawn(async move {
        if synced
            .wait_for(|synced| synced.is_complete())
            .await
            .is_err()
        {
            return;
        }
        // It ends where nobody waits in band.
        tokio::spawn(filing::run(filings, Arc::clone(&context)));
        let sealing = sealing::run(Arc::clone(&context), Arc::clone(&index));
        let cleaning = cleanup::run(Arc::clone(&context), Arc::clone(&index), records, every);
        // None of them ends by itself: where one does, the server does.
        tokio::select! {
            () = controllers::run(Arc::clone(&context), Arc::clone(&index), touched) => {}
            // It ends where nothing is sealed.
            ((), ()) = async { tokio::join!(sealing, cleaning) } => {}
        }
    })
}

fn webhooks(extensions: &Extensions) -> impl Iterator<Item = &Webhook> {
    extensions.audit.iter().chain(&extensions.validation)
}

/// Ready once the index knows all that there was: until then another replica decides.
async fn announce(mut synced: watch::Receiver<watches::Synced>, ready: watch::Sender<bool>) {
    if synced.wait_for(|synced| synced.is_complete()).await.is_ok() {
        info!("ready");
        ready.send_replace(true);
    }
}

/// Completes on SIGTERM or SIGINT, after readiness is taken back; a second signal ends the process
/// at once.
async fn stopping(ready: watch::Sender<bool>) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        warn!("signals cannot be listened to; only SIGKILL stops this server");
        return std::future::pending().await;
    };
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    ready.send_replace(false);
    info!("received SIGTERM: draining, and taking no more reviews in a moment");
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(1);
    });
    // Until every node knows that we are not ready, reviews still come here; a refused connection
    // would deny them.
    sleep(LINGER_TIME).await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower::service_fn;

    use super::*;

    /// A cluster of this version, in which every list is answered with this status.
    fn cluster(git_version: &'static str, lists: StatusCode) -> Client {
        let minor = git_version.split('.').nth(1).unwrap_or_default();
        let version = json!({"major": "1", "minor": minor, "gitVersion": git_version, "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": ""});
        let answer = move |path: &str| -> (StatusCode, Value) {
            match path {
                "/version" => (StatusCode::OK, version.clone()),
                path if path.ends_with("selfsubjectreviews") => (
                    StatusCode::OK,
                    json!({"metadata": {}, "status": {"userInfo": {"username": "server"}}}),
                ),
                _ if lists == StatusCode::OK => (lists, json!({"metadata": {}, "items": []})),
                _ => (
                    lists,
                    json!({"status": "Failure", "message": "no", "reason": "no", "code": lists.as_u16()}),
                ),
            }
        };
        let service = service_fn(move |request: Request<Body>| {
            let (status, body) = answer(request.uri().path());
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() = status;
            async move { Ok::<_, Infallible>(response) }
        });
        Client::new(service, "default")
    }

    async fn refused(git_version: &'static str, lists: StatusCode) -> String {
        format!(
            "{:#}",
            check_cluster(&cluster(git_version, lists))
                .await
                .unwrap_err()
        )
    }

    #[tokio::test]
    async fn a_cluster_with_all_that_is_needed_tells_our_name() {
        for version in ["v1.33.0", "v1.37.2", "v1.37+"] {
            assert_eq!(
                check_cluster(&cluster(version, StatusCode::OK))
                    .await
                    .unwrap(),
                "server"
            );
        }
    }

    #[tokio::test]
    async fn an_api_server_that_is_too_old_is_refused() {
        assert!(
            refused("v1.32.9", StatusCode::OK)
                .await
                .contains("is v1.32.9, and kube-request-access needs 1.33 or newer")
        );
    }

    #[tokio::test]
    async fn missing_definitions_and_rights_are_named() {
        let missing = refused("v1.37.2", StatusCode::NOT_FOUND).await;
        assert!(
            missing.contains(
                "accessrequests.spreadgroup.com is not installed: apply deploy/crds first"
            ),
            "{missing}"
        );
        assert!(
            refused("v1.37.2", StatusCode::FORBIDDEN)
                .await
                .contains("check this server's ClusterRole")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_cannot_be_reached_is_tried_for_a_minute() {
        let service = service_fn(|_: Request<Body>| async {
            Err::<Response<Body>, _>(std::io::Error::other("refused"))
        });
        let began = tokio::time::Instant::now();
        let error = check_cluster(&Client::new(service, "default"))
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains("the API server cannot be reached"));
        assert!(began.elapsed() >= START_TIMEOUT);
    }
}
