fn main() {
    let path = std::env::args().nth(1).unwrap();
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    match eclipse_trace::import::qemu::read(file) {
        Ok(r) => {
            for (e, l) in r.entries.iter().zip(&r.lines) {
                println!("{l:>6} {:>5} {e}", e.seq);
            }
            for n in r.notes {
                println!("note: {n}");
            }
        }
        Err(e) => println!("error: {e}"),
    }
}
