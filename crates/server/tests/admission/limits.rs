//! How many requests people may have, and how fast they may file them.

use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use crate::{
    objects::{file, filing},
    world::{Settings, World, recorded, request},
};

#[tokio::test]
async fn one_user_cannot_fill_the_store() {
    let world = World::new(Settings::default());
    for name in ["one", "two"] {
        assert!(file(&world, &filing()).await.allowed());
        let mut open = request();
        open["metadata"]["name"] = json!(name);
        show(&world, open);
    }
    assert!(
        file(&world, &filing())
            .await
            .denial()
            .contains("has 2 open requests in namespace default; the maximum is 2")
    );
}

/// A request of somebody that waits in a namespace.
fn open_in(namespace: &str, user: &str) -> Value {
    let mut open = request();
    open["metadata"]["name"] = json!(format!("open-of-{user}"));
    open["metadata"]["namespace"] = json!(namespace);
    open["metadata"]["uid"] = json!(format!("{namespace}-{user}"));
    open["spec"]["forObject"]["namespace"] = json!(namespace);
    open["spec"]["userInfo"]["username"] = json!(user);
    open
}

/// The same, asked for by tom.
fn toms() -> Value {
    let mut toms = filing();
    toms["request"]["userInfo"]["username"] = json!("tom");
    toms["request"]["object"]["spec"]
        .as_object_mut()
        .unwrap()
        .remove("userInfo");
    toms
}

#[tokio::test]
async fn what_one_user_has_open_counts_over_all_namespaces_and_others_go_on() {
    let world = World::new(Settings::default());
    for number in 0..60 {
        show(&world, open_in(&format!("team-{number:02}"), "jane"));
    }
    let said = file(&world, &filing()).await;
    let denial = said.denial();
    assert!(
        denial.contains(
            "\"jane\" has 60 open requests in all namespaces; the maximum is 60 (--max-open-requests-per-user)"
        ) && denial.contains("(the oldest is open-of-jane in namespace team-00)"),
        "{denial}"
    );
    assert!(file(&world, &toms()).await.allowed());
}

#[tokio::test]
async fn the_fuller_all_is_the_fewer_one_user_may_have_and_whoever_has_none_goes_on() {
    let world = World::new(Settings::default());
    // 470 of 500: of the room that is left, nobody has more than an eighth.
    for number in 0..466 {
        let user = format!("person-{}", number % 10);
        show(&world, open_in(&format!("team-{number}"), &user));
    }
    for number in 0..4 {
        show(&world, open_in(&format!("own-{number}"), "jane"));
    }
    let said = file(&world, &filing()).await;
    let denial = said.denial();
    assert!(
        denial.contains("\"jane\" has 4 open requests in all namespaces; the maximum is 4 now")
            && denial
                .contains("all users together are near their limit (--max-open-requests-in-all)")
            && !denial.contains("470"),
        "{denial}"
    );
    assert!(file(&world, &toms()).await.allowed());
}

#[tokio::test(start_paused = true)]
async fn who_files_without_end_waits_and_others_go_on() {
    let world = World::new(Settings {
        per_minute: Some(1),
        ..Settings::default()
    });
    assert!(file(&world, &filing()).await.allowed());
    let mut again = filing();
    again["request"]["object"]["metadata"]["uid"] = json!("another");
    let said = file(&world, &again).await;
    assert!(
        said.denial()
            .contains("\"jane\" files more than 1 requests a minute"),
        "{}",
        said.denial()
    );
    assert!(file(&world, &toms()).await.allowed());
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    assert!(file(&world, &again).await.allowed());
}

// K4
#[tokio::test]
async fn what_is_over_counts_too_over_all_namespaces() {
    let world = World::new(Settings::default());
    let used = |number: usize| {
        let mut used = request();
        used["metadata"]["name"] = json!(format!("used-{number}"));
        used["metadata"]["namespace"] = json!(format!("team-{number}"));
        used["spec"]["forObject"]["namespace"] = json!(format!("team-{number}"));
        used["status"] =
            json!({"phase": "Denied", "denied": {"by": "amy", "at": "2026-11-23T15:00:00Z"}});
        kube::runtime::watcher::Event::Apply(serde_json::from_value(used).unwrap())
    };
    for number in 0..99 {
        world.index.apply_request(used(number));
    }
    assert!(file(&world, &filing()).await.allowed());
    world.index.apply_request(used(99));
    let said = file(&world, &filing()).await;
    assert!(
        said.denial()
            .contains("\"jane\" has 100 requests in all namespaces"),
        "{}",
        said.denial()
    );
    let said = file(&world, &toms()).await;
    assert!(said.allowed(), "others go on: {}", said.body);
}

