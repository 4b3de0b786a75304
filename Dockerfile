# The service alone, for a machine with docker: `docker build -t crossbar-groups .`
FROM rust:1-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY couchdb-views couchdb-views
COPY fixtures fixtures
RUN cargo build --release --locked

FROM debian:bookworm-slim
# certificates for a CouchDB at https://, curl for the health checks of docker-compose.yml
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home --home-dir /var/lib/crossbar-groups crossbar-groups
COPY --from=build /build/target/release/crossbar-groups /usr/local/bin/
USER crossbar-groups
# the embedded store, unless CROSSBAR_STORE says otherwise
WORKDIR /var/lib/crossbar-groups
ENV CROSSBAR_LISTEN=0.0.0.0:8000
EXPOSE 8000
ENTRYPOINT ["crossbar-groups"]
CMD ["serve"]
