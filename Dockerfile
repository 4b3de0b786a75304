# The service alone, for a machine with docker:
#   docker build -t crossbar-groups --build-arg COMMIT="$(git rev-parse --short=12 HEAD)" .
FROM rust:1-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY couchdb-views couchdb-views
COPY fixtures fixtures
# what --version tells; there is no git in here
ARG COMMIT=
RUN CROSSBAR_COMMIT="$COMMIT" cargo build --release --locked

FROM debian:bookworm-slim
ARG COMMIT=
LABEL org.opencontainers.image.title="crossbar-groups" \
      org.opencontainers.image.description="Kazoo 4.3's crossbar for groups" \
      org.opencontainers.image.source="https://github.com/crossbar-groups/crossbar-groups" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="$COMMIT"
# certificates for a CouchDB at https://; whichever Debian has now is wanted
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home --home-dir /var/lib/crossbar-groups crossbar-groups
COPY --from=build /build/target/release/crossbar-groups /usr/local/bin/
# by number, so that whoever starts it can see that it is not root
USER 10001
# the embedded store, in `data`, unless CROSSBAR_STORE says otherwise. It outlives the container in a volume; give it a name to
# find it again: -v crossbar-groups:/var/lib/crossbar-groups
WORKDIR /var/lib/crossbar-groups
VOLUME /var/lib/crossbar-groups
ENV CROSSBAR_LISTEN=0.0.0.0:8000
EXPOSE 8000
# by the same environment it finds where to ask
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["crossbar-groups", "health"]
ENTRYPOINT ["crossbar-groups"]
CMD ["serve"]
