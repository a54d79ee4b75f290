-- All rows again, so many times.
INSERT INTO perf_results_1 SELECT r.* FROM generate_series(1, :times), perf_results_1 r;
