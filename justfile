# What people type. Each line works without `just`, too.

# list the commands
default:
    @just --list

# serve made-up accounts
demo:
    cargo run --release -- serve --demo

# all tests, or those whose names have a text
test *ARGUMENTS:
    scripts/test {{ARGUMENTS}}

# what CI runs
ci:
    .ci/run

# formatting and lints
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# what the program is made of, as CycloneDX in target/sbom.cdx.json
sbom:
    scripts/sbom
