//! The profile of whom a client signed in as (`crossbar_util:response_auth`): Monster UI sets itself up by it.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::document::{DocId, Document, json};

use super::account::{Account, AccountId};
use super::erlang::is_true;

/// The language of whoever has not chosen one.
const DEFAULT_LANGUAGE: &str = "en-US";

/// The documents of `system_config` that are asked for it.
pub const CONFIGS: [&str; 11] = [
    "provisioner",
    "mobile",
    "blackhole",
    "webrtc",
    "phonebook",
    "cluster_manager",
    "cluster",
    "callflow",
    "speech",
    "speech.google",
    "speech.ibm",
];

/// Parts of `ui_config.api`, and where the URL of each stands: document and key.
const UI_PARTS: [(&str, &str, &str); 6] = [
    ("provisioner", "provisioner", "provisioning_url"),
    ("mobile", "mobile", "url"),
    ("kazoo_websocket", "blackhole", "url"),
    ("webrtc_websocket", "webrtc", "url"),
    ("phonebook", "phonebook", "url"),
    ("cluster_manager", "cluster_manager", "url"),
];

/// What is the same for whoever signs in.
#[derive(Debug, Clone, Default)]
pub struct Ui {
    cluster_id: Option<String>,
    config: Value,
    capabilities: Value,
}

impl Ui {
    /// Reads the sections `default` of [`CONFIGS`].
    pub fn of_configs(configs: &HashMap<&str, Document>) -> Self {
        let text = |id: &str, key: &str| configs.get(id).and_then(|of| of.text(key)).filter(|text| !text.is_empty());
        let mut config = json!({});
        for (part, id, key) in UI_PARTS {
            if let Some(url) = text(id, key) {
                config["api"][part]["url"] = Value::String(url);
            }
        }
        let voicemail = configs.get("callflow").and_then(|callflow| callflow.get("voicemail"));
        let voicemail = voicemail.and_then(|raw| json::tree(raw).ok()).unwrap_or_default();
        // whose key the provider of speech recognition needs (`kazoo_asr:available`)
        let provider = match text("speech", "asr_provider").as_deref() {
            None | Some("ispeech") => "speech",
            Some("google") => "speech.google",
            Some("ibm") => "speech.ibm",
            Some(_) => "",
        };
        let transcription = json!({
            "available": text(provider, "asr_api_key").is_some(),
            "default": voicemail.get("transcribe_default").is_some_and(is_true),
        });
        Self {
            cluster_id: text("cluster", "cluster_id"),
            config,
            capabilities: json!({ "voicemail": { "transcription": transcription } }),
        }
    }
}

/// The profile of an account, or of a user of it and the language that the user has chosen.
pub fn of(
    account: &Account,
    user: Option<(&DocId, Option<&str>)>,
    reseller: Option<AccountId>,
    master: Option<AccountId>,
    ui: &Ui,
) -> Document {
    let language = user.and_then(|(_, language)| language).or(account.language.as_deref());
    let mut profile = Document::new();
    if let Some((user, _)) = user {
        profile.set_text("owner_id", user.as_str());
    }
    profile.set_text("account_id", account.id.as_str());
    profile.set("apps", json::raw(&[(); 0]));
    profile.set_text("language", language.unwrap_or(DEFAULT_LANGUAGE));
    if let Some(name) = &account.name {
        profile.set_text("account_name", name);
    }
    if let Some(cluster) = &ui.cluster_id {
        profile.set_text("cluster_id", cluster);
    }
    if let Some(reseller) = reseller.or(master) {
        profile.set_text("reseller_id", reseller.as_str());
    }
    profile.set("is_reseller", json::raw(&account.sells()));
    profile.set("is_master_account", json::raw(&(master == Some(account.id))));
    profile.set("capabilities", json::raw(&ui.capabilities));
    profile.set("ui_config", json::raw(&ui.config));
    profile
}
