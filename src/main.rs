//! The `qnetsim` command.

fn main() -> std::process::ExitCode {
    qnetsim::cli::main()
}
