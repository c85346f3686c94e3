"""Side-by-side measurements, peers included. Run by `bin/bench`; see docs/benchmarks.md."""
