//! Compiles the messages of the OpenTelemetry protocol in Rust, as the wire of our own: no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../../proto/opentelemetry");
    let service = "opentelemetry/proto/collector/trace/v1/trace_service.proto";
    let mut descriptors = protox::compile([service], ["../../proto"])?;
    // Without the comments: their examples are not Rust, and would be tested as such.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
