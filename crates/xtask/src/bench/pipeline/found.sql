-- Rows, and bytes with all that belongs to them, of the run that is the first of its database.
SELECT count(*), pg_total_relation_size('perf_results_1') FROM perf_results;
