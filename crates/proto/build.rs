//! Compiles the `.proto` files in Rust: no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "covenant", "registry", "audit", "query", "live", "notice", "witness", "officer", "canary",
    ];
    let paths = files.map(|name| format!("../../proto/hitmachine/v1/{name}.proto"));
    for path in &paths {
        println!("cargo::rerun-if-changed={path}");
    }
    let names = files.map(|name| format!("hitmachine/v1/{name}.proto"));
    let descriptors = protox::compile(names, ["../../proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
