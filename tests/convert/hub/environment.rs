//! The variables of the environment. Each environment needs a process of its own.

use std::{env, fs, process::Command};

use diarize_convert::hub::Settings;
use diarize_testkit::rerun;
use tempfile::tempdir;

use super::{LARGE, fetch, settings};
use crate::hub_server::{Reply, Server};

/// Set in a separate process that only tries to reach a hub.
const REACH: &str = "DIARIZE_TEST_REACH_HUB";

#[test]
fn the_proxy_of_the_environment_is_used() {
    if env::var_os(REACH).is_some() {
        let (_folder, settings) = settings("http://hub.example.org");
        println!("outcome: {}", fetch(&settings, LARGE).unwrap_err());
        return;
    }
    let proxy = Server::start(|_| Reply::status(403));
    let reach = |http_proxy: &str| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "hub::environment::the_proxy_of_the_environment_is_used"]);
        rerun(command.env_clear().env(REACH, "").env("http_proxy", http_proxy))
    };
    let printed = reach(&proxy.url());
    assert!(
        printed.contains("outcome: cannot reach http://hub.example.org (CONNECT proxy failed"),
        "{printed}"
    );
    let request = &proxy.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("CONNECT", "hub.example.org:80"));

    let printed = reach("htp://bob:secret@proxy.example.org");
    assert!(printed.contains("outcome: the environment variable http_proxy is not the URL"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");
}

/// Set in a separate process that only prints its settings.
const PRINT: &str = "DIARIZE_TEST_PRINT_SETTINGS";

#[test]
fn settings_come_from_the_environment() {
    if env::var_os(PRINT).is_some() {
        let Settings { endpoint, token, cache, offline } = Settings::from_env();
        println!("settings: {endpoint} {} {} {offline}", token.as_deref().unwrap_or("-"), cache.display());
        return;
    }
    let folder = tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    fs::create_dir_all(folder.path().join("hf")).unwrap();
    fs::write(folder.path().join("hf/token"), "hf_of_file\n").unwrap();
    fs::write(folder.path().join("elsewhere"), "hf_elsewhere").unwrap();
    let hf_home = format!("{home}/hf");

    let read = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "hub::environment::settings_come_from_the_environment"]);
        let printed = rerun(command.env_clear().env(PRINT, "").envs(variables.iter().copied()));
        let line =
            printed.lines().find_map(|line| line.split_once("settings: ").map(|(_, rest)| rest.to_owned()));
        line.unwrap_or_else(|| panic!("{printed}"))
    };
    let hub = "https://huggingface.co";

    #[cfg(unix)]
    assert_eq!(read(&[("HOME", home)]), format!("{hub} - {home}/.cache/huggingface/hub false"));
    assert_eq!(read(&[("XDG_CACHE_HOME", home)]), format!("{hub} - {home}/huggingface/hub false"));
    assert_eq!(read(&[("HF_HOME", &hf_home)]), format!("{hub} hf_of_file {hf_home}/hub false"));
    assert_eq!(
        read(&[("HF_HOME", &hf_home), ("HF_TOKEN", " hf_of_variable\n")]),
        format!("{hub} hf_of_variable {hf_home}/hub false")
    );
    assert_eq!(
        read(&[("HF_HOME", &hf_home), ("HF_TOKEN", ""), ("HF_TOKEN_PATH", &format!("{home}/elsewhere"))]),
        format!("{hub} hf_elsewhere {hf_home}/hub false")
    );
    assert_eq!(read(&[("HF_HOME", home), ("HUGGINGFACE_HUB_CACHE", "/old")]), format!("{hub} - /old false"));
    assert_eq!(
        read(&[("HF_HOME", home), ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")]),
        format!("{hub} - /new false")
    );
    for (value, offline) in
        [("1", true), ("TRUE", true), ("yes", true), ("On", true), ("0", false), ("", false)]
    {
        assert_eq!(
            read(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", home), ("HF_HUB_OFFLINE", value)]),
            format!("{hub} - /c {offline}")
        );
    }
    assert_eq!(
        read(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", home), ("HF_ENDPOINT", "https://mirror.example.org/hf/")]),
        "https://mirror.example.org/hf - /c false"
    );
}
