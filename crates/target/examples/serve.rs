//! The sample target on its own: `cargo run --release -p target --example serve -- 127.0.0.1:7701 [THREADS]`.

#![expect(clippy::print_stdout, reason = "an example says where it listens")]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().as_deref().unwrap_or("127.0.0.1:7701").parse()?;
    let threads = arguments.next().as_deref().unwrap_or("1").parse()?;
    let server = target::serve(target::Settings { listen, threads, shop: false })?;
    println!("listening on {}", server.local_addr());
    server.join();
    Ok(())
}
