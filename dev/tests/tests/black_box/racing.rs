//! Many at once.

use kra_tests::{scene::Scene, world};

#[test]
fn of_thirty_commands_at_once_on_two_replicas_one_runs() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let said: Vec<_> = std::thread::scope(|threads| {
        let runs: Vec<_> = (0..30)
            .map(|_| threads.spawn(|| jane.exec(&["date"])))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let ran = said.iter().filter(|said| said.success).count();
    assert_eq!(
        ran,
        1,
        "{:#?}",
        said.iter().map(|said| &said.text).collect::<Vec<_>>()
    );
    assert_eq!(scene.uses(&request), 1);
}
