//! What a client is told of whom it signed in as (`crossbar_util:response_auth`): Monster UI sets itself up by it.

use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::document::{Document, json};
use crate::kazoo::erlang::is_true;
use crate::store;

use super::Auth;
use super::documents::{Evidence, defaults};
use super::error::Error;
use super::sign_in::SignedIn;

/// The language of whoever has not chosen one.
const DEFAULT_LANGUAGE: &str = "en-US";

/// Parts of `ui_config.api`, and where `system_config` has the URL of each: document and key.
const UI_PARTS: [(&str, &str, &str); 6] = [
    ("provisioner", "provisioner", "provisioning_url"),
    ("mobile", "mobile", "url"),
    ("kazoo_websocket", "blackhole", "url"),
    ("webrtc_websocket", "webrtc", "url"),
    ("phonebook", "phonebook", "url"),
    ("cluster_manager", "cluster_manager", "url"),
];

/// What is the same for whoever signs in.
#[derive(Debug, Clone)]
pub(super) struct Ui {
    cluster_id: Option<String>,
    config: Value,
    capabilities: Value,
}

impl Auth {
    /// What is told of who signed in.
    ///
    /// Errors: a fault.
    pub async fn profile(&self, signed_in: &SignedIn) -> Result<Document, Error> {
        self.decide(async |evidence| evidence.profile(signed_in).await).await
    }
}

impl Evidence<'_> {
    async fn profile(&self, SignedIn { account, user, .. }: &SignedIn) -> Result<Document, Error> {
        let owner = match user {
            Some(user) => self.owner(account.id, user).await?,
            None => None,
        };
        let language = owner.and_then(|owner| owner.language.clone()).or_else(|| account.language.clone());
        let (ui, master) = (self.ui().await?, self.system().await?.master_account);
        let mut reseller = None;
        for ancestor in account.ancestors.iter().rev() {
            let ancestor = self.account(*ancestor).await?;
            reseller = ancestor.filter(|ancestor| ancestor.is_reseller || ancestor.is_superduper_admin);
            if reseller.is_some() {
                break;
            }
        }

        let mut told = Document::new();
        if let Some(user) = user {
            told.set_text("owner_id", user.as_str());
        }
        told.set_text("account_id", account.id.as_str());
        told.set("apps", json::raw(&[(); 0]));
        told.set_text("language", language.as_deref().unwrap_or(DEFAULT_LANGUAGE));
        if let Some(name) = &account.name {
            told.set_text("account_name", name);
        }
        if let Some(cluster) = ui.as_ref().and_then(|ui| ui.cluster_id.as_ref()) {
            told.set_text("cluster_id", cluster);
        }
        if let Some(reseller) = reseller.map(|reseller| reseller.id).or(master) {
            told.set_text("reseller_id", reseller.as_str());
        }
        told.set("is_reseller", json::raw(&(account.is_reseller || account.is_superduper_admin)));
        told.set("is_master_account", json::raw(&(master == Some(account.id))));
        if let Some(ui) = ui {
            told.set("capabilities", json::raw(&ui.capabilities));
            told.set("ui_config", json::raw(&ui.config));
        }
        Ok(told)
    }

    async fn ui(&self) -> Result<Option<std::sync::Arc<Ui>>, Error> {
        let read = async || {
            let store = self.memory.store.as_ref();
            let parts = try_join_all(UI_PARTS.map(|(_, id, _)| defaults(store, id))).await?;
            let mut config = json!({});
            for ((part, _, key), document) in UI_PARTS.iter().zip(&parts) {
                if let Some(url) = document.text(key).filter(|url| !url.is_empty()) {
                    config["api"][part]["url"] = Value::String(url);
                }
            }
            let (cluster, callflow) = futures::try_join!(defaults(store, "cluster"), defaults(store, "callflow"))?;
            let voicemail = callflow.get("voicemail").and_then(|raw| json::tree(raw).ok()).unwrap_or_default();
            let transcription = json!({
                "available": self.can_transcribe().await?,
                "default": voicemail.get("transcribe_default").is_some_and(is_true),
            });
            Ok(Some(Ui {
                cluster_id: cluster.text("cluster_id").filter(|id| !id.is_empty()),
                config,
                capabilities: json!({ "voicemail": { "transcription": transcription } }),
            }))
        };
        self.look(&self.memory.ui, (), read).await
    }

    /// Whether the system has the key of a service that turns speech into text (`kazoo_asr:available`).
    async fn can_transcribe(&self) -> store::Result<bool> {
        let store = self.memory.store.as_ref();
        let speech = defaults(store, "speech").await?;
        let has_key = |config: &Document| config.text("asr_api_key").is_some_and(|key| !key.is_empty());
        Ok(match speech.text("asr_provider").as_deref() {
            None | Some("ispeech") => has_key(&speech),
            Some("google") => has_key(&defaults(store, "speech.google").await?),
            Some("ibm") => has_key(&defaults(store, "speech.ibm").await?),
            Some(_) => false,
        })
    }
}
