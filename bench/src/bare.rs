//! The bare HTTP server that everything is compared with: it reads what it is sent, and answers `/LENGTH` with that many
//! bytes, which it has ready.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer, http::header};

thread_local! {
    static READY: RefCell<HashMap<usize, Bytes>> = RefCell::default();
}

/// Serves until the process is killed; says where.
#[actix_web::main]
pub async fn serve() -> io::Result<()> {
    let app = || App::new().app_data(web::PayloadConfig::new(1 << 20)).route("/{length}", web::route().to(answer));
    let server = HttpServer::new(app).bind("127.0.0.1:0")?;
    for address in server.addrs() {
        println!("http://{address}");
    }
    server.run().await
}

async fn answer(length: web::Path<usize>, _sent: Bytes) -> HttpResponse {
    let length = length.into_inner();
    let body = READY.with_borrow_mut(|ready| ready.entry(length).or_insert_with(|| "x".repeat(length).into()).clone());
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(body)
}
