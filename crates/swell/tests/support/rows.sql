-- What a report says, asked of a database. RUN stands for the run.
SELECT count(*), count(*) FILTER (WHERE error = 'status: 503') FROM perf_results WHERE test_run_id = 'RUN';
SELECT sum(requests), sum(failed) FROM run_windows WHERE test_run_id = 'RUN' AND kind = 'step';
SELECT COUNT(*) FILTER (WHERE status_code >=500) * 1.0 / COUNT(*) FROM perf_results WHERE test_run_id='RUN';
SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FROM perf_results WHERE test_run_id='RUN';
SET search_path = public, swell_compat;
SELECT time_bucket('1 minute', timestamp) AS minute, COUNT(*) AS requests FROM perf_results GROUP BY minute ORDER BY minute;
