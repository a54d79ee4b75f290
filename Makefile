# Thin names for the tasks of `cargo xtask`; the README explains the two that matter.
.PHONY: demo test ci

demo:
	cargo xtask demo

test:
	cargo xtask test

ci: test