// K4
#[tokio::test]
async fn what_one_user_has_open_is_bounded_over_all_namespaces() {
    let world = World::new(Settings::default());
    for number in 0..70 {
        let mut open = request();
        open["metadata"]["name"] = json!(format!("open-{number}"));
        open["metadata"]["namespace"] = json!(format!("team-{number}"));
        open["spec"]["forObject"]["namespace"] = json!(format!("team-{number}"));
        open["spec"]["reason"] = json!("x".repeat(60_000));
        show(&world, open);
    }
    let said = file(&world, &filing()).await;
    assert!(
        said.denial().contains("in all namespaces") && said.denial().contains("bytes"),
        "{}",
        said.denial()
    );
}

/// One that is over, as large as its user likes.
fn ended(number: usize, filler: usize) -> Value {
    let mut ended = request();
    ended["metadata"]["name"] = json!(format!("ended-{number}"));
    ended["metadata"]["annotations"] = json!({"note": "x".repeat(filler / 2)});
    ended["metadata"]["managedFields"] = json!([
        {"manager": "y".repeat(filler / 2), "operation": "Update", "apiVersion": "spreadgroup.com/v1"},
    ]);
    ended["status"] =
        json!({"phase": "Denied", "denied": {"by": "amy", "at": "2026-11-23T15:00:00Z"}});
    ended
}

fn show(world: &World, request: Value) {
    world
        .index
        .apply_request(Event::Apply(serde_json::from_value(request).unwrap()));
}

// K4
#[tokio::test]
async fn what_is_over_counts_with_all_its_bytes_where_it_is_stored() {
    let world = World::new(Settings::default());
    for number in 0..41 {
        show(&world, ended(number, 100_000));
    }
    let said = file(&world, &filing()).await;
    assert!(said.allowed(), "{}", said.body);
    show(&world, ended(41, 100_000));
    let said = file(&world, &filing()).await;
    let denial = said.denial();
    assert!(
        denial.contains(
            "where they are stored, those that are over included; the maximum is 4194304 bytes"
        ) && denial.contains("delete those that nobody needs any more"),
        "{denial}"
    );
    // Nor do those that are there already grow, whoever writes; the server goes on.
    let mut grows = recorded("accessrequest-update");
    let owner = grows["request"]["oldObject"]["spec"]["userInfo"]["username"].clone();
    assert_eq!(owner, "jane");
    grows["request"]["object"]["metadata"]["annotations"] = json!({"note": "x".repeat(50_000)});
    let said = world.post("/validate", grows.to_string()).await;
    assert!(
        said.denial().contains("where they are stored"),
        "{}",
        said.body
    );
    grows["request"]["userInfo"]["username"] =
        json!("system:serviceaccount:kube-request-access:kube-request-access");
    assert!(world.post("/validate", grows.to_string()).await.allowed());
}

// K4
#[tokio::test]
async fn nothing_that_is_stored_grows_beyond_what_a_page_of_a_list_has_room_for() {
    let world = World::new(Settings::default());
    for name in ["accessrequest-update", "accessgrant-update"] {
        let mut grows = recorded(name);
        for field in ["spec", "status"] {
            grows["request"]["object"][field] = grows["request"]["oldObject"][field].clone();
        }
        let managers: Vec<Value> = (0..2000)
            .map(|number| json!({"manager": format!("{number:0128}"), "operation": "Apply", "apiVersion": "spreadgroup.com/v1"}))
            .collect();
        grows["request"]["object"]["metadata"]["managedFields"] = json!(managers);
        let said = world.post("/validate", grows.to_string()).await;
        assert!(
            said.denial().contains("the maximum is 327680"),
            "{}",
            said.body
        );
        // What is as large already can be changed, and shrinks.
        grows["request"]["oldObject"]["metadata"]["managedFields"] = json!(managers);
        grows["request"]["oldObject"]["metadata"]["annotations"] =
            json!({"note": "x".repeat(1000)});
        let said = world.post("/validate", grows.to_string()).await;
        assert!(said.allowed(), "{}", said.body);
    }
}

// F26
#[tokio::test]
async fn many_requests_at_once_are_not_each_the_first() {
    let world = World::new(Settings::default());
    let filings = (0..10).map(|number| {
        let mut review = filing();
        review["request"]["object"]["metadata"]["uid"] = json!(format!("uid-{number}"));
        let world = &world;
        async move { file(world, &review).await.allowed() }
    });
    let admitted = futures::future::join_all(filings)
        .await
        .into_iter()
        .filter(|admitted| *admitted)
        .count();
    assert_eq!(admitted, 2);
}
