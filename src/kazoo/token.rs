//! Kazoo's tokens: JWTs signed with the RSA key that their `kid` names, whose `identity_sig` is made with the secret
//! of the user (or account) that they speak for, so that a new secret ends them.

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::account::AccountId;

/// `iss` of Kazoo's own tokens. Others (of an OAuth provider, say) are not taken.
const ISSUER: &str = "kazoo";

/// What tokens may be signed with: never a shared secret, never nothing.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];

/// A token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct Invalid;

/// What a token says. It is believed only after [`SigningKey::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    /// The signature of the identity, if the token has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_sig: Option<String>,
    /// The account that the token speaks for.
    pub account_id: String,
    /// The user that it speaks for; without one it speaks for the account itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// How it was come by: the crossbar module that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// When it ends, in seconds since 1970; a token without it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// From when it holds, if that is not from the beginning, in the same seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
}

impl Claims {
    /// The claims of a token made here: `method` is the crossbar module's name, `expires` in seconds since 1970.
    pub fn new(account: AccountId, owner: Option<String>, method: &str, expires: i64) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            identity_sig: None,
            account_id: account.to_string(),
            owner_id: owner,
            method: Some(method.to_owned()),
            exp: Some(expires),
            nbf: None,
        }
    }

    /// Whether the token holds at `now` (seconds since 1970).
    pub fn is_current(&self, now: i64) -> bool {
        self.nbf.is_none_or(|from| from <= now) && self.exp.is_none_or(|expires| now < expires)
    }

    /// Whose secret signs the identity: the user's, or without one the account's.
    pub fn identity(&self) -> &str {
        self.owner_id.as_deref().unwrap_or(&self.account_id)
    }
}

/// Which key signed a token: the text of its header's `kid`. Nothing else of the token is looked at.
pub fn key_id(token: &str) -> Result<String, Invalid> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| Invalid)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Invalid);
    }
    header.kid.ok_or(Invalid)
}

/// A key of `system_auth`: the private RSA key that signs tokens, and with its public half checks them.
pub struct SigningKey {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    bits: usize,
}

impl SigningKey {
    /// Reads the PEM text (PKCS #1 or #8) of the key whose document has this id.
    ///
    /// Errors: it is no private RSA key.
    pub fn of_pem(id: &str, pem: &[u8]) -> Result<Self, Invalid> {
        let encoding = EncodingKey::from_rsa_pem(pem).map_err(|_| Invalid)?;
        let pair = KeyPair::from_der(encoding.as_bytes()).map_err(|_| Invalid)?;
        let public = pair.public_key();
        let decoding = DecodingKey::from_rsa_raw_components(
            public.modulus().big_endian_without_leading_zero(),
            public.exponent().big_endian_without_leading_zero(),
        );
        Ok(Self { id: id.to_owned(), encoding, decoding, bits: pair.public_modulus_len() * 8 })
    }

    /// The length of the key's modulus.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Checks a token's signature and then its issuer; gives what it says.
    ///
    /// Whether it still holds ([`Claims::is_current`]) and speaks for whom it says ([`IdentityKey::signed`]) is the
    /// caller's to ask.
    pub fn verify(&self, token: &str) -> Result<Claims, Invalid> {
        let mut validation = Validation::new(ALGORITHMS[0]);
        validation.algorithms = ALGORITHMS.to_vec();
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["iss"]);
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, &self.decoding, &validation).map(|token| token.claims).map_err(|_| Invalid)
    }

    /// Makes a token of these claims, the identity signed with `identity_key`.
    pub fn sign(&self, mut claims: Claims, identity_key: &IdentityKey) -> Result<String, Invalid> {
        let signature = hmac::sign(&identity_key.0, claims.identity().as_bytes());
        claims.identity_sig = Some(URL_SAFE_NO_PAD.encode(signature));
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, &claims, &self.encoding).map_err(|_| Invalid)
    }
}

/// The key that signs identities: an owner's `pvt_signature_secret`, then the system's own secret.
pub struct IdentityKey(hmac::Key);

impl IdentityKey {
    /// The key for an owner.
    pub fn new(owner_secret: &str, system_secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, [owner_secret, system_secret].concat().as_bytes()))
    }

    /// Whether `claims` are signed for the identity that they name; compared in constant time.
    pub fn signed(&self, claims: &Claims) -> bool {
        let signature = claims.identity_sig.as_deref().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        signature.is_some_and(|signature| hmac::verify(&self.0, claims.identity().as_bytes(), &signature).is_ok())
    }
}
